/**
 * The page at GET /docs, which Swagger UI makes of the document, with all its parts. It is made by a Fastify that
 * listens nowhere: nothing can be added to the one that does once it has started, and most servers are never asked for
 * this page.
 */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { type FastifyInstance, fastify } from 'fastify';
import type { OpenApiDocument } from '../contract/openapi.ts';

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

/** Answers requests below /docs that are injected into it. */
export async function openDocsUi(document: OpenApiDocument): Promise<FastifyInstance> {
  const ui = fastify();
  await ui.register(swagger, {
    mode: 'static',
    specification: { document: { openapi: '3.1.0', info: { title: 'Aircheck', version: '1' }, paths: {} } },
  });
  await ui.register(swaggerUi, {
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
    transformSpecificationClone: false,
    // The plugin's types know other documents than ours.
    transformSpecification: () => ({ ...document }),
  });
  await ui.ready();
  return ui;
}
