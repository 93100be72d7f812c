/**
 * GET /openapi.json: what this server answers, as an OpenAPI 3.1 document; GET /docs: a page to read it and try it out.
 * The page needs nothing from other hosts. Both are made, and what makes them is loaded, when somebody first asks for
 * them. Beside them lie the pages of the documentation.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';
import { docPageRoutes } from './doc-pages.ts';

/** What of a request for a part of the page says whether it is sent, and how much of it. */
const CONDITIONS = ['if-none-match', 'if-modified-since', 'if-range', 'range'] as const;
/** The connection is not the page's. */
const OF_THE_CONNECTION = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding']);

export const docsRoutes: FastifyPluginAsync = async (server) => {
  const document = once(async () => (await import('../contract/openapi.ts')).openApiDocument());
  const json = once(async () => JSON.stringify(await document()));
  const ui = once(async () => (await import('./docs-ui.ts')).openDocsUi(await document()));

  server.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
  });
  server.get('/openapi.json', { exposeHeadRoute: false }, async (_request, reply) =>
    reply
      .type('application/json; charset=utf-8')
      .header('cache-control', 'no-cache')
      .send(await json()),
  );

  await server.register(docPageRoutes);

  for (const url of ['/docs', '/docs/', '/docs/json', '/docs/yaml', '/docs/static/*'])
    server.get(url, async (request, reply) => answerFrom(await ui(), request, reply));
};

async function answerFrom(ui: FastifyInstance, { url, headers }: FastifyRequest, reply: FastifyReply) {
  const conditions = CONDITIONS.flatMap((name) => (headers[name] === undefined ? [] : [[name, headers[name]]]));
  const answer = await ui.inject({ method: 'GET', url, headers: Object.fromEntries(conditions) });
  if (answer.statusCode === 404) throw problem('no-route');
  const told = Object.entries(answer.headers).filter(([name]) => !OF_THE_CONNECTION.has(name));
  return reply.code(answer.statusCode).headers(Object.fromEntries(told)).send(answer.rawPayload);
}

/** `make`, which is called once for all that ask, and again after it has failed. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((error) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}
