/**
 * POST /v1/aircheck/drain: this server takes no new recordings and channels from now on, and goes on with those that it
 * has. POST /v1/aircheck/undrain: it takes them again. For operators. Aircheck's own, not of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { authorizeOperator, type CustomerAccount } from './auth.ts';

export type DrainApi = {
  customers: readonly CustomerAccount[];
  drain(draining: boolean): Promise<void>;
};

export function drainRoutes(app: FastifyInstance, { customers, drain }: DrainApi): void {
  for (const [path, draining] of [
    ['/v1/aircheck/drain', true],
    ['/v1/aircheck/undrain', false],
  ] as const)
    app.post(path, { onRequest: async (request) => authorizeOperator(request, customers) }, async () => {
      await drain(draining);
      return { draining };
    });
}
