/**
 * Pace: which frames a machine leaves out that cannot make all of them. Being late alone is no reason: what waits is
 * caught up with. Only when the lag has not fallen for long, every other frame goes, then three of four, until it is
 * small. Pure.
 */
import { type HostUs, US } from '../../kernel/time.ts';

/** Less than this is no lag. */
const SMALL_US = 3 * US;
/** A lag that has reached no new low for so long is one that grows. */
const PATIENCE_US = 15 * US;
/** At most so many of a row of frames are left out, and one is made. */
const MAX_STRIDE = 16;

export class Pace {
  #stride = 1;
  #lowUs = Number.POSITIVE_INFINITY;
  #lowAtUs = Number.NEGATIVE_INFINITY;

  /** Whether to leave out frame `frame` of a recording that is `lagUs` late at `nowUs` (monotonic). */
  leavesOut(frame: number, lagUs: number, nowUs: HostUs): boolean {
    if (lagUs < SMALL_US) {
      this.#stride = 1;
      this.#lowUs = Number.POSITIVE_INFINITY;
      return false;
    }
    if (lagUs < this.#lowUs) {
      this.#lowUs = lagUs;
      this.#lowAtUs = nowUs;
    } else if (nowUs - this.#lowAtUs >= PATIENCE_US) {
      this.#stride = Math.min(MAX_STRIDE, this.#stride * 2);
      this.#lowUs = lagUs;
      this.#lowAtUs = nowUs;
    }
    return frame % this.#stride !== 0;
  }
}
