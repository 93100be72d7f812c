/**
 * GET /openapi.json: what this server answers, as an OpenAPI 3.1 document; GET /docs: a page to read it and try it out.
 * The page needs nothing from other hosts. The document is made when somebody first asks for it. Beside it lie the
 * pages of the documentation.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyPluginAsync } from 'fastify';
import type { OpenApiDocument } from '../contract/openapi.ts';
import { docPageRoutes } from './doc-pages.ts';

/** The page needs inline styles for its layout; scripts come only from this server. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
].join('; ');

type Documents = { document: OpenApiDocument; json: string };

export const docsRoutes: FastifyPluginAsync = async (server) => {
  let made: Documents | undefined;
  let making: Promise<Documents> | undefined;
  // Loading the code takes longer than making the document, and most servers are never asked for it.
  const make = async (): Promise<Documents> => {
    const { openApiDocument } = await import('../contract/openapi.ts');
    const document = openApiDocument();
    made = { document, json: JSON.stringify(document) };
    return made;
  };
  const documents = () => {
    making ??= make();
    return making;
  };

  server.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff').header('referrer-policy', 'no-referrer');
  });
  server.get('/openapi.json', { exposeHeadRoute: false }, async (_request, reply) => {
    const { json } = await documents();
    return reply.type('application/json; charset=utf-8').header('cache-control', 'no-cache').send(json);
  });

  await server.register(docPageRoutes);

  // The page's plugin asks for a document now and takes another at each request, so nobody sees this one.
  await server.register(swagger, {
    mode: 'static',
    specification: { document: { openapi: '3.1.0', info: { title: 'Aircheck', version: '1' }, paths: {} } },
  });
  await server.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: CONTENT_SECURITY_POLICY,
    theme: { title: 'Aircheck: API' },
    uiConfig: {
      // Leaves out the bar at the top, which asks for the address of another document.
      layout: 'BaseLayout',
      deepLinking: true,
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
    },
    uiHooks: {
      preHandler: async () => {
        await documents();
      },
    },
    transformSpecificationClone: false,
    // The hook has made sure that there is a document.
    transformSpecification: () => ({ ...made?.document }),
  });
};
