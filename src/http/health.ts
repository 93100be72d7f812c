/**
 * GET /healthz: 200 while the server can do its work, else 503 with the reason. Without credentials, for load
 * balancers.
 */
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../kernel/fault.ts';

/** @param check rejects when something does not work that recordings need */
export function healthRoute(app: FastifyInstance, check: () => Promise<{ recordings: number }>): void {
  app.get('/healthz', async (request, reply) => {
    try {
      return { status: 'ok', ...(await check()) };
    } catch (error) {
      request.log.error({ err: error }, 'the server is not healthy');
      return reply.code(503).send({ status: 'failing', reason: messageOf(error) });
    }
  });
}
