/**
 * What a node answers to the other nodes of its fleet: the same routes as to customers, for requests that were
 * authenticated where they came in and are signed with the fleet's key. Nothing is carried on from here: a call that
 * does not belong here any more is answered 421, and whoever carried it looks again. A start that the home of its
 * channel is too full for is carried once more, by the home itself (ADR 0032).
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';
import { WIRE } from '../../store/ownership.ts';
import { acquaintanceRoute } from './acquaintance.ts';
import { type Changes, changesRoute } from './changes.ts';
import { type Fleet, MISDIRECTED } from './fleet.ts';
import {
  bodyDigest,
  DIGEST_HEADER,
  OTHER_KEY,
  PLACED_HEADER,
  REFUSED_HEADER,
  SIGNATURE_HEADER,
  type Signatures,
  TO_HEADER,
  WIRE_HEADER,
} from './signature.ts';

export type NodeApiOptions = {
  fleet: Pick<Fleet, 'self' | 'isHere'>;
  signatures: Signatures;
  changes: Changes;
  clock: Clock;
  /** The database's time, Unix milliseconds. */
  databaseMs(): number;
};

export type NodeRefusal = { status: number; message: string };

/** Why a request is not one of another node to this one; undefined when it is. Its body is not looked at. */
export function refusalOf(
  { fleet, signatures, databaseMs }: Pick<NodeApiOptions, 'fleet' | 'signatures' | 'databaseMs'>,
  request: { method?: string | undefined; url?: string | undefined; headers: IncomingHttpHeaders },
): NodeRefusal | undefined {
  const { method = '', url = '', headers } = request;
  const wire = Number(headers[WIRE_HEADER]);
  if (!Number.isInteger(wire) || wire < 1 || wire > WIRE) {
    const asked = headers[WIRE_HEADER] ?? 'none';
    return {
      status: 400,
      message: `nodes speak protocols 1 to ${WIRE} with this one, and it was asked in ${asked}`,
    };
  }
  if (headers[TO_HEADER] !== fleet.self) return { status: MISDIRECTED, message: `this is node ${fleet.self}` };
  const why = signatures.refusalOf({ method, url, headers }, textOf(headers[SIGNATURE_HEADER]), databaseMs());
  return why === undefined ? undefined : { status: 401, message: why };
}

/** @param routes registered behind the check of signatures */
export function nodeApi(app: FastifyInstance, options: NodeApiOptions, routes: FastifyPluginAsync): void {
  const { fleet, changes, clock, databaseMs } = options;
  const guardedRoutes: FastifyPluginAsync = async (guarded) => {
    // Before the body is read.
    guarded.addHook('onRequest', async (request, reply) => {
      const refusal = refusalOf(options, request);
      if (!refusal) return undefined;
      const { status, message } = refusal;
      return status === 401 ? refuse(request, reply, message) : reply.code(status).send({ message });
    });
    // Before anything is done with the body.
    guarded.addHook('preValidation', async (request, reply) => {
      if (bodyDigest(request.rawBody) === request.headers[DIGEST_HEADER]) return undefined;
      return refuse(request, reply, 'the body was changed on its way');
    });
    guarded.addHook('preHandler', async (request, reply) => {
      if (isPlaced(request) || (await fleet.isHere(request))) return undefined;
      return reply.code(MISDIRECTED).send({ message: 'this call does not belong here any more' });
    });
    acquaintanceRoute(guarded);
    changesRoute(guarded, { changes, clock, databaseMs });
    await guarded.register(routes);
  };
  app.register(guardedRoutes);
}

/** Whether the home of a channel has this node make a recording for it. */
export function isPlaced({ headers, routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.livesAt === 'resource' && headers[PLACED_HEADER] !== undefined;
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function refuse(request: FastifyRequest, reply: FastifyReply, why: string): FastifyReply {
  request.log.warn({ why, url: request.url, from: request.ip }, 'a request that says to come from a node was refused');
  return reply
    .code(401)
    .header(REFUSED_HEADER, why === OTHER_KEY ? 'key' : 'request')
    .send({ message: why });
}
