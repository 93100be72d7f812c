/**
 * WindowCounts: how many calls each key has made in a window of time, here and, in a fleet, on other nodes.
 */

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
export class WindowCounts {
  readonly #clock: Clock;
  /** In the order of their last call. */
  readonly #windows = new Map<string, Window>();
  readonly #callsElsewhere: (key: string) => number;
  /** Calls since they were last taken, and those that were taken last. */
  #tally = new Map<string, number>();
  #lastTally = new Map<string, number>();

  /** @param callsElsewhere how many calls a key makes at other nodes in such a window */
  constructor(clock: Clock, callsElsewhere: (key: string) => number = () => 0) {
    this.#clock = clock;
    this.#callsElsewhere = callsElsewhere;
  }

  get size(): number {
    return this.#windows.size;
  }

  incr(
    key: string,
    callback: (error: Error | null, result?: { current: number; ttl: number }) => void,
    windowMs: number,
    max = Number.POSITIVE_INFINITY,
  ): void {
    const nowUs = this.#clock.monoUs();
    const last = this.#windows.get(key);
    const alive = last && nowUs - last.beganUs < windowMs * 1000;
    const window = alive ? { ...last, count: last.count + 1 } : { beganUs: nowUs, count: 1 };
    this.#windows.delete(key);
    this.#windows.set(key, window);
    if (this.#windows.size > MAX_COUNTED) this.#windows.delete(this.#windows.keys().next().value as string);
    if (this.#tally.has(key) || this.#tally.size < MAX_COUNTED) this.#tally.set(key, (this.#tally.get(key) ?? 0) + 1);
    const current = this.#inAll(key, window.count, max);
    callback(null, { current, ttl: windowMs - (nowUs - window.beganUs) / 1000 });
  }

  /** How many calls each key has made here since this was last asked, those that were refused among them. */
  take(): ReadonlyMap<string, number> {
    this.#lastTally = this.#tally;
    this.#tally = new Map();
    return this.#lastTally;
  }

  /**
   * The count to hold against `max`. Where a key makes too many calls on all nodes together, each node lets through its
   * share of them, by how many come to it.
   */
  #inAll(key: string, count: number, max: number): number {
    const elsewhere = this.#callsElsewhere(key);
    if (count + elsewhere <= max) return count + elsewhere;
    const here = Math.max(count, this.#lastTally.get(key) ?? 0);
    return count <= (max * here) / (here + elsewhere) ? max : count + elsewhere;
  }
}
