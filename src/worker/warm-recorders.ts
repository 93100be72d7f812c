/**
 * WarmRecorders: keeps recorder processes ready for each mode that is in use, so that a start need not wait for a
 * process. One that is taken or dies is replaced after a pause, which grows while they go on dying.
 */
import type { Plan } from '../contract/line/plan.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { SessionLog } from '../session/ports.ts';
import type { RecorderChild } from './recorder-child.ts';

export type Mode = Plan['mode'];
export type WarmRecordersOptions = {
  clock: Clock;
  log: SessionLog;
  /** How many are kept ready for a mode in use. */
  count(mode: Mode): number;
  /** After a start the machine is left alone for this long, before another recorder is made ready. */
  refillMs(mode: Mode): number;
  /** Whether recorders that have work are still starting: they need the machine more. */
  isBusy(): boolean;
  spawn(mode: Mode): RecorderChild;
};

/** The first pause after a failure. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** Recorders that differ in what they have loaded alone; those of pages have screens. */
const LENT: readonly Mode[] = ['mix', 'individual'];
const END_TIMEOUT_MS = 3_000;
/** A process that lived for this long did not fail. */
const LIVED_US = 60_000_000;

export class WarmRecorders {
  #options: WarmRecordersOptions;
  #ready = new Map<Mode, Set<RecorderChild>>();
  #refills = new Map<Mode, Timer>();
  #failures = 0;
  #closed = false;

  constructor(options: WarmRecordersOptions) {
    this.#options = options;
  }

  /** Begins to keep recorders for a mode: from the server's start, or from the mode's first use. */
  keep(mode: Mode): void {
    if (this.#ready.has(mode)) return;
    this.#ready.set(mode, new Set());
    this.#refill(mode, 0);
  }

  /** Whether one is ready. */
  isReady(mode: Mode): boolean {
    return [...(this.#ready.get(mode) ?? [])].some((child) => child.isReady);
  }

  /** One that is ready or starting; undefined when there is none. */
  take(mode: Mode): RecorderChild | undefined {
    this.keep(mode);
    const kept = this.#ready.get(mode);
    const taken = [...(kept ?? [])].find((child) => child.isReady) ?? kept?.values().next().value;
    if (taken) kept?.delete(taken);
    this.#refill(mode, this.#options.refillMs(mode));
    return taken;
  }

  /**
   * One that is ready for another mode, for a recording that stands still meanwhile: to load what this one needs takes
   * less time than a process. Undefined when there is none.
   */
  lend(): RecorderChild | undefined {
    for (const mode of LENT) {
      const ready = [...(this.#ready.get(mode) ?? [])].find((child) => child.isReady);
      if (ready) return this.take(mode);
    }
    return undefined;
  }

  /**
   * Ends those that wait, by force where they take too long: what a recorder made ready it takes down itself, and what
   * a killed one leaves behind would lie there until the next start. Resolves when they are gone.
   */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#refills.values()) timer.cancel();
    const waiting = [...this.#ready.values()].flatMap((kept) => [...kept]);
    for (const child of waiting) child.terminate();
    const late = this.#options.clock.after(END_TIMEOUT_MS, () => {
      for (const child of waiting) child.kill();
    });
    await Promise.all(waiting.map((child) => child.exited));
    late.cancel();
  }

  #refill(mode: Mode, delayMs: number): void {
    const { clock, count } = this.#options;
    if (this.#closed || this.#refills.has(mode) || (this.#ready.get(mode)?.size ?? 0) >= count(mode)) return;
    const timer = clock.after(delayMs, () => {
      this.#refills.delete(mode);
      if (!this.#options.isBusy()) this.#add(mode);
      this.#refill(mode, this.#options.refillMs(mode));
    });
    this.#refills.set(mode, timer);
  }

  #add(mode: Mode): void {
    const { clock, log, spawn } = this.#options;
    const kept = this.#ready.get(mode);
    if (this.#closed || !kept) return;
    const beganUs = clock.monoUs();
    const fail = (why: string) => {
      this.#failures = clock.monoUs() - beganUs > LIVED_US ? 1 : this.#failures + 1;
      const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.#failures - 1));
      log.warn({ mode, why, pauseMs }, 'a recorder that was kept ready is gone; another is started');
      this.#refill(mode, pauseMs);
    };
    try {
      const child = spawn(mode);
      kept.add(child);
      void child.exited.then(() => {
        // Of a recorder that was taken its listener is told.
        if (kept.delete(child) && !this.#closed) fail('its process ended');
      });
    } catch (error) {
      fail(messageOf(error));
    }
  }
}
