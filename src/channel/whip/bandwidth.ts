/**
 * How much a publisher is told it may send (REMB) when it does not estimate that itself from transport-wide feedback.
 * It begins with more than anyone sends, so that a clean path holds nobody back, and falls with loss and with a growing
 * queue. The thresholds of loss are those of draft-ietf-rmcat-gcc-02 §6.
 */
import { type HostUs, US } from '../../kernel/time.ts';
import type { ReportBlock } from '../../stages/rtp/rtcp.ts';
import { TimestampUnwrapper } from '../../stages/rtp/sequence.ts';
import { SlidingMinimum } from '../../stages/rtp/sliding-minimum.ts';

export const MIN_BITRATE_BPS = 150_000;
export const START_BITRATE_BPS = 10_000_000;
export const MAX_BITRATE_BPS = 20_000_000;

const HIGH_LOSS = 0.1;
const LOW_LOSS = 0.02;
const DECREASE = 0.85;
const INCREASE = 1.08;
/** Packets that wait this long, and longer by one step than a second ago, stand in a growing queue. */
const QUEUE_MS = 100;
const STEP_MS = 20;

/** What came in within about the last second. */
export type Interval = {
  /** 0..1 */
  lossRatio: number;
  receivedBps: number;
  /** How long packets waited on the way: the least of the interval, see `QueueDelay`. */
  queueMs: number;
};

export class BandwidthEstimate {
  #bitrateBps = START_BITRATE_BPS;
  #formerQueueMs = 0;

  get bitrateBps(): number {
    return this.#bitrateBps;
  }

  /** Called once a second. An interval in which nothing came tells nothing. */
  onInterval({ lossRatio, receivedBps, queueMs }: Interval): void {
    if (receivedBps <= 0) return;
    // A jump from no queue at all is a jump of the sender's timestamps rather than a queue, unless it goes on growing.
    const isGrowing = queueMs >= QUEUE_MS && this.#formerQueueMs >= STEP_MS && queueMs - this.#formerQueueMs >= STEP_MS;
    this.#formerQueueMs = queueMs;
    if (lossRatio > HIGH_LOSS || isGrowing) {
      // Reduced from what the sender really sent; reduced from the present limit, many seconds would pass before it has
      // an effect.
      const sentBps = receivedBps / Math.max(1 - lossRatio, 0.01);
      this.#bitrateBps = DECREASE * Math.min(this.#bitrateBps, sentBps);
    } else if (lossRatio < LOW_LOSS && queueMs < QUEUE_MS) this.#bitrateBps *= INCREASE;
    this.#bitrateBps = Math.min(MAX_BITRATE_BPS, Math.max(MIN_BITRATE_BPS, this.#bitrateBps));
  }
}

/**
 * The loss of all streams of a track together, so that one packet of a small layer does not count as much as a large
 * layer's.
 */
export class LossRatio {
  readonly #highest = new Map<number, number>();

  /**
   * @param blocks of this interval, which began for each stream at the last call
   * @returns 0..1
   */
  take(blocks: readonly ReportBlock[]): number {
    let expected = 0;
    let lost = 0;
    for (const { ssrc, extendedHighest, fractionLost } of blocks) {
      // Of a stream that is new or has started over the fraction counts all the same.
      const sent = Math.max(1, extendedHighest - (this.#highest.get(ssrc) ?? extendedHighest));
      this.#highest.set(ssrc, extendedHighest);
      expected += sent;
      lost += (sent * fractionLost) / 256;
    }
    return expected === 0 ? 0 : lost / expected;
  }
}

/**
 * The fastest packet within this span counts as one that did not wait. Clocks drift apart by some milliseconds
 * meanwhile.
 */
const SPAN_US = 30 * US;
/** Timestamps further than this from where they should be have begun anew. */
const JUMP_US = 5 * US;

/** How much longer the packets of one stream travel than the fastest lately, by timestamps and arrival. */
export class QueueDelay {
  readonly #fastest = new SlidingMinimum(SPAN_US);
  #unwrapper = new TimestampUnwrapper();
  #latestUs: HostUs | undefined;
  #leastUs = Number.POSITIVE_INFINITY;

  /**
   * @param timestamp of the packet, 32 bits
   * @param arrivalUs monotonic microseconds
   * @param clockRate of the stream, ticks per second
   */
  onPacket(timestamp: number, arrivalUs: HostUs, clockRate: number): void {
    let transitUs = arrivalUs - (this.#unwrapper.unwrap(timestamp) * US) / clockRate;
    if (this.#latestUs !== undefined && Math.abs(transitUs - this.#latestUs) > JUMP_US) {
      this.#unwrapper = new TimestampUnwrapper();
      transitUs = arrivalUs - (this.#unwrapper.unwrap(timestamp) * US) / clockRate;
      this.#fastest.clear();
      this.#leastUs = Number.POSITIVE_INFINITY;
    }
    this.#latestUs = transitUs;
    this.#fastest.push(transitUs, arrivalUs);
    this.#leastUs = Math.min(this.#leastUs, transitUs);
  }

  /** The least delay since the last call, milliseconds; each call begins a new interval. 0 when nothing came. */
  takeMs(): number {
    const leastUs = this.#leastUs;
    this.#leastUs = Number.POSITIVE_INFINITY;
    const fastestUs = this.#fastest.value;
    return fastestUs === undefined || leastUs === Number.POSITIVE_INFINITY ? 0 : (leastUs - fastestUs) / 1000;
  }
}
