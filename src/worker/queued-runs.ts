/**
 * QueuedRuns: work on recordings by processes of their own, each in a process group of its own, which get it on
 * standard input. A few work at once and the rest wait in a queue; each has a time limit and can be called off.
 */
import { NO_ROOM_EXIT } from '../contract/line/complete.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import type { Forks } from './forks.ts';

export type QueuedRunsOptions = {
  clock: Clock;
  /** What the Faults are of: `<name>-failed`, `<name>-called-off`. */
  name: string;
  forks: Forks;
  /** The script that is run, and its arguments. */
  entry: string;
  args: readonly string[];
  env: Record<string, string | undefined>;
  /** How many may work at once. */
  parallel: number;
  /** A run that takes longer is ended by force. */
  timeoutMs: number;
};
export type QueuedRunOptions = {
  /** Takes the run out of the queue, or ends its process by force. */
  signal: AbortSignal;
  /** The run has left the queue, and this process works on it. */
  onProcess?(process: ProcessIdentity): void;
  /** It said this on standard output. */
  onLine?(line: string): void;
};

/** Of what a process writes about its failure, this much of the end is kept. */
const MAX_WORDS = 10_000;

export class QueuedRuns {
  #options: QueuedRunsOptions;
  #running = new Set<Promise<unknown>>();
  #waiting: (() => void)[] = [];
  #closing = new AbortController();

  constructor(options: QueuedRunsOptions) {
    this.#options = options;
  }

  /**
   * Resolves, when the work is done, to what the process said on standard output, line by line. Rejects with a Fault
   * when it failed, took too long, or was called off. The Fault is retryable when somebody else ended the process, and
   * when there was no room for the files (`spool-full`).
   */
  async run(command: object, options: QueuedRunOptions): Promise<string[]> {
    const { signal } = options;
    const off = AbortSignal.any([signal, this.#closing.signal]);
    await this.#turn(off);
    const running = this.#perform(command, off, options);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
      this.#waiting.shift()?.();
    }
  }

  /** Calls off all runs. Resolves when their processes are gone. */
  async close(): Promise<void> {
    this.#closing.abort(calledOff(this.#options.name));
    await Promise.allSettled(this.#running);
  }

  async #turn(off: AbortSignal): Promise<void> {
    off.throwIfAborted();
    if (this.#running.size < this.#options.parallel) return;
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(off.reason);
      };
      const enter = () => {
        off.removeEventListener('abort', leave);
        resolve();
      };
      off.addEventListener('abort', leave, { once: true });
      this.#waiting.push(enter);
    });
  }

  #perform(command: object, off: AbortSignal, { onProcess, onLine }: QueuedRunOptions): Promise<string[]> {
    const { clock, forks, entry, args, env, timeoutMs, name } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (why: string, retryable = false, code = `${name}-failed`) =>
        reject(new Fault(code, why, { blame: 'self', retryable }));
      let said = '';
      const lines: string[] = [];
      let endedFor: string | undefined;
      const child = forks.start(
        { entry, args, env, flags: [], input: JSON.stringify(command) },
        {
          onStarted: (process) => onProcess?.(process),
          onLine: (from, line) => {
            if (from === 'stdout') {
              lines.push(line);
              onLine?.(line);
            } else said = `${said}${line}\n`.slice(-MAX_WORDS);
          },
          onClosed: (closed) => {
            timer.cancel();
            off.removeEventListener('abort', onAbort);
            if (off.aborted) reject(off.reason);
            else if (endedFor !== undefined) fail(endedFor);
            else if ('lost' in closed) fail(closed.lost, true);
            else if (closed.signal) fail(`its process was ended by ${closed.signal}`, true);
            else if (closed.code === NO_ROOM_EXIT) fail(said.trim(), true, 'spool-full');
            else if (closed.code !== 0) fail(said.trim() || `its process ended with exit code ${closed.code}`);
            else resolve(lines);
          },
        },
      );
      const end = (why: string) => {
        endedFor ??= why;
        child.kill();
      };
      const onAbort = () => end(messageOf(off.reason));
      const timer = clock.after(timeoutMs, () => end(`it took longer than ${timeoutMs / 1000} s`));
      off.addEventListener('abort', onAbort, { once: true });
    });
  }
}

function calledOff(name: string): Fault {
  return new Fault(`${name}-called-off`, 'the server shuts down', { blame: 'self', retryable: true });
}
