/**
 * How many calls a second one App ID may make (contract §0.6). Counted before authorization (§2.4), so a client that
 * asks in vain is held up as well.
 */
import rateLimit, { type FastifyRateLimitStore } from '@fastify/rate-limit';
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';
import type { Clock } from '../kernel/clock.ts';

export type RateLimit = {
  /** Calls a second of one App ID; 0 sets no limit. */
  perS: number;
  clock: Clock;
};

const WINDOW_MS = 1000;
/** App IDs counted at a time; beyond, the one longest unseen is forgotten. Strangers can name any number of them. */
const MAX_COUNTED = 5000;
const APP_ID = /^[0-9a-fA-F]{32}$/;

/**
 * Limits the routes of `app` that are registered after it, by the `appid` of their path. Calls beyond the limit are
 * answered `rate-limited`, with Retry-After in seconds. Must be awaited before hooks that are to run later are added.
 */
export async function limitRate(app: FastifyInstance, { perS, clock }: RateLimit): Promise<void> {
  if (perS === 0) return;
  await app.register(rateLimit, {
    global: false,
    max: perS,
    timeWindow: WINDOW_MS,
    enableDraftSpec: true,
    // What can be no App ID of ours is counted as one; else a caller could make up keys as long as paths may be.
    keyGenerator: ({ params }) => {
      const { appid = '' } = params as { appid?: string };
      return APP_ID.test(appid) ? appid : '';
    },
    errorResponseBuilder: () => problem('rate-limited'),
    store: class extends WindowCounts {
      constructor() {
        super(clock);
      }
    },
  });
  app.addHook('onRequest', app.rateLimit());
}

type Window = { beganUs: number; count: number };

/**
 * Calls by key in windows of a second. By the monotonic clock: a step of the wall clock must not shut a customer out.
 */
export class WindowCounts implements FastifyRateLimitStore {
  readonly #clock: Clock;
  /** In the order of their last call. */
  readonly #windows = new Map<string, Window>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#windows.size;
  }

  incr(
    key: string,
    callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
    windowMs: number,
  ): void {
    const nowUs = this.#clock.monoUs();
    const last = this.#windows.get(key);
    const alive = last && nowUs - last.beganUs < windowMs * 1000;
    const window = alive ? { ...last, count: last.count + 1 } : { beganUs: nowUs, count: 1 };
    this.#windows.delete(key);
    this.#windows.set(key, window);
    if (this.#windows.size > MAX_COUNTED) this.#windows.delete(this.#windows.keys().next().value as string);
    callback(null, { current: window.count, ttl: windowMs - (nowUs - window.beganUs) / 1000 });
  }

  /** All routes of an app share its count. */
  child(): this {
    return this;
  }
}
