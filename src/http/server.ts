/**
 * The HTTP server: what every request and answer share. Routes are registered by whoever builds it.
 */
import { randomUUID } from 'node:crypto';
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify';
import { problem } from '../contract/problems.ts';
import { sendError } from './errors.ts';

export type HttpOptions = { log: FastifyBaseLogger };

export function buildHttp({ log }: HttpOptions): FastifyInstance {
  const app = fastify({
    loggerInstance: log,
    genReqId: () => randomUUID(),
    // Resource ids are longer than the router would take by itself.
    routerOptions: { maxParamLength: 1024 },
    bodyLimit: 1_048_576,
    // Waiting stop calls and kept-open connections must not hold up the end of the server.
    forceCloseConnections: true,
    // What the router cannot read is no route; without this the answer would have a shape of its own.
    frameworkErrors: (_error, request, reply) => {
      reply.header('X-Request-Id', request.id);
      return sendError(problem('no-route'), request, reply);
    },
    logController: new LogController({ disableRequestLogging: true }),
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    request.log.debug({ method, url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, 'request');
  });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => sendError(problem('no-route'), request, reply));
  return app;
}
