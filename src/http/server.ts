/**
 * The HTTP server: what all requests and answers share. Plain HTTP, or HTTPS with HTTP/2 and HTTP/1.1 on the same port.
 * Whoever builds it registers the routes.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyServerOptions,
  fastify,
  LogController,
} from 'fastify';
import { problem } from '../contract/problems.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { errorSender } from './errors.ts';
import { toPlainUrl } from './paths.ts';
import { checkTls, type TlsIdentity } from './tls.ts';

export type HttpOptions = {
  log: FastifyBaseLogger;
  /** Serves HTTPS instead of plain HTTP. */
  tls?: TlsIdentity | undefined;
  /** Send the finer codes in use until 2026 (contract §2.2); default false. */
  legacyErrorCodes?: boolean;
  /** Goes on with the ids of requests that other nodes carry here; default false. */
  takesRequestIds?: boolean;
};

/** Size limit of a body, bytes; a larger one is answered 413. */
export const BODY_LIMIT_BYTES = 1_048_576;
/**
 * A request that has not arrived completely in this time ends its connection; else one byte at a time would keep it
 * open for ever.
 */
const REQUEST_TIMEOUT_MS = 60_000;

/** @throws Fault `tls-invalid` when the certificate and key cannot be used */
export function buildHttp(given: HttpOptions): FastifyInstance {
  const { log, tls, legacyErrorCodes = false, takesRequestIds = false } = given;
  if (tls) checkTls(tls);
  const sendError = errorSender({ legacyErrorCodes });
  const options: FastifyServerOptions = {
    loggerInstance: log,
    genReqId: ({ headers }) => (takesRequestIds && requestIdIn(headers)) || randomUUID(),
    // Resource ids are longer than the router allows by default.
    routerOptions: { maxParamLength: 1024 },
    rewriteUrl: ({ url = '/' }) => toPlainUrl(url),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Stop calls that wait, and connections that clients keep open, must not delay the end of the server.
    forceCloseConnections: true,
    // Bodies are checked by schemas of ours (src/contract). Fastify's own would be loaded with every server.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    // A path that the router cannot read is no route; without this the answer would have another shape.
    frameworkErrors: (_error, request, reply) => {
      reply.header('X-Request-Id', request.id);
      return sendError(problem('no-route'), request, reply);
    },
    clientErrorHandler: (error, socket) => refuseUnreadable(error, socket as Socket),
    logController: new LogController({ disableRequestLogging: true }),
  };
  const app = tls ? overTls(options, tls) : fastify(options);

  app.addHook('onRequest', async (request, reply) => {
    reply.header('X-Request-Id', request.id);
    // Answered before the body is read: a path without a route needs none, JSON or not.
    if (request.is404 && request.method !== 'GET') throw problem('no-route');
  });
  app.addHook('onResponse', async (request, reply) => {
    const { method, url } = request;
    request.log.debug({ method, url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }, 'request');
  });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler((request, reply) => sendError(problem('no-route'), request, reply));
  return app;
}

/** Called for a route that has a schema for Fastify, of which there are none. */
function noSchemas(): never {
  throw new Fault('invariant', 'routes have no schemas for Fastify', { blame: 'self' });
}

/** A request id of ours. */
function requestIdIn(headers: IncomingHttpHeaders): string | undefined {
  const id = headers['x-request-id'];
  return typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id) ? id : undefined;
}

/**
 * Opens the port. Throws a Fault `port-unusable` that says which settings to change.
 * @param settings what the port and its address are set by, in words
 */
export async function listen(
  app: FastifyInstance,
  { host, port }: { host: string; port: number },
  settings = 'AIRCHECK_HOST and AIRCHECK_PORT',
): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const message = `cannot listen on TCP ${host}:${port}: ${messageOf(cause)}. Set ${settings}.`;
    throw new Fault('port-unusable', message, { blame: 'caller', cause });
  }
}

/** An address at which this machine reaches a server whose port is open. */
export function urlOf({ server }: FastifyInstance, scheme: 'http' | 'https'): string {
  const { address, family, port } = server.address() as AddressInfo;
  const host =
    address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '[::1]' : family === 'IPv6' ? `[${address}]` : address;
  return `${scheme}://${host}:${port}`;
}

/**
 * The same server over TLS. Its type differs only in the raw request and reply beneath Fastify's, which no route uses.
 */
function overTls(options: FastifyServerOptions, { cert, key, clientCa }: TlsIdentity): FastifyInstance {
  const ofClients = clientCa && { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  const app = fastify({ ...(options as object), http2: true, https: { cert, key, ...ofClients, allowHTTP1: true } });
  const { server } = app;
  // For HTTP/1.1 on this server: its types do not have the member, and Fastify sets it only on plain servers.
  Object.assign(server, { requestTimeout: REQUEST_TIMEOUT_MS });
  // Unlike a plain server, one for both versions cannot close its connections at once; one open session would delay it.
  const sockets = new Set<Socket>();
  let closing = false;
  server.on('connection', (socket: Socket) => {
    if (closing) return void socket.destroy();
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  app.addHook('preClose', async () => {
    closing = true;
    for (const socket of sockets) socket.destroy();
  });
  // Fastify sets this header on some errors; HTTP/2 does not have it, and Node warns about it.
  app.addHook('onSend', async (request, reply) => {
    if (request.raw.httpVersionMajor === 2) reply.removeHeader('connection');
  });
  return app as unknown as FastifyInstance;
}

/**
 * Answers what is not HTTP, or is too large or too slow: with a bare status line, because there is no request to
 * answer.
 */
function refuseUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
