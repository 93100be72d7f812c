/**
 * GET /v1/ncs/ip and /v2/ncs/ip: the addresses that webhooks come from, for customers with a firewall (contract §0.2).
 * Any customer may ask.
 */
import { networkInterfaces } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { authenticate, type CustomerAccount } from './auth.ts';
import { REGION } from './paths.ts';

export type NcsOptions = {
  customers: readonly CustomerAccount[];
  /** The IP addresses to tell; when none are given, the present addresses of this machine. */
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

/** The addresses at which others see this machine; loopback when there are no others. */
export function machineAddresses(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string[] {
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? []);
  // Link-local addresses do not pass a router, so no firewall sees them.
  const seen = all.filter(({ address, internal }) => !internal && !/^(fe[89ab].:|169\.254\.)/i.test(address));
  return [...new Set((seen.length > 0 ? seen : all).map(({ address }) => address))];
}
