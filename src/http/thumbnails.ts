/**
 * GET /v1/apps/{appid}/aircheck/channels/{cname}/thumbnails/{uid}: a small picture of a publisher, of the last seconds.
 * Aircheck's own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import type { Thumbnails } from '../channel/thumbnail/thumbnails.ts';

export type ThumbnailsApi = Pick<Thumbnails, 'of'>;

type Path = { appid: string; cname: string; uid: string };

export function thumbnailRoute(app: FastifyInstance, thumbnails: ThumbnailsApi): void {
  app.get<{ Params: Path }>(
    '/channels/:cname/thumbnails/:uid',
    { config: { livesAt: 'channel' } },
    async ({ params, headers }, reply) => {
      const { jpeg, etag, takenMs } = await thumbnails.of(params.appid, params.cname, params.uid);
      reply
        .header('etag', etag)
        .header('last-modified', new Date(takenMs).toUTCString())
        // Faces do not stay on the disk of whoever has looked.
        .header('cache-control', 'private, no-store')
        .header('content-security-policy', "default-src 'none'; sandbox; frame-ancestors 'none'")
        .header('cross-origin-resource-policy', 'same-origin')
        .header('x-content-type-options', 'nosniff');
      if (isKnown(headers['if-none-match'], etag)) return reply.code(304).send();
      return reply.type('image/jpeg').send(jpeg);
    },
  );
}

/** Whether the caller has what the tag is of (RFC 9110 §13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  const tags = header?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? [];
  return tags.includes(etag) || tags.includes('*');
}
