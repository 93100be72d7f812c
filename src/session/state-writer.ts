/**
 * StateWriter: keeps a task's states in the store, newest last, with the notices about them. The recording matters more
 * than its row: nothing waits for a database that does not answer, and everything is written once it answers again.
 */
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import { type Clock, sleep, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { isFenced, type TaskHold } from './hold.ts';
import type { RecordingStore, SessionLog } from './ports.ts';
import type { TaskState } from './task.ts';

export type StateWriterOptions = {
  store: Pick<RecordingStore, 'saveState' | 'saveQuality'>;
  hold: TaskHold;
  clock: Clock;
  log: SessionLog;
  /** Another server has the task; this one writes nothing more. */
  onFenced(): void;
};

/** How long a database is waited for. */
export const SAVE_TIMEOUT_MS = 5_000;
const AGAIN_MS = 1_000;

export class StateWriter {
  #options: StateWriterOptions;
  #state: TaskState | undefined;
  /** Notices that are not known to be stored yet. */
  #notices: Notice[] = [];
  #quality: QualityReport | undefined;
  #catchingUp: Promise<void> | undefined;
  #failing = false;
  #off = new AbortController();

  constructor(options: StateWriterOptions) {
    this.#options = options;
  }

  /** Resolves when the state is stored, or when the database has not answered in time: then it is stored later. */
  async save(state: TaskState, notices: readonly Notice[]): Promise<void> {
    this.#state = state;
    this.#notices.push(...notices);
    await this.#soon();
  }

  /** Does the same for the quality report of a recorder that has ended. */
  async saveQuality(report: QualityReport): Promise<void> {
    this.#quality = report;
    await this.#soon();
  }

  async #soon(): Promise<void> {
    if (this.#catchingUp || this.#off.signal.aborted || (await this.#write())) return;
    this.#catchingUp = this.#catchUp();
  }

  /** Resolves when everything is stored, or was given up. */
  async settled(): Promise<void> {
    await this.#catchingUp;
  }

  /** Writes nothing more. */
  end(): void {
    this.#off.abort();
  }

  async #catchUp(): Promise<void> {
    const { clock, log, hold } = this.#options;
    try {
      do await sleep(clock, AGAIN_MS, this.#off.signal);
      while (
        // What was saved in the very turn in which the last write ended counts on this one.
        !(await this.#write()) ||
        this.#state ||
        this.#quality
      );
      log.info({ sid: hold.sid }, 'the state of a recording is stored again');
    } catch {
      // The writer was ended.
    } finally {
      this.#catchingUp = undefined;
    }
  }

  /** Writes what waits, and what comes meanwhile; resolves to whether nothing is left. */
  async #write(): Promise<boolean> {
    const { store, hold, clock, log, onFenced } = this.#options;
    try {
      while (!this.#off.signal.aborted && (this.#state || this.#quality)) {
        const [state, notices, quality] = [this.#state, [...this.#notices], this.#quality];
        if (state) {
          await this.#limited(store.saveState(hold, state, clock.nowMs(), notices));
          this.#notices.splice(0, notices.length);
          if (this.#state === state && this.#notices.length === 0) this.#state = undefined;
        }
        if (quality) {
          await this.#limited(store.saveQuality(hold, quality));
          if (this.#quality === quality) this.#quality = undefined;
        }
      }
      this.#failing = false;
      return true;
    } catch (error) {
      if (isFenced(error)) {
        this.end();
        onFenced();
        return true;
      }
      if (!this.#failing)
        log.error({ sid: hold.sid, error: messageOf(error) }, 'the state of a recording could not be stored');
      this.#failing = true;
      return false;
    }
  }

  /** A write that the database does late is harmless: the next write repeats or replaces it. */
  #limited(work: Promise<void>): Promise<void> {
    const late = () => new Error(`the database did not answer within ${SAVE_TIMEOUT_MS} ms`);
    return within(this.#options.clock, SAVE_TIMEOUT_MS, work, late);
  }
}
