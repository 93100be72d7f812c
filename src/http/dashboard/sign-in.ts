/**
 * /v1/aircheck/session: signing in to the dashboard, asking who is signed in, and signing out. Aircheck's own, not of
 * the contract.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { problem } from '../../contract/problems.ts';
import { type SessionReply, SIGN_IN_WORDS, signInSchema } from '../../contract/rest/session.ts';
import { type CustomerAccount, findCustomer } from '../auth.ts';
import { acceptJson } from '../json.ts';
import type { WindowCounts } from '../window-counts.ts';
import { requireDashboard, type Sessions } from './sessions.ts';

const WINDOW_MS = 60_000;
/** Attempts in such a window from one address; behind a proxy all users share one. */
const MOST_OF_ADDRESS = 100;
/** And for one customer id. */
const MOST_OF_CUSTOMER = 10;

export type SignInApi = {
  sessions: Sessions;
  customers: readonly CustomerAccount[];
  /** All App IDs of the server. */
  appids(): readonly string[];
  version: string;
  counts: WindowCounts;
};

export function signInRoutes(app: FastifyInstance, { sessions, customers, appids, version, counts }: SignInApi): void {
  const path = '/v1/aircheck/session';
  const toReply = (customer: CustomerAccount): SessionReply => ({
    customer: customer.id,
    apps: [...(customer.apps?.filter((appid) => appids().includes(appid)) ?? appids())],
    operator: customer.apps === undefined,
    version,
  });
  const plugin: FastifyPluginAsync = async (routes) => {
    acceptJson(routes);
    routes.addHook('onSend', async (_request, reply) => {
      reply.header('cache-control', 'no-store');
    });

    routes.post(path, async (request, reply) => {
      requireDashboard(request);
      const given = signInSchema.safeParse(request.body);
      if (!given.success) throw problem('request-invalid', `api body validate failed! ${SIGN_IN_WORDS}`);
      const { customerId, customerSecret } = given.data;
      requireFew(counts, request, customerId);
      const customer = findCustomer({ id: customerId, secret: customerSecret }, customers);
      await sessions.begin(request, reply, customer);
      return toReply(customer);
    });

    routes.get(path, { exposeHeadRoute: false }, async (request) => {
      const customer = await sessions.customerOf(request);
      if (!customer) throw problem('session-over');
      return toReply(customer);
    });

    routes.delete(path, async (request, reply) => {
      await sessions.end(request, reply);
      return {};
    });
  };
  app.register(plugin);
}

/** Counted before the secret is looked at. Throws `rate-limited`. */
function requireFew(counts: WindowCounts, { ip }: FastifyRequest, customerId: string): void {
  const limits: [string, number][] = [
    [`sign-in ${ip}`, MOST_OF_ADDRESS],
    [`sign-in ${ip} ${customerId}`, MOST_OF_CUSTOMER],
  ];
  for (const [key, most] of limits)
    counts.incr(
      key,
      (_error, counted) => {
        if ((counted?.current ?? 0) > most) throw problem('rate-limited');
      },
      WINDOW_MS,
    );
}
