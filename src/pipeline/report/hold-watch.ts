/**
 * HoldWatch: when a recording was on hold, for its report, and how much of a span was: nobody misses what did not come
 * then. Pure; times are microseconds of the recording.
 */
import type { QualityReport } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';

/** How much of a span the recording was on hold, microseconds. */
export type HeldIn = (fromUs: RecordingUs, toUs: RecordingUs) => number;

type Span = { fromUs: RecordingUs; untilUs: RecordingUs };

/** Enough holds for the longest span that is asked about. */
const MOST_RECENT = 100;

export class HoldWatch {
  readonly #kept = new Kept<Span>(2 * MOST_SPANS);
  #recent: Span[] = [];
  #totalUs = 0;

  /**
   * The recording is put on hold, or goes on, from `atUs` on. When it is told twice, or for a moment before the last
   * one, nothing changes.
   */
  onHold(atUs: RecordingUs, onhold: boolean): void {
    const last = this.#recent.at(-1);
    const isOpen = last?.untilUs === Number.POSITIVE_INFINITY;
    if (onhold === isOpen) return;
    if (last && isOpen) {
      last.untilUs = Math.max(atUs, last.fromUs);
      this.#totalUs += last.untilUs - last.fromUs;
      return;
    }
    const span = { fromUs: atUs, untilUs: Number.POSITIVE_INFINITY };
    this.#recent = [...this.#recent.slice(1 - MOST_RECENT), span];
    this.#kept.add(span);
  }

  /** How much of a span was on hold. */
  heldIn(fromUs: RecordingUs, toUs: RecordingUs): number {
    let heldUs = 0;
    for (const span of this.#recent)
      heldUs += Math.max(0, Math.min(toUs, span.untilUs) - Math.max(fromUs, span.fromUs));
    return heldUs;
  }

  report(nowUs: RecordingUs): Pick<QualityReport, 'holds' | 'moreHolds' | 'heldMs'> {
    const open = this.#recent.at(-1);
    const openUs = open?.untilUs === Number.POSITIVE_INFINITY ? Math.max(0, nowUs - open.fromUs) : 0;
    return {
      holds: this.#kept.items.map(({ fromUs, untilUs }) => ({
        fromMs: toMs(fromUs),
        durationMs: untilUs === Number.POSITIVE_INFINITY ? null : toMs(untilUs - fromUs),
      })),
      moreHolds: this.#kept.more,
      heldMs: toMs(this.#totalUs + openUs),
    };
  }
}
