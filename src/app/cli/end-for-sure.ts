/**
 * The end of a process one of whose threads may be in a call that never returns: of a camera that hangs, or of a server
 * that takes connections and answers nothing. Node waits for its threads as it ends, and would wait for ever.
 */
import { systemClock, type Timer } from '../../kernel/clock.ts';

/** How long work may take to end once its end was asked for. */
const LIMIT_MS = 5_000;
/** How long the process may take to end when its work is over. */
const OVER_MS = 1_000;
const NOT_ENDED = 1;

/** Does work that a signal ends; the process ends a moment after that in any case. */
export async function endingForSure<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  let mayHang = true;
  process.once('exit', (code) => {
    // Another program in its place has none of its threads. Some systems cannot replace a process.
    if (mayHang) process.execve?.(process.execPath, [process.execPath, '-e', `process.exitCode = ${code}`], {});
  });
  let late: Timer | undefined;
  const onAbort = () => {
    late = systemClock.after(LIMIT_MS, () => {
      process.stderr.write('aircheck: the server or a device did not let go within 5 s; it is ended without that\n');
      process.exit(NOT_ENDED);
    });
  };
  signal.addEventListener('abort', onAbort);
  try {
    const result = await work();
    mayHang = false;
    systemClock.after(OVER_MS, () => {
      mayHang = true;
      process.exit();
    });
    return result;
  } finally {
    signal.removeEventListener('abort', onAbort);
    late?.cancel();
  }
}
