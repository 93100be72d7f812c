/**
 * DueJobs: looks again and again for recordings that something is to be done for, and has it done as jobs, of which a
 * recording has one at a time in all servers together. What is known of them is in the database, so nothing is lost
 * with a server.
 */
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { KeyedJobs, Work } from '../store/jobs.ts';

/** How often it is looked. */
const LOOK_MS = 60_000;
/** So many recordings are taken up at one look. */
const MOST_AT_ONCE = 100;

/** Resolves to undefined where no other server that lives has the recording. */
export type OtherQueue = (sid: string) => Promise<string | undefined>;

export type DueJobsOptions = {
  jobs: KeyedJobs;
  clock: Clock;
  log: Log;
  /** The sids of recordings that something is to be done for, at most `most`. */
  due(nowMs: number, most: number): Promise<readonly string[]>;
  /** The queue of the server that is to do something for a recording, where that is another one than this. */
  otherQueue?: OtherQueue | undefined;
  /** What else is done at each look, of at most `most`. */
  beside?(most: number): Promise<void>;
  /** Said when a look failed. */
  failed: string;
};

export class DueJobs {
  readonly #o: DueJobsOptions;
  #timer: Timer | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: DueJobsOptions) {
    this.#o = options;
  }

  /** Goes on with what an earlier server had begun, and looks from now on. */
  async start(work: Work): Promise<void> {
    const { jobs, clock } = this.#o;
    await jobs.start(work);
    this.#timer = clock.every(LOOK_MS, () => void this.look());
    void this.look();
  }

  /** Looks now. Resolves once what is due is queued; a look that failed is told of, and made again. */
  look(): Promise<void> {
    const { due, beside, jobs, clock, log, failed } = this.#o;
    this.#looking = this.#looking.then(async () => {
      try {
        for (const sid of await due(clock.nowMs(), MOST_AT_ONCE)) await jobs.enqueue(sid);
        await beside?.(MOST_AT_ONCE);
      } catch (error) {
        log.warn({ why: messageOf(error) }, failed);
      }
    });
    return this.#looking;
  }

  /** Looks now, for something is to be done for this recording; another server that has it is told. */
  async lookFor(sid: string): Promise<void> {
    const { otherQueue, jobs, log } = this.#o;
    await this.look();
    try {
      const queue = await otherQueue?.(sid);
      if (queue !== undefined) await jobs.pass(queue, sid);
    } catch (error) {
      log.warn({ sid, why: messageOf(error) }, 'the server that has a recording could not be told; it looks by itself');
    }
  }

  /** Ends looking, and gives jobs under way a moment to end. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#looking;
    await this.#o.jobs.close();
  }
}
