/**
 * Degradation: carries out what the overload controller says. It knows the rung that a recording is on, has the encoder
 * work by it, says which frames are left out, and tells whoever wants to know (ADR 0023).
 */
import type { OverloadState } from '../../contract/line/overload-state.ts';
import { RUNG_NAMES, type RungName } from '../../contract/line/rungs.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Effort } from '../../stages/codec/x264.ts';
import type { Happening } from '../recording.ts';
import type { OverloadWatch } from '../report/overload-watch.ts';
import { depthOf, effortOf, leavesOut } from './ladder.ts';
import { type LagLimits, OverloadController } from './overload-controller.ts';

export type DegradationOptions = {
  limits: LagLimits;
  fps: number;
  /** As far down as it may go; left out: all the way. */
  lowest?: RungName | undefined;
  /** The rung that an earlier run was on, and what else it kept; undefined in the first. */
  from?: { rung: RungName; overload?: OverloadState | undefined } | undefined;
  clock: Clock;
  report: OverloadWatch;
  /** The present of the recording. */
  nowUs(): RecordingUs;
  emit(happening: Happening): void;
  /** Pictures are coded with this much effort from now on. */
  onEffort(effort: Effort): void;
};

export class Degradation {
  readonly #o: DegradationOptions;
  readonly #controller: OverloadController;

  constructor(options: DegradationOptions) {
    this.#o = options;
    const { limits, lowest = 'oneASecond', from } = options;
    const depth = from && depthOf(from.rung);
    this.#controller = new OverloadController(limits, depthOf(lowest), depth, from?.overload);
    // Whoever was told of the run before does not know where this one begins.
    if (from !== undefined) this.#tell(0);
  }

  get rung(): RungName {
    return RUNG_NAMES[this.#controller.depth]!;
  }

  /** For the checkpoint of a run. */
  save(): { rung: RungName; overload: OverloadState } {
    return { rung: this.rung, overload: this.#controller.save() };
  }

  get effort(): Effort {
    return effortOf(this.rung);
  }

  /** Takes how late the recording is now, microseconds. Call it at least as often as frames are due. */
  observe(lagUs: number): void {
    if (!this.#controller.observe(lagUs, this.#o.clock.monoUs())) return;
    this.#o.onEffort(this.effort);
    this.#tell(lagUs);
  }

  /** Whether frame `frame` of the files is not made. Counted as left out when it is so. */
  leavesOut(frame: number): boolean {
    const isLeftOut = leavesOut(this.rung, frame, this.#o.fps);
    if (isLeftOut) this.#o.report.onLeftOut();
    return isLeftOut;
  }

  /** The newest frame that was left out is made after all, because nothing follows it. */
  takeBack(): void {
    this.#o.report.onMadeAfterAll();
  }

  #tell(lagUs: number): void {
    const { report, nowUs, emit } = this.#o;
    report.onRung(nowUs(), this.rung, lagUs);
    emit({ type: 'rungChanged', rung: this.rung, lagMs: Math.round(lagUs / 1000) });
  }
}
