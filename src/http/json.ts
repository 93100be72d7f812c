/**
 * Reads a JSON body whatever its content type is called: clients spell it in many ways, and some not at all.
 */
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';

export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      // An empty body is judged like a missing one, by the schema of its endpoint.
      done(null, body === '' ? undefined : JSON.parse(body as string));
    } catch (cause) {
      const reason = `api body validate failed! the body is not JSON: ${(cause as Error).message}`;
      done(problem('request-invalid', reason, { cause }));
    }
  });
}
