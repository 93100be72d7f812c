/** WindowCounts: how many calls each key has made in a window of time. */

import type { FastifyRateLimitStore } from '@fastify/rate-limit';
import type { Clock } from '../kernel/clock.ts';
import type { HostUs } from '../kernel/time.ts';

/**
 * How many App IDs are counted at once; beyond, the one that called least recently is forgotten. Anybody can name any
 * number of them.
 */
const MAX_COUNTED = 5000;

type Window = { beganUs: HostUs; count: number };

/**
 * Calls by key, in windows of a second. They go by the monotonic clock: a step of the wall clock must not lock a
 * customer out.
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

  /** All routes of an app share one count. */
  child(): this {
    return this;
  }
}
