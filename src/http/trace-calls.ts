/** Tells of each REST call, for traces. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { REGION } from './paths.ts';

/** A call whose route is known, and has not been answered yet. */
type TracedCall = {
  method: string;
  /** The path with the names of its parameters, without a region. */
  route: string;
  params: Readonly<Record<string, string>>;
  /** Which trace it belongs to (W3C Trace Context). */
  traceparent: string | undefined;
  tracestate: string | undefined;
};
/** Told of a call when it comes in; returns what is told when it was answered. */
export type CallObserver = (call: TracedCall) => (status: number) => void;

/** What a parameter of a route must be, behind its name. */
const WORDS_OF_PARAMETER = /\(\^.*?\$\)/g;

/** Must be called before the routes are registered. */
export function traceCalls(app: FastifyInstance, observe: CallObserver): void {
  const open = new WeakMap<FastifyRequest, (status: number) => void>();
  app.addHook('onRequest', async (request) => {
    const route = request.routeOptions.url?.replace(REGION, '').replace(WORDS_OF_PARAMETER, '');
    // What is not the API is no call: health checks, metrics, pages.
    if (!route?.startsWith('/v1/')) return;
    const { traceparent, tracestate } = request.headers;
    const params = request.params as Record<string, string>;
    const headers = { traceparent: one(traceparent), tracestate: one(tracestate) };
    open.set(request, observe({ method: request.method, route, params, ...headers }));
  });
  app.addHook('onResponse', async (request, reply) => open.get(request)?.(reply.statusCode));
}

/** A header that came several times names no trace. */
function one(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
