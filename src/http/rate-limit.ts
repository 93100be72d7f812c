/**
 * How many calls a second one App ID may make (contract §0.6). Calls are counted before authorization (§2.4), so that a
 * client with wrong credentials is limited too.
 */
import type { IncomingHttpHeaders } from 'node:http';
import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';
import type { Clock } from '../kernel/clock.ts';
import { WindowCounts } from './window-counts.ts';

export type RateLimit = {
  /** Calls a second for one App ID; 0 sets no limit. */
  perS: number;
  clock: Clock;
  /** What counts these calls apart from others of the App ID; when absent they count together. */
  apart?: string;
  /** Counts the calls, in a fleet with those of other nodes; when absent a counter of this server's own does. */
  counts?: WindowCounts;
};

/** A page of the dashboard asks for several things at once, and must not take calls from the app's own clients. */
const BROWSER_SHARES = 5;
const WINDOW_MS = 1000;
const APP_ID = /^[0-9a-fA-F]{32}$/;

/** Whether the call comes with a cookie in the place of credentials. */
function isBrowsers({ authorization, cookie }: IncomingHttpHeaders): boolean {
  return authorization === undefined && cookie !== undefined;
}

/**
 * Limits the routes of `app` that are registered after it, by the `appid` of their path. Calls beyond the limit are
 * answered `rate-limited`, with Retry-After in seconds. Await it before adding hooks that must run later.
 */
export async function limitRate(
  app: FastifyInstance,
  { perS, clock, apart = '', counts = new WindowCounts(clock) }: RateLimit,
): Promise<void> {
  if (perS === 0) return;
  await app.register(rateLimit, {
    global: false,
    max: ({ headers }) => (isBrowsers(headers) ? perS * BROWSER_SHARES : perS),
    timeWindow: WINDOW_MS,
    enableDraftSpec: true,
    // Everything that cannot be an App ID of ours is counted under one key; else a caller could make up keys as long as
    // a path.
    keyGenerator: ({ params, headers }) => {
      const { appid = '' } = params as { appid?: string };
      return `${apart}${isBrowsers(headers) ? 'browser ' : ''}${APP_ID.test(appid) ? appid : ''}`;
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
