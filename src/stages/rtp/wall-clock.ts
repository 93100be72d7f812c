/**
 * WallClock: how one stream's media lies on its sender's wall clock, by sender reports (RFC 3550 §6.4.1). A report that
 * does not fit is not believed until another one agrees; when the wall clock is set nothing moves.
 */

import type { WallClockState } from '../../contract/line/reception-state.ts';
import type { MediaUs, SenderUs } from '../../kernel/time.ts';

/** Some senders' reports are wrong by the time they waited to be sent; the median of the latest is not. */
const KEPT = 3;
/** Reports this close agree: senders' clocks and timers cause smaller differences. */
export const FIT_US = 20_000;
/** Reports that differ by more than this come from another wall clock or other timestamps. */
const JUMP_US = 500_000;

export class WallClock {
  #mappings: readonly number[] = [];
  /** Their median: it is asked for many times a frame, and they change every few seconds. */
  #mappingUs: number | undefined;
  /** A report that did not fit, until another one agrees with it. */
  #doubtful: number | undefined;
  #confirmed: boolean;
  /** By how much the sender's wall clock has been set since the first report. */
  #setUs: number;
  /** The first of the latest reports that named the same moment. */
  #named: WallClockState['named'];

  constructor(state?: WallClockState) {
    this.#keep(state?.mappings ?? []);
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

  /** NTP time minus media time, microseconds; undefined before the first report. */
  get mappingUs(): number | undefined {
    return this.#mappingUs;
  }

  /** Whether two reports have agreed. */
  get isConfirmed(): boolean {
    return this.#confirmed;
  }

  /**
   * Whether the report names the same moment as an earlier one, for other media: a clock that stands still tells
   * nothing. What a single report said of it is then forgotten.
   */
  standsStill(ntpUs: SenderUs, lineUs: MediaUs): boolean {
    if (this.#named?.ntpUs !== ntpUs) {
      this.#named = { ntpUs, lineUs };
      return false;
    }
    if (Math.abs(lineUs - this.#named.lineUs) <= FIT_US) return false;
    if (!this.#confirmed) this.#keep([]);
    return true;
  }

  /** How much later than known the report puts its media; 0 for the first. Asking changes nothing. */
  difference(ntpUs: SenderUs, lineUs: MediaUs): number {
    const known = this.mappingUs;
    return known === undefined ? 0 : ntpUs - this.#setUs - lineUs - known;
  }

  /**
   * Takes a report.
   * @param lineUs the place of its timestamp on the media's line
   * @param isTrusted whether what was known so far agrees with the person's other streams
   */
  add(ntpUs: SenderUs, lineUs: MediaUs, isTrusted: boolean): void {
    const mapping = ntpUs - this.#setUs - lineUs;
    const known = this.mappingUs;
    const off = known === undefined ? 0 : mapping - known;
    if (Math.abs(off) <= JUMP_US) {
      this.#confirmed ||= known !== undefined;
      this.#keep([...this.#mappings, mapping]);
      this.#doubtful = undefined;
      return;
    }
    if (!this.#confirmed && !isTrusted) {
      // One of the two is nonsense, and nothing supports the first.
      this.#keep([mapping]);
      return;
    }
    if (this.#doubtful === undefined || Math.abs(this.#doubtful - mapping) > FIT_US) {
      this.#doubtful = mapping;
      return;
    }
    this.#doubtful = undefined;
    if (isTrusted) this.#setUs += off;
    else this.#keep([mapping]);
  }

  #keep(mappings: readonly number[]): void {
    this.#mappings = mappings.slice(-KEPT);
    const sorted = this.#mappings.toSorted((a, b) => a - b);
    this.#mappingUs = sorted.length === 2 ? (sorted[0]! + sorted[1]!) / 2 : sorted[sorted.length >> 1];
  }
}
