/** CompleteRuns: runs that make what is made of recordings that are over, a few at once. */
import type { CompleteCommand } from '../contract/line/complete.ts';
import type { SessionLog } from '../session/ports.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import { QueuedRuns, type QueuedRunsOptions } from './queued-runs.ts';

export type CompleteRunsOptions = Omit<QueuedRunsOptions, 'name'> & { log: SessionLog };
export type CompleteRunOptions = {
  /** Takes the run out of the queue, or ends its process by force. */
  signal: AbortSignal;
  /** The run has left the queue, and this process works on it. */
  onProcess(process: ProcessIdentity): void;
};

export class CompleteRuns {
  readonly #log: SessionLog;
  readonly #runs: QueuedRuns;

  constructor({ log, ...options }: CompleteRunsOptions) {
    this.#log = log;
    this.#runs = new QueuedRuns({ ...options, name: 'complete' });
  }

  /** Resolves when the work is done. Rejects as QueuedRuns does, with codes of `complete-…`. */
  async run(command: CompleteCommand, options: CompleteRunOptions): Promise<void> {
    const files = await this.#runs.run(command, options);
    this.#log.info({ spoolDir: command.spoolDir, files }, 'recording completed');
  }

  /** Calls off all runs. Resolves when their processes are gone. */
  close(): Promise<void> {
    return this.#runs.close();
  }
}
