/**
 * OverloadWatch: which rung of the ladder a recording was on when (ADR 0023), for its report. Pure; times are
 * microseconds of the recording.
 */
import type { OverloadReport } from '../../contract/line/quality-report.ts';
import type { RungName } from '../../contract/line/rungs.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';

const MOST_STEPS = 2 * MOST_SPANS;

export class OverloadWatch {
  readonly #steps = new Kept<{ atUs: RecordingUs; rung: RungName; lagUs: number }>(MOST_STEPS);
  #rung: RungName = 'full';
  #degradedFromUs: RecordingUs | undefined;
  #degradedUs = 0;
  #leftOut = 0;

  /** From `atUs` on the recording is on this rung; it was so late then, microseconds. */
  onRung(atUs: RecordingUs, rung: RungName, lagUs: number): void {
    if (rung === this.#rung) return;
    this.#steps.add({ atUs, rung, lagUs });
    this.#rung = rung;
    if (rung !== 'full') this.#degradedFromUs ??= atUs;
    else if (this.#degradedFromUs !== undefined) {
      this.#degradedUs += Math.max(0, atUs - this.#degradedFromUs);
      this.#degradedFromUs = undefined;
    }
  }

  onLeftOut(): void {
    this.#leftOut++;
  }

  /** A frame that was left out is in the files all the same. */
  onMadeAfterAll(): void {
    this.#leftOut--;
  }

  /** Undefined where nothing was ever taken from the picture. */
  report(nowUs: RecordingUs): OverloadReport | undefined {
    const { items, more } = this.#steps;
    if (items.length === 0) return undefined;
    const openUs = this.#degradedFromUs === undefined ? 0 : Math.max(0, nowUs - this.#degradedFromUs);
    return {
      rung: this.#rung,
      steps: items.map(({ atUs, rung, lagUs }) => ({ atMs: toMs(atUs), rung, lagMs: toMs(lagUs) })),
      moreSteps: more,
      degradedMs: toMs(this.#degradedUs + openUs),
      leftOutFrames: this.#leftOut,
    };
  }
}

/** What an earlier run knew, and what the newest does. */
export function joinOverloads(
  earlier: OverloadReport | undefined,
  newest: OverloadReport | undefined,
): OverloadReport | undefined {
  if (!earlier) return newest;
  // A run that begins at the top and stays there has nothing to tell.
  const after = newest ?? { rung: 'full', steps: [], moreSteps: 0, degradedMs: 0, leftOutFrames: 0 };
  const steps = [...earlier.steps, ...after.steps];
  return {
    rung: after.rung,
    steps: steps.slice(0, MOST_STEPS),
    moreSteps: earlier.moreSteps + after.moreSteps + Math.max(0, steps.length - MOST_STEPS),
    degradedMs: earlier.degradedMs + after.degradedMs,
    leftOutFrames: earlier.leftOutFrames + after.leftOutFrames,
  };
}
