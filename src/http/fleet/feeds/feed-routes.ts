/** What a home answers to nodes whose recorders read its feeds: opening one, its streams, and its end. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { problem } from '../../../contract/problems.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { acceptJson } from '../../json.ts';
import type { NodeRefusal } from '../node-api.ts';
import { FEED_PROTOCOL, FEEDS_PATH, openFeedSchema, parseStreamPath, RECEIVED_HEADER } from './feed-wire.ts';
import type { HomeFeeds } from './home-feeds.ts';

/** Faults of opening a feed that the session of the other node tells apart, or that last. */
const TOLD = new Set(['uid-taken', 'channel-closed']);

/** Registered behind the check of signatures. */
export function feedRoutes(feeds: Pick<HomeFeeds, 'open' | 'release'>): FastifyPluginAsync {
  return async (guarded) => {
    acceptJson(guarded);
    guarded.post(FEEDS_PATH, async (request, reply) => {
      const asked = openFeedSchema.safeParse(request.body);
      if (!asked.success) throw problem('request-invalid', `feed: ${asked.error.message}`);
      try {
        return await feeds.open(asked.data);
      } catch (error) {
        if (!(error instanceof Fault) || !TOLD.has(error.code)) throw error;
        return reply.code(409).send({ code: error.code, message: messageOf(error) });
      }
    });
    guarded.delete<{ Params: { sid: string; taker: string } }>(`${FEEDS_PATH}/:sid/:taker`, async (request, reply) => {
      feeds.release(request.params.sid, request.params.taker);
      return reply.code(204).send();
    });
  };
}

/**
 * Takes the connections of streams.
 * @param refusalOf checks that a request comes from a node, and is for this one
 */
export function takeStreams(
  { server }: FastifyInstance,
  feeds: Pick<HomeFeeds, 'stream'>,
  refusalOf: (request: Pick<IncomingMessage, 'method' | 'url' | 'headers'>) => NodeRefusal | undefined,
): void {
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {});
    const refuse = (status: string) =>
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    const refusal = refusalOf(request);
    if (refusal) return refuse(`${refusal.status} Refused`);
    const asked = parseStreamPath(request.url ?? '');
    if (request.headers.upgrade !== FEED_PROTOCOL || request.method !== 'GET' || !asked) return refuse('404 Not Found');
    try {
      const stream = feeds.stream(asked.sid, asked.taker, asked.stream, asked.received);
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${FEED_PROTOCOL}\r\n${RECEIVED_HEADER}: ${stream.received}\r\n\r\n`,
      );
      stream.attach(socket, head, asked.received);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      refuse('404 Not Found');
    }
    return undefined;
  });
}
