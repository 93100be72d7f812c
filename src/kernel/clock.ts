/**
 * The only access to time: wall time, monotonic time and timers. Everything else is given a Clock, so that tests can
 * hold time still.
 */
import { type HostUs, US } from './time.ts';

/** A running timer; `cancel` may be called any number of times, even after the timer has fired. */
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
  monoUs() {
    // Asked for every packet: a bigint would cost more than all else that is done to learn the time.
    const [s, ns] = process.hrtime();
    return s * US + Math.floor(ns / 1000);
  },
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

/** Resolves after `delayMs` by `clock`; rejects with the signal's reason when `signal` aborts before. */
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
 * A pause of a command that has nothing else to keep its process alive; rejects with the signal's reason when `signal`
 * aborts before.
 */
export async function pauseCommand(delayMs: number, signal?: AbortSignal): Promise<void> {
  const alive = setInterval(() => {}, delayMs);
  try {
    await sleep(systemClock, delayMs, signal);
  } finally {
    clearInterval(alive);
  }
}

/**
 * Settles as `work` does, or rejects with `late()` when that takes longer than `limitMs` by `clock`. The work then goes
 * on, and its outcome is ignored.
 */
export function within<T>(clock: Clock, limitMs: number, work: Promise<T>, late: () => unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => reject(late()));
    work.then(resolve, reject).finally(() => timer.cancel());
  });
}
