/**
 * MissingPackets: the holes in a track's packets that may still be filled, and how each was filled: by a packet that
 * was asked for again, or by one that others had only overtaken. Used only when there is a hole.
 */
import type { HostUs } from '../../kernel/time.ts';

/**
 * As in NackGenerator: a packet that at most this many others overtook, for at most this long, was not asked for again.
 */
const REORDER_PACKETS = 2;
const REORDER_US = 10_000;
/** More than may be missing in one run. Beyond it the oldest are forgotten, and count as neither. */
const MAX_MISSING = 4096;

export class MissingPackets {
  /** When each hole was seen, by extended sequence number, in rising order. */
  #since = new Map<number, number>();

  /** A packet came that leaves a hole: extended sequence numbers `from` up to, but without, `to`. */
  note(from: number, to: number, nowUs: HostUs): void {
    for (let n = Math.max(from, to - MAX_MISSING); n < to; n++) this.#since.set(n, nowUs);
    for (const oldest of this.#since.keys()) {
      if (this.#since.size <= MAX_MISSING) break;
      this.#since.delete(oldest);
    }
  }

  /**
   * A packet came after later ones and was accepted.
   * @param highest the newest packet's number
   */
  fill(extended: number, highest: number, nowUs: HostUs): 'recovered' | 'reordered' | undefined {
    const sinceUs = this.#since.get(extended);
    if (sinceUs === undefined) return undefined;
    this.#since.delete(extended);
    return highest - extended > REORDER_PACKETS || nowUs - sinceUs > REORDER_US ? 'recovered' : 'reordered';
  }

  /** Everything before `extended` was given up. */
  forgetBefore(extended: number): void {
    for (const n of this.#since.keys()) {
      if (n >= extended) return;
      this.#since.delete(n);
    }
  }
}
