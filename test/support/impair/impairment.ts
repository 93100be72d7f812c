/**
 * Impairment: what a bad network does to one direction of datagrams, as a pure function of their times, sizes and a
 * seed. The proxy (udp-proxy.ts) carries it out.
 */
import { seededRandom } from './random.ts';

/** All parts are independent and may be combined. Shares are from 0 to 1. */
export type Impairment = {
  /** Share of datagrams that get lost, each for itself. */
  loss?: number;
  /**
   * Loss in bursts (Gilbert-Elliott): how likely a datagram begins a burst, ends one, and is lost within one (1 when
   * left out).
   */
  bursts?: { begin: number; end: number; loss?: number };
  delayMs?: number;
  /** Added to the delay of each datagram, uniform from 0 to this: datagrams closer together than that change order. */
  jitterMs?: number;
  /** Share of datagrams that are held back by `byMs`, so that later ones overtake them. */
  reorder?: { share: number; byMs: number };
  /** Share of datagrams that arrive twice. */
  duplicate?: number;
  /** A bottleneck with a queue before it; what would wait longer than `maxQueueMs` is dropped. */
  rate?: { kbps: number; maxQueueMs: number };
  /** Nothing gets through from `fromS` to `toS`, seconds from the moment the proxy is told is zero. */
  blackouts?: readonly { fromS: number; toS: number }[];
};

export type WayCounters = { taken: number; lost: number; duplicated: number };

/** IPv4 and UDP headers, which a bottleneck carries too. */
const HEADER_BYTES = 28;

/**
 * One direction. Keeps what the next datagram's fate depends on: the burst, the queue and the row of random numbers.
 */
export class ImpairedWay {
  readonly counters: WayCounters = { taken: 0, lost: 0, duplicated: 0 };
  readonly #impairment: Impairment;
  readonly #random: () => number;
  #inBurst = false;
  /** When the bottleneck has sent all that waits before it. */
  #freeAtMs = Number.NEGATIVE_INFINITY;

  /** Throws a RangeError for shares outside 0 to 1 and for negative times or rates. */
  constructor(impairment: Impairment, seed: number) {
    check(impairment);
    this.#impairment = impairment;
    this.#random = seededRandom(seed);
  }

  /**
   * When a datagram that comes at `nowMs` goes on: one time, two when it is duplicated, none when it is lost.
   * @param bytes its payload
   * @param zeroMs what blackouts count from; without it there are none
   */
  pass(nowMs: number, bytes: number, zeroMs?: number): number[] {
    const {
      loss = 0,
      bursts,
      delayMs = 0,
      jitterMs = 0,
      reorder,
      duplicate = 0,
      rate,
      blackouts = [],
    } = this.#impairment;
    // Always as many numbers for a datagram, so that adding a part leaves the fates that the others decide.
    const [lossDraw, burstDraw, insideDraw, jitterDraw, reorderDraw, duplicateDraw] = Array.from({ length: 6 }, () =>
      this.#random(),
    ) as [number, number, number, number, number, number];
    this.counters.taken++;
    if (bursts) this.#inBurst = this.#inBurst ? burstDraw >= bursts.end : burstDraw < bursts.begin;
    const atS = zeroMs === undefined ? Number.NaN : (nowMs - zeroMs) / 1000;
    const isLost =
      lossDraw < loss ||
      (this.#inBurst && insideDraw < (bursts?.loss ?? 1)) ||
      blackouts.some(({ fromS, toS }) => atS >= fromS && atS < toS);
    let throughMs = nowMs;
    if (!isLost && rate) {
      const beginsMs = Math.max(nowMs, this.#freeAtMs);
      if (beginsMs - nowMs > rate.maxQueueMs) {
        this.counters.lost++;
        return [];
      }
      this.#freeAtMs = beginsMs + ((bytes + HEADER_BYTES) * 8) / rate.kbps;
      throughMs = this.#freeAtMs;
    }
    if (isLost) {
      this.counters.lost++;
      return [];
    }
    const heldMs = reorder && reorderDraw < reorder.share ? reorder.byMs : 0;
    const dueMs = throughMs + delayMs + jitterDraw * jitterMs + heldMs;
    if (duplicateDraw >= duplicate) return [dueMs];
    this.counters.duplicated++;
    return [dueMs, dueMs];
  }
}

function check(impairment: Impairment): void {
  const { loss, bursts, delayMs, jitterMs, reorder, duplicate, rate, blackouts } = impairment;
  const shares = {
    loss,
    begin: bursts?.begin,
    end: bursts?.end,
    inside: bursts?.loss,
    reorder: reorder?.share,
    duplicate,
  };
  for (const [name, share] of Object.entries(shares))
    if (share !== undefined && !(share >= 0 && share <= 1))
      throw new RangeError(`${name} is a share from 0 to 1, not ${share}`);
  const times = { delayMs, jitterMs, byMs: reorder?.byMs, maxQueueMs: rate?.maxQueueMs };
  for (const [name, ms] of Object.entries(times))
    if (ms !== undefined && !(ms >= 0)) throw new RangeError(`${name} is a time from 0 on, not ${ms}`);
  if (rate && !(rate.kbps > 0)) throw new RangeError(`kbps is a rate above 0, not ${rate.kbps}`);
  for (const { fromS, toS } of blackouts ?? [])
    if (!(toS > fromS)) throw new RangeError(`a blackout from ${fromS} to ${toS} s never is`);
}
