/** Axis of the timeline, and how its time and that of the files go together. */
import type { QualityReport } from './api.ts';

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400];

/** Milliseconds from the recording's zero, as places between left and right. */
export class Axis {
  readonly fromMs: number;
  readonly #untilMs: number;

  constructor(fromMs: number, untilMs: number) {
    this.fromMs = fromMs;
    this.#untilMs = untilMs;
  }

  atShare(share: number): number {
    return this.fromMs + (this.#untilMs - this.fromMs) * Math.min(1, Math.max(0, share));
  }

  percent(ms: number): string {
    return `${(100 * this.#share(ms)).toFixed(3)}%`;
  }

  width(fromMs: number, untilMs: number): string {
    return `${(100 * (this.#share(untilMs) - this.#share(fromMs))).toFixed(3)}%`;
  }

  /** About eight, at round times. */
  ticks(): number[] {
    const lengthS = (this.#untilMs - this.fromMs) / 1000;
    const stepS = STEPS_S.find((each) => lengthS / each <= 8) ?? 28_800;
    return Array.from({ length: Math.floor(lengthS / stepS) + 1 }, (_, n) => this.fromMs + n * stepS * 1000);
  }

  #share(ms: number): number {
    return Math.min(1, Math.max(0, (ms - this.fromMs) / (this.#untilMs - this.fromMs)));
  }
}

/** Seconds of the files, as they play: what was held is in none of them. */
export class Played {
  readonly lengthS: number;
  readonly #filesFromMs: number;
  readonly #holds: readonly { fromMs: number; untilMs: number }[];

  constructor({ holds = [] }: QualityReport, filesFromMs: number, endMs: number) {
    this.#filesFromMs = filesFromMs;
    this.#holds = holds.map(({ fromMs, durationMs }) => ({
      ...{ fromMs, untilMs: durationMs === null ? endMs : fromMs + durationMs },
    }));
    this.lengthS = this.secondsAt(endMs);
  }

  secondsAt(ms: number): number {
    const heldMs = this.#holds.reduce(
      (sum, { fromMs, untilMs }) => sum + Math.max(0, Math.min(ms, untilMs) - Math.max(fromMs, this.#filesFromMs)),
      0,
    );
    return Math.max(0, ms - this.#filesFromMs - heldMs) / 1000;
  }

  msAt(seconds: number): number {
    let ms = this.#filesFromMs + seconds * 1000;
    for (const { fromMs, untilMs } of this.#holds)
      if (ms >= fromMs) ms += Math.max(0, untilMs - Math.max(fromMs, this.#filesFromMs));
    return ms;
  }
}
