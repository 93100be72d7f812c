/**
 * A Clock that moves only when told to, for tests of anything that waits.
 */
import type { Clock, Timer } from '../../src/kernel/clock.ts';

type Pending = { dueUs: number; order: number; run: () => void; periodUs: number | undefined };

export class ManualClock implements Clock {
  #wallMs: number;
  #monoUs = 0;
  #order = 0;
  #pending = new Set<Pending>();

  /** @param wallMs wall time at the start, Unix milliseconds */
  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#wallMs + Math.floor(this.#monoUs / 1000);
  }

  monoUs(): number {
    return this.#monoUs;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#add(delayMs, run, undefined);
  }

  every(periodMs: number, run: () => void): Timer {
    return this.#add(periodMs, run, periodMs * 1000);
  }

  /** Moves time on by `ms`, firing what falls due in order of its time. */
  advance(ms: number): void {
    const endUs = this.#monoUs + ms * 1000;
    for (;;) {
      let next: Pending | undefined;
      for (const p of this.#pending) {
        if (p.dueUs > endUs) continue;
        if (!next || p.dueUs < next.dueUs || (p.dueUs === next.dueUs && p.order < next.order)) next = p;
      }
      if (!next) break;
      this.#monoUs = Math.max(this.#monoUs, next.dueUs);
      if (next.periodUs === undefined) this.#pending.delete(next);
      else next.dueUs += next.periodUs;
      next.run();
    }
    this.#monoUs = endUs;
  }

  #add(delayMs: number, run: () => void, periodUs: number | undefined): Timer {
    const entry: Pending = { dueUs: this.#monoUs + Math.max(0, delayMs) * 1000, order: this.#order++, run, periodUs };
    this.#pending.add(entry);
    return { cancel: () => this.#pending.delete(entry) };
  }
}
