/**
 * The HTTP server: what every request and answer share. Plain HTTP, or HTTPS with HTTP/2 and HTTP/1.1 on the same port.
 * Routes are registered by whoever builds it.
 */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
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
};

/** Bytes of a body; what is larger is answered 413. */
export const BODY_LIMIT_BYTES = 1_048_576;
/**
 * A request that has not come in whole after this time ends its connection: one byte at a time would hold it for ever.
 */
const REQUEST_TIMEOUT_MS = 60_000;

/** @throws Fault `tls-invalid` when the certificate and key cannot be served with */
export function buildHttp({ log, tls, legacyErrorCodes = false }: HttpOptions): FastifyInstance {
  if (tls) checkTls(tls);
  const sendError = errorSender({ legacyErrorCodes });
  const options: FastifyServerOptions = {
    loggerInstance: log,
    genReqId: () => randomUUID(),
    // Resource ids are longer than the router would take by itself.
    routerOptions: { maxParamLength: 1024 },
    rewriteUrl: ({ url = '/' }) => toPlainUrl(url),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // Waiting stop calls and kept-open connections must not hold up the end of the server.
    forceCloseConnections: true,
    // What the router cannot read is no route; without this the answer would have a shape of its own.
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
    // Before the body is read: what has no route has no use for one, be it JSON or not.
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

/** Takes the port. Throws a Fault `port-unusable` that says which settings to change. */
export async function listen(app: FastifyInstance, { host, port }: { host: string; port: number }): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    const message = `cannot listen on TCP ${host}:${port}: ${messageOf(cause)}. Set AIRCHECK_HOST and AIRCHECK_PORT.`;
    throw new Fault('port-unusable', message, { blame: 'caller', cause });
  }
}

/**
 * The same server over TLS. Its type differs only in the raw request and reply below Fastify's own, which no route
 * touches.
 */
function overTls(options: FastifyServerOptions, { cert, key }: TlsIdentity): FastifyInstance {
  const app = fastify({ ...(options as object), http2: true, https: { cert, key, allowHTTP1: true } });
  const { server } = app;
  // For its HTTP/1.1 half; the types do not know of it, and Fastify sets it on plain servers only.
  Object.assign(server, { requestTimeout: REQUEST_TIMEOUT_MS });
  // A server for both versions cannot close its own connections at once, as a plain one can; one open session would
  // hold it up.
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
  // Fastify sets it beside some errors; HTTP/2 has no such header, and Node warns of it.
  app.addHook('onSend', async (request, reply) => {
    if (request.raw.httpVersionMajor === 2) reply.removeHeader('connection');
  });
  return app as unknown as FastifyInstance;
}

/** Answers what is not HTTP, or too much or too slow of it: a bare status line, as there is no request to answer. */
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
