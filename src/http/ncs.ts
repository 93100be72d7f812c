/**
 * GET /v1/ncs/ip and /v2/ncs/ip: where webhooks come from, for those who keep a firewall (contract §0.2). Any customer
 * may ask.
 */
import { networkInterfaces } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { authenticate, type CustomerAccount } from './auth.ts';
import { REGION } from './paths.ts';

export type NcsOptions = {
  customers: readonly CustomerAccount[];
  /** IP addresses to tell; none means the addresses of this machine, as they are when asked. */
  sourceIps?: readonly string[] | undefined;
};

export function ncsRoutes(app: FastifyInstance, { customers, sourceIps = [] }: NcsOptions): void {
  for (const region of ['', REGION]) {
    for (const version of ['v1', 'v2']) {
      app.get(
        `${region}/${version}/ncs/ip`,
        {
          exposeHeadRoute: false,
          onRequest: async ({ headers }) => void authenticate(headers.authorization, customers),
        },
        () => {
          const addresses = sourceIps.length > 0 ? sourceIps : machineAddresses();
          return { data: { service: { hosts: addresses.map((primaryIP) => ({ primaryIP })) } } };
        },
      );
    }
  }
}

/** What others see this machine as; loopback where there is nothing else. */
export function machineAddresses(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? []);
  // Link-local addresses are not seen beyond the next router, and no firewall is told of them.
  const seen = all.filter(({ address, internal }) => !internal && !/^(fe[89ab].:|169\.254\.)/i.test(address));
  return [...new Set((seen.length > 0 ? seen : all).map(({ address }) => address))];
}
