/**
 * GET /metrics: what Prometheus reads. Aircheck's own, not of the contract. A customer that may use only some apps sees
 * the recordings of those; one that may use all is the operator, and sees the whole server. On a port of its own
 * (`metricsPort`) everybody is.
 */
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { authenticate, type CustomerAccount } from './auth.ts';
import { buildHttp, listen } from './server.ts';

const TEXT = 'text/plain; version=0.0.4; charset=utf-8';

export type MetricsSource = {
  /** All there is. */
  ofServer(): Promise<string>;
  /** What is known of the recordings of these apps. */
  ofApps(apps: readonly string[]): Promise<string>;
};

export function metricsRoute(
  app: FastifyInstance,
  { customers, source }: { customers: readonly CustomerAccount[]; source: MetricsSource },
): void {
  app.get('/metrics', async (request, reply) => {
    const { apps } = authenticate(request.headers.authorization, customers);
    return reply.type(TEXT).send(await (apps ? source.ofApps(apps) : source.ofServer()));
  });
}

/**
 * Opens a port that has nothing else, without credentials: for a private network. Throws as `listen` does.
 * @returns what closes it
 */
export async function openMetricsPort(
  source: MetricsSource,
  options: { host: string; port: number; log: FastifyBaseLogger },
): Promise<FastifyInstance> {
  const app = buildHttp({ log: options.log });
  app.get('/metrics', async (_request, reply) => reply.type(TEXT).send(await source.ofServer()));
  await listen(app, options, 'AIRCHECK_METRICS_HOST and AIRCHECK_METRICS_PORT');
  return app;
}
