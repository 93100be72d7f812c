/**
 * POST /v1/apps/{appid}/aircheck/recordings/{sid}/watch gives out addresses by which a recording can be watched while
 * it is recorded: …/live.m3u8, and the segments and parts that it names. These take a token instead of credentials,
 * because players have none. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';
import { type LiveWish, parseLiveQuery, parseWatch, type WatchReply } from '../contract/rest/watch.ts';
import type { MediaKind } from '../media/track.ts';
import { sendFile } from './byte-range.ts';
import type { WatchTokens } from './watch-tokens.ts';

export type LiveApi = {
  recordings: {
    /** Who can be watched in a recording of single users; undefined of another. */
    users(appid: string, sid: string): Promise<{ uid: string; kinds: MediaKind[] }[] | undefined>;
    playlist(appid: string, sid: string, wish: LiveWish, query: string): Promise<string>;
    file(
      appid: string,
      sid: string,
      row: string,
      segment: number,
      part?: number,
    ): Promise<{ path: string; from: number; to: number }>;
  };
  tokens: Pick<WatchTokens, 'mint' | 'check'>;
  /** Origins whose pages may watch; `*` is all of them. */
  origins: readonly string[];
};

type Path = { appid: string; sid: string };
type FilePath = Path & { row: string; file: string };

/** Or names playlists that have some. */
const HAS_SEGMENT = /^#EXT(?:INF|-X-STREAM-INF):/m;
const TYPE = 'application/vnd.apple.mpegurl';
/** A player that finds no segment that is whole is sent to the same address so many times. */
const MOST_SENT_AGAIN = 2;
/** A segment `12.ts`, or a part of it `12.3.ts`. */
const FILE = /^(\d{1,9})(?:\.(\d{1,9}))?\.ts$/;
const options = { config: { livesAt: 'taskOrFiles' } } as const;

/** The call that gives out tokens, for customers. */
export function watchRoute(app: FastifyInstance, { recordings, tokens }: LiveApi): void {
  app.post<{ Params: Path }>('/recordings/:sid/watch', options, async ({ params, body }): Promise<WatchReply> => {
    const { appid, sid } = params;
    const { seconds } = parseWatch(body);
    const users = await recordings.users(appid, sid);
    const { token, expiresMs } = tokens.mint(appid, sid, seconds);
    const url = `/v1/apps/${appid}/aircheck/recordings/${sid}/live.m3u8?token=${token}`;
    return {
      ...{ sid, token, expiresMs, url: users ? null : url },
      users: users?.map(({ uid, kinds }) => ({ uid, kinds, url: `${url}&uid=${uid}` })) ?? [],
    };
  });
}

/**
 * Lets requests pass that bring a token for the recording in their path, and pages of other origins read the answers.
 */
export function guardLive(app: FastifyInstance, { tokens, origins }: LiveApi): void {
  app.addHook('onRequest', async (request, reply) => {
    allowOrigin(request, reply, origins);
    const { appid, sid } = request.params as Path;
    tokens.check(appid, sid, (request.query as { token?: unknown }).token);
  });
}

/** What players ask for. The token was checked where the request came in. */
export function liveRoutes(app: FastifyInstance, { recordings }: LiveApi): void {
  app.get<{ Params: Path; Querystring: { token?: string; again?: string } }>(
    '/recordings/:sid/live.m3u8',
    options,
    async ({ params, query }, reply) => {
      const wish = parseLiveQuery(query);
      const { uid } = wish;
      const own = new URLSearchParams({ token: String(query.token), ...(uid !== undefined && { uid }) });
      const text = await recordings.playlist(params.appid, params.sid, wish, own.toString());
      reply.header('cache-control', 'private, no-store');
      // hls.js takes a playlist of parts alone for an empty one and comes back late; no answer may take longer.
      const again = Number(query.again ?? 0);
      if (wish.segment === undefined && again < MOST_SENT_AGAIN && !HAS_SEGMENT.test(text)) {
        if (wish.kind) own.set('kind', wish.kind);
        return reply.redirect(`live.m3u8?${own}&again=${again + 1}`, 307);
      }
      return reply.type(TYPE).send(text);
    },
  );
  app.get<{ Params: FilePath }>('/recordings/:sid/live/:row/:file', options, async (request, reply) => {
    const { appid, sid, row, file } = request.params;
    const [, segment, part] = FILE.exec(file) ?? [];
    if (segment === undefined) throw problem('live-file-unknown');
    const number = part === undefined ? undefined : Number(part);
    const { path, ...within } = await recordings.file(appid, sid, row, Number(segment), number);
    // What was listed once does not change.
    reply.header('cache-control', 'private, max-age=600');
    return sendFile(request, reply, { path, within, type: 'video/mp2t' });
  });
}

/** For players of pages of other origins: simple requests, which ask nothing beforehand (Fetch §3.2). */
function allowOrigin({ headers }: FastifyRequest, reply: FastifyReply, origins: readonly string[]): void {
  if (origins.includes('*')) reply.header('access-control-allow-origin', '*');
  else if (origins.length > 0) {
    reply.header('vary', 'origin');
    if (headers.origin !== undefined && origins.includes(headers.origin))
      reply.header('access-control-allow-origin', headers.origin);
  }
}
