/**
 * What a node answers to the other nodes of its fleet: the same routes as to customers, for requests that were
 * authenticated where they came in and are signed with the fleet's key. Nothing is carried on from here: a call that
 * does not belong here any more is answered 421, and whoever carried it looks again.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';
import { WIRE } from '../../store/ownership.ts';
import { type Changes, changesRoute } from './changes.ts';
import { type Fleet, MISDIRECTED } from './fleet.ts';
import { bodyDigest, DIGEST_HEADER, SIGNATURE_HEADER, type Signatures, TO_HEADER, WIRE_HEADER } from './signature.ts';

export type NodeApiOptions = {
  fleet: Pick<Fleet, 'self' | 'isHere'>;
  signatures: Signatures;
  changes: Changes;
  clock: Clock;
  /** The database's time, Unix milliseconds. */
  databaseMs(): number;
};

/** @param routes registered behind the check of signatures */
export function nodeApi(app: FastifyInstance, options: NodeApiOptions, routes: FastifyPluginAsync): void {
  const { fleet, signatures, changes, clock, databaseMs } = options;
  const guardedRoutes: FastifyPluginAsync = async (guarded) => {
    // Before the body is read.
    guarded.addHook('onRequest', async (request, reply) => {
      const { method, url, headers } = request;
      const wire = Number(headers[WIRE_HEADER]);
      if (!Number.isInteger(wire) || wire < 1 || wire > WIRE)
        return reply.code(400).send({
          message: `nodes speak protocols 1 to ${WIRE} with this one, and it was asked in ${headers[WIRE_HEADER] ?? 'none'}`,
        });
      if (headers[TO_HEADER] !== fleet.self)
        return reply.code(MISDIRECTED).send({ message: `this is node ${fleet.self}` });
      const signature = headers[SIGNATURE_HEADER];
      const why = signatures.refusalOf({ method, url, headers }, textOf(signature), databaseMs());
      return why === undefined ? undefined : refuse(request, reply, why);
    });
    // Before anything is done with the body.
    guarded.addHook('preValidation', async (request, reply) => {
      if (bodyDigest(request.rawBody) === request.headers[DIGEST_HEADER]) return undefined;
      return refuse(request, reply, 'the body was changed on its way');
    });
    guarded.addHook('preHandler', async (request, reply) => {
      if (await fleet.isHere(request)) return undefined;
      return reply.code(MISDIRECTED).send({ message: 'this call does not belong here any more' });
    });
    changesRoute(guarded, { changes, clock, databaseMs });
    await guarded.register(routes);
  };
  app.register(guardedRoutes);
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function refuse(request: FastifyRequest, reply: FastifyReply, why: string): FastifyReply {
  request.log.warn({ why, url: request.url, from: request.ip }, 'a request that says to come from a node was refused');
  return reply.code(401).send({ message: why });
}
