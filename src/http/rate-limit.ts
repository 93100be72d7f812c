/**
 * How many calls a second one App ID may make (contract §0.6). Calls are counted before authorization (§2.4), so that a
 * client with wrong credentials is limited too.
 */
import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';
import type { Clock } from '../kernel/clock.ts';
import { WindowCounts } from './window-counts.ts';

export type RateLimit = {
  /** Calls a second for one App ID; 0 sets no limit. */
  perS: number;
  clock: Clock;
  /** Counts the calls, in a fleet with those of other nodes; when absent a counter of this server's own does. */
  counts?: WindowCounts;
};

const WINDOW_MS = 1000;
const APP_ID = /^[0-9a-fA-F]{32}$/;

/**
 * Limits the routes of `app` that are registered after it, by the `appid` of their path. Calls beyond the limit are
 * answered `rate-limited`, with Retry-After in seconds. Await it before adding hooks that must run later.
 */
export async function limitRate(
  app: FastifyInstance,
  { perS, clock, counts = new WindowCounts(clock) }: RateLimit,
): Promise<void> {
  if (perS === 0) return;
  await app.register(rateLimit, {
    global: false,
    max: perS,
    timeWindow: WINDOW_MS,
    enableDraftSpec: true,
    // Everything that cannot be an App ID of ours is counted under one key; else a caller could make up keys as long as
    // a path.
    keyGenerator: ({ params }) => {
      const { appid = '' } = params as { appid?: string };
      return APP_ID.test(appid) ? appid : '';
    },
    errorResponseBuilder: () => problem('rate-limited'),
    // The plugin makes a store for each route; all routes of an app share one count.
    store: class implements FastifyRateLimitStore {
      incr: FastifyRateLimitStore['incr'] = (...given) => counts.incr(...given);
      child(): this {
        return this;
      }
    },
  });
  app.addHook('onRequest', app.rateLimit());
}
