/**
 * MissingPackets: the holes in a track's packets that may still be filled, and how each was: by a packet that was asked
 * for again, or by one that others had merely overtaken. Touched only when there is a hole.
 */
import type { HostUs } from '../../kernel/time.ts';

/**
 * As NackGenerator: a packet that no more than this many overtook, for no longer than this, was not asked for again.
 */
const REORDER_PACKETS = 2;
const REORDER_US = 10_000;
/** More than may be missing of one run. Beyond, the oldest are forgotten, and count as neither. */
const MAX_MISSING = 4096;

export class MissingPackets {
  /** By extended sequence number, in rising order: when the hole was seen. */
  #since = new Map<number, number>();

  /** A packet came that leaves a hole: `from` up to, and without, `to`, extended sequence numbers. */
  note(from: number, to: number, nowUs: HostUs): void {
    for (let n = Math.max(from, to - MAX_MISSING); n < to; n++) this.#since.set(n, nowUs);
    for (const oldest of this.#since.keys()) {
      if (this.#since.size <= MAX_MISSING) break;
      this.#since.delete(oldest);
    }
  }

  /**
   * A packet came behind others and was taken.
   * @param highest the newest packet's number
   */
  fill(extended: number, highest: number, nowUs: HostUs): 'recovered' | 'reordered' | undefined {
    const sinceUs = this.#since.get(extended);
    if (sinceUs === undefined) return undefined;
    this.#since.delete(extended);
    return highest - extended > REORDER_PACKETS || nowUs - sinceUs > REORDER_US ? 'recovered' : 'reordered';
  }

  /** What is before `extended` was given up. */
  forgetBefore(extended: number): void {
    for (const n of this.#since.keys()) {
      if (n >= extended) return;
      this.#since.delete(n);
    }
  }
}
