/**
 * WallClock: how one stream's media lies on its sender's wall clock, by sender reports (RFC 3550 §6.4.1). Reports that
 * do not fit are not believed before others bear them out; a wall clock that is set moves nothing.
 */

import type { WallClockState } from '../../contract/line/reception-state.ts';
import type { MediaUs, SenderUs } from '../../kernel/time.ts';

/** Some senders' reports are off by how long they waited to be sent; the median of the latest is not. */
const KEPT = 3;
/** Reports within this fit: less is what senders' clocks and timers make. */
export const FIT_US = 20_000;
/** Reports that differ by more than this are of another wall clock, or of other timestamps. */
const JUMP_US = 500_000;

export class WallClock {
  #mappings: number[];
  /** A report that did not fit, until another bears it out. */
  #doubtful: number | undefined;
  #confirmed: boolean;
  /** By how much the sender's wall clock was set since the first report. */
  #setUs: number;
  /** The first of the latest reports that named the same moment. */
  #named: WallClockState['named'];

  constructor(state?: WallClockState) {
    this.#mappings = [...(state?.mappings ?? [])];
    this.#doubtful = state?.doubtful;
    this.#confirmed = state?.confirmed ?? false;
    this.#setUs = state?.setUs ?? 0;
    this.#named = state?.named && { ...state.named };
  }

  save(): WallClockState {
    return {
      mappings: [...this.#mappings],
      doubtful: this.#doubtful,
      confirmed: this.#confirmed,
      setUs: this.#setUs,
      named: this.#named && { ...this.#named },
    };
  }

  /** NTP time less media time, microseconds; undefined before the first report. */
  get mappingUs(): number | undefined {
    const sorted = [...this.#mappings].sort((a, b) => a - b);
    return sorted.length === 2 ? (sorted[0]! + sorted[1]!) / 2 : sorted[sorted.length >> 1];
  }

  /** Whether two reports have said the same. */
  get isConfirmed(): boolean {
    return this.#confirmed;
  }

  /**
   * Whether the report names the same moment as one before it, for other media: a clock that stands still tells
   * nothing. What a single report said of it is forgotten then.
   */
  standsStill(ntpUs: SenderUs, lineUs: MediaUs): boolean {
    if (this.#named?.ntpUs !== ntpUs) {
      this.#named = { ntpUs, lineUs };
      return false;
    }
    if (Math.abs(lineUs - this.#named.lineUs) <= FIT_US) return false;
    if (!this.#confirmed) this.#mappings = [];
    return true;
  }

  /** How much later than known the report puts its media; 0 for the first. Nothing changes by asking. */
  difference(ntpUs: SenderUs, lineUs: MediaUs): number {
    const known = this.mappingUs;
    return known === undefined ? 0 : ntpUs - this.#setUs - lineUs - known;
  }

  /**
   * Takes a report.
   * @param lineUs where on the media's line its timestamp lies
   * @param isTrusted whether what was known so far agrees with what others of the same person say
   */
  add(ntpUs: SenderUs, lineUs: MediaUs, isTrusted: boolean): void {
    const mapping = ntpUs - this.#setUs - lineUs;
    const known = this.mappingUs;
    const off = known === undefined ? 0 : mapping - known;
    if (Math.abs(off) <= JUMP_US) {
      this.#confirmed ||= known !== undefined;
      this.#mappings = [...this.#mappings, mapping].slice(-KEPT);
      this.#doubtful = undefined;
      return;
    }
    if (!this.#confirmed && !isTrusted) {
      // One of the two is nonsense, and the first has nothing that speaks for it.
      this.#mappings = [mapping];
      return;
    }
    if (this.#doubtful === undefined || Math.abs(this.#doubtful - mapping) > FIT_US) {
      this.#doubtful = mapping;
      return;
    }
    this.#doubtful = undefined;
    if (isTrusted) this.#setUs += off;
    else this.#mappings = [mapping];
  }
}
