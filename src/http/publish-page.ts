/**
 * GET /publish: a page that publishes a camera or a generated test picture from the browser. Its files are in
 * web/publish and are read once.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyPluginAsync } from 'fastify';

const FOLDER = join(import.meta.dirname, '../../web/publish');
const FILES = [
  { url: '/publish', name: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/publish/publish.js', name: 'publish.js', type: 'text/javascript; charset=utf-8' },
  { url: '/publish/turns.js', name: 'turns.js', type: 'text/javascript; charset=utf-8' },
  { url: '/publish/test-source.js', name: 'test-source.js', type: 'text/javascript; charset=utf-8' },
  { url: '/publish/ticker.js', name: 'ticker.js', type: 'text/javascript; charset=utf-8' },
  { url: '/publish/publish.css', name: 'publish.css', type: 'text/css; charset=utf-8' },
];

export type PublishPageOptions = {
  /** The page may be sent to other nodes, whose addresses are not known beforehand. */
  isInFleet?: boolean;
};

export const publishPageRoutes: FastifyPluginAsync<PublishPageOptions> = async (server, { isInFleet = false }) => {
  const connects = isInFleet ? "'self' http: https:" : "'self'";
  for (const { url, name, type } of FILES) {
    const body = await readFile(join(FOLDER, name));
    server.get(url, async (_request, reply) =>
      reply
        .type(type)
        .header('cache-control', 'no-cache')
        .header('x-content-type-options', 'nosniff')
        // The address may hold a token, which no other site must learn.
        .header('referrer-policy', 'no-referrer')
        .header('permissions-policy', 'camera=(self), microphone=(self)')
        .header(
          'content-security-policy',
          `default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src ${connects}; media-src 'self' blob:; img-src 'self' data:; frame-ancestors 'self'`,
        )
        .send(body),
    );
  }
};
