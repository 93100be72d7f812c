/**
 * Pace: which frames are left out on a machine that cannot make all of them. Being late is no reason: what waits is
 * caught up with. Only when the lag has not fallen for long, every other frame is left out, then three of four, until
 * the lag is small. Pure.
 */
import { type HostUs, US } from '../../kernel/time.ts';

/** A smaller lag than this counts as none. */
const SMALL_US = 3 * US;
/** A lag that has reached no new low for this long is growing. */
const PATIENCE_US = 15 * US;
/** At least one of this many frames in a row is made. */
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
