/**
 * Decides when a track's sender is asked for a key frame (RFC 4585 §6.3.1). Many may want one at the same time; the
 * sender is asked once, and again until the key frame comes.
 */
import type { HostUs } from '../../kernel/time.ts';

const MIN_INTERVAL_US = 300_000;
const MAX_INTERVAL_US = 1_000_000;
const BACKOFF = 1.5;

export class KeyFrameRequests {
  #wanted = false;
  #lastUs = Number.NEGATIVE_INFINITY;
  #intervalUs = MIN_INTERVAL_US;

  /** True from a request until the key frame came. */
  get wanted(): boolean {
    return this.#wanted;
  }

  want(): void {
    this.#wanted = true;
  }

  onKeyFrame(): void {
    this.#wanted = false;
    this.#intervalUs = MIN_INTERVAL_US;
  }

  /** Whether a request is to be sent now; true counts as sent. */
  due(nowUs: HostUs): boolean {
    if (!this.#wanted || nowUs - this.#lastUs < this.#intervalUs) return false;
    // After a pause the intervals between requests are short again.
    const repeated = nowUs - this.#lastUs < 2 * MAX_INTERVAL_US;
    this.#lastUs = nowUs;
    this.#intervalUs = repeated ? Math.min(MAX_INTERVAL_US, this.#intervalUs * BACKOFF) : MIN_INTERVAL_US;
    return true;
  }
}
