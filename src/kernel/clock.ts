/**
 * The only door to time: wall time, monotonic time and timers. Everything else is handed a Clock, so tests can hold
 * time still.
 */
import type { HostUs } from './time.ts';

/** A timer that was started; `cancel` may be called any number of times, also after it fired. */
export type Timer = { cancel(): void };

export type Clock = {
  /** Wall time in milliseconds since the Unix epoch. May step; use it only to name and report moments. */
  nowMs(): number;
  /** Monotonic time in microseconds. Processes of one host share its zero, so it can be compared across them. */
  monoUs(): HostUs;
  /** Runs `run` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, run: () => void): Timer;
  /** Runs `run` every `periodMs`. The timer does not keep the process alive. */
  every(periodMs: number, run: () => void): Timer;
};

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monoUs: () => Number(process.hrtime.bigint() / 1000n),
  after(delayMs, run) {
    const handle = setTimeout(run, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, run) {
    const handle = setInterval(run, periodMs);
    handle.unref();
    return { cancel: () => clearInterval(handle) };
  },
};

/** Resolves after `delayMs` by `clock`; the wait is given up, with the signal's reason, when `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/**
 * What `work` comes to, or a rejection with `late()` when it has not within `limitMs` by `clock`. The work goes on
 * then, and nobody hears of it any more.
 */
export function within<T>(clock: Clock, limitMs: number, work: Promise<T>, late: () => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => reject(late()));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
