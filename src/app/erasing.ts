/** Erasing: how files are deleted for good, whoever wants that: a few at once, noted before and after. */
import { Fault, messageOf } from '../kernel/fault.ts';
import { retryDelayMs } from '../stages/upload/retry.ts';
import type { Target } from '../stages/upload/target/target.ts';

/** So many are deleted at once: a legal hold comes before all others. */
const AT_ONCE = 16;
/** After so many refusals in a turn the store is not asked for more. */
const ENOUGH_REFUSALS = 2 * AT_ONCE;
const LONGEST_PAUSE_MS = 3_600_000;
/** A refusal, as of files that are locked until a day, is tried again so often, once a day. */
const MOST_REFUSALS = 7;
const DAY_MS = 86_400_000;

type Erased<F> = { file: F; versions: number | undefined };
type Erasing<F> = {
  files: readonly F[];
  /** Notes that these are about to be deleted. False where nothing may be deleted. */
  begin(files: readonly F[]): Promise<boolean>;
  /** Resolves to how many versions there were, where that is known. Throws a Fault. */
  erase(file: F): Promise<number | undefined>;
  /** Notes that these are deleted. */
  done(erased: readonly Erased<F>[]): Promise<void>;
  signal: AbortSignal;
};

/**
 * Deletes the files in their order. Resolves to whether something came between, and to the first refusal. Throws a
 * retryable Fault once what was begun beside it is noted.
 */
export async function eraseAll<F>(what: Erasing<F>): Promise<{ isHeld: boolean; refusal: Fault | undefined }> {
  const { files, begin, erase, done, signal } = what;
  const refusals: Fault[] = [];
  for (let at = 0; at < files.length && refusals.length < ENOUGH_REFUSALS; at += AT_ONCE) {
    signal.throwIfAborted();
    const some = files.slice(at, at + AT_ONCE);
    if (!(await begin(some))) return { isHeld: true, refusal: undefined };
    const outcomes = await Promise.allSettled(some.map((file) => erase(file)));
    await done(
      outcomes.flatMap((outcome, index) =>
        outcome.status === 'fulfilled' ? [{ file: some[index]!, versions: outcome.value }] : [],
      ),
    );
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      if (!isRefusal(outcome.reason)) throw outcome.reason;
      refusals.push(outcome.reason);
    }
  }
  return { isHeld: false, refusal: refusals[0] };
}

/** Whether a store has said no, rather than failed. */
export function isRefusal(error: unknown): error is Fault {
  return error instanceof Fault && !error.retryable;
}

/** Removes parts of a put that was broken off: they are media as well. */
export async function sweep(target: Target, key: string, bytes: number): Promise<void> {
  await target.sweep(key, bytes).catch((error: unknown) => {
    // Not everybody who may delete may list them; stores forget them by themselves.
    if (!isRefusal(error)) throw error;
  });
}

/** What is noted of a turn that failed; `nextTryMs` is undefined where nothing is tried again by itself. */
export type FailedTurn = { error: string; nextTryMs: number | undefined; isRefusal: boolean; nowMs: number };

/** A store that is away is asked again for ever; one that says no a few times, a day apart, and then no more. */
export function failedTurn(error: unknown, before: { attempts: number; refusals: number }, nowMs: number): FailedTurn {
  const told = { error: messageOf(error), nowMs };
  if (isRefusal(error)) {
    const isLast = before.refusals + 1 >= MOST_REFUSALS;
    return { ...told, isRefusal: true, nextTryMs: isLast ? undefined : nowMs + DAY_MS };
  }
  const asked = error instanceof Fault ? (error.retryAfterMs ?? 0) : 0;
  const pauseMs = Math.max(Math.min(LONGEST_PAUSE_MS, retryDelayMs(before.attempts + 1, true, 0) * 60), asked);
  return { ...told, isRefusal: false, nextTryMs: nowMs + pauseMs };
}
