/**
 * Jobs by key in pg-boss, in the same database as everything else. At most one job per key is worked on at a time, in
 * all servers together; a key that is asked for meanwhile gets another turn. Different keys are worked on side by side.
 */
import { PgBoss } from 'pg-boss';
import { type Clock, systemClock, type Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { SessionLog } from '../session/ports.ts';
import type { Database } from './database.ts';

/**
 * Works on a key. Resolves to the milliseconds after which the key wants another turn, to undefined when it wants none,
 * or to `elsewhere` when only another server can work on it.
 */
export type Work = (key: string, signal: AbortSignal) => Promise<number | 'elsewhere' | undefined>;

export type KeyedJobsOptions = {
  database: Database;
  queue: string;
  log: SessionLog;
  /** pg-boss goes by the database's clock, so only the system's own clock agrees with it. */
  clock?: Clock;
  /** How many keys are worked on at once, in this process. */
  parallel?: number;
};

/** For jobs that other servers enqueue, and for a wake-up that came too early. Everything else wakes this at once. */
const POLL_MS = 5_000;
/**
 * After this time a key that is not for this server can be fetched again: another server, which looks as often, gets it
 * sooner or later.
 */
const ELSEWHERE_S = 2;
/** A server that has not confirmed its job for this long is gone, and another may take the job. */
const HEARTBEAT_S = 30;
/** How long jobs under way may take to end by themselves on close. */
const CLOSE_GRACE_MS = 3_000;

/** Makes pg-boss's tables, or brings them up to date. */
export async function makeJobTables(database: Database): Promise<void> {
  const boss = createBoss(database, systemClock);
  // A fault of what it does beside this, in the background, is none of its tables.
  boss.on('error', () => {});
  await boss.start();
  await boss.stop({ graceful: false });
}

function createBoss(database: Database, clock: Clock): PgBoss {
  return new PgBoss({
    db: {
      executeSql: async (text, values) => ({
        rows: values?.length ? await database.query(text, [...values]) : await database.script(text),
      }),
    },
    backend: database.exclusive ? 'pglite' : 'postgres',
    clock: {
      now: () => clock.nowMs(),
      setTimeout: (run, ms) => clock.after(ms, run),
      setInterval: (run, ms) => clock.every(ms, run),
      clearTimeout: (timer) => (timer as Timer | null)?.cancel(),
      clearInterval: (timer) => (timer as Timer | null)?.cancel(),
    },
    // We use only pg-boss's jobs, which come again when their server is lost; not its cron, flows or statistics.
    schedule: false,
    registerInstance: false,
    monitorVacuum: false,
    // It would rebuild indexes for thousands of old jobs; ours are deleted within the hour.
    reindex: false,
    flowIntervalSeconds: 3_600,
    superviseIntervalSeconds: HEARTBEAT_S / 2,
    monitorIntervalSeconds: HEARTBEAT_S / 2,
    maintenanceIntervalSeconds: 3_600,
    openTelemetry: { enabled: false },
  });
}

type Claim = { id: string; retryCount: number; abort: AbortController };

export class KeyedJobs {
  readonly #options: Required<KeyedJobsOptions>;
  readonly #boss: PgBoss;
  readonly #claims = new Map<string, Claim>();
  readonly #running = new Set<Promise<void>>();
  readonly #timers: Timer[] = [];
  #work: Work | undefined;
  #fetching: Promise<void> | undefined;
  #isFetching = false;
  #again = false;
  #closing = false;

  constructor(options: KeyedJobsOptions) {
    this.#options = { clock: systemClock, parallel: 8, ...options };
    const { database, log, clock } = this.#options;
    this.#boss = createBoss(database, clock);
    this.#boss.on('error', (error) => log.warn({ err: error }, 'pg-boss'));
    this.#boss.on('warning', (warning) => log.info({ warning }, 'pg-boss'));
  }

  /** Makes pg-boss's tables when they are missing (about 0.1 s in PGlite), and begins to work. */
  async start(work: Work): Promise<void> {
    const { clock, database, queue } = this.#options;
    await this.#boss.start();
    await this.#boss.createQueue(queue, {
      // One waiting and one working job per key: the waiting one is for what comes while the other works.
      policy: 'stately',
      // A job fails only when the database did or its server ended. It is never given up for that.
      retryLimit: 1_000_000,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 60,
      heartbeatSeconds: HEARTBEAT_S,
      deleteAfterSeconds: 600,
    });
    // In a database that only we use, active jobs belong to an earlier server that crashed. Nothing is gained by
    // waiting for their heartbeats.
    if (database.exclusive) await this.#boss.deleteAllJobs(queue);
    if (this.#closing) return;
    this.#work = work;
    this.#timers.push(clock.every(POLL_MS, () => this.#wake()));
    this.#timers.push(clock.every((HEARTBEAT_S * 1000) / 3, () => void this.#confirm()));
    this.#wake();
  }

  /** Has the key worked on after `delayMs`. A turn that it already waits for keeps its time. */
  async enqueue(key: string, delayMs = 0): Promise<void> {
    const { queue, clock } = this.#options;
    const startAfter = Math.max(0, delayMs) / 1000;
    await this.#boss.send(queue, { key }, { singletonKey: key, startAfter });
    if (delayMs <= 0) this.#wake();
    // The job is due by the database's clock, which was read before this one.
    else clock.after(delayMs + 20, () => this.#wake());
  }

  /** Has another server work on the key, whose queue this is, within seconds. Rejects where there is no such queue. */
  async pass(queue: string, key: string): Promise<void> {
    await this.#boss.send(queue, { key }, { singletonKey: key });
  }

  /** Has the key worked on now, even when its turn would come later. */
  async hasten(key: string): Promise<void> {
    const { queue } = this.#options;
    const { updated } = await this.#boss.update(queue, undefined, { singletonKey: key, startAfter: 0, match: 'all' });
    if (updated === 0) await this.#boss.send(queue, { key }, { singletonKey: key });
    this.#wake();
  }

  /** Begins no more jobs, lets active ones end for some seconds, then aborts them. Resolves when all have ended. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const timer of this.#timers.splice(0)) timer.cancel();
    await this.#fetching;
    const grace = this.#options.clock.after(CLOSE_GRACE_MS, () => {
      for (const { abort } of this.#claims.values()) abort.abort(new Error('the server is ending'));
    });
    await Promise.all(this.#running);
    grace.cancel();
    await this.#boss.stop({ graceful: false });
  }

  #wake(): void {
    this.#again = true;
    if (!this.#work || this.#closing || this.#isFetching) return;
    this.#isFetching = true;
    this.#fetching = this.#fetchJobs(this.#work);
  }

  /** Fetches as many jobs as there is room for. When it is woken meanwhile it looks once more. */
  async #fetchJobs(work: Work): Promise<void> {
    const { queue, parallel, log } = this.#options;
    try {
      while (this.#again && !this.#closing) {
        this.#again = false;
        const room = parallel - this.#claims.size;
        // The end of any job wakes this again.
        if (room <= 0) break;
        for (const job of await this.#boss.fetch<{ key: string }>(queue, { batchSize: room })) {
          const claim = { id: job.id, retryCount: job.retryCount, abort: new AbortController() };
          this.#claims.set(job.id, claim);
          const running = this.#run(work, job.data.key, claim).finally(() => {
            this.#claims.delete(job.id);
            this.#running.delete(running);
            this.#wake();
          });
          this.#running.add(running);
        }
      }
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'jobs cannot be fetched from the database; it is tried again');
    } finally {
      this.#isFetching = false;
    }
  }

  async #run(work: Work, key: string, { abort, ...claim }: Claim): Promise<void> {
    const { queue, log } = this.#options;
    try {
      const againMs = await work(key, abort.signal);
      // Before the job is completed: a crash between the two then costs a needless turn rather than a missing one.
      if (againMs === 'elsewhere')
        await this.#boss.send(queue, { key }, { singletonKey: key, startAfter: ELSEWHERE_S });
      else if (againMs !== undefined) await this.enqueue(key, againMs);
      await this.#boss.complete(queue, claim);
    } catch (error) {
      log.warn({ key, why: messageOf(error) }, 'a job failed; it is tried again');
      // If this fails too, the job comes again when its heartbeats stay away.
      await this.#boss.fail(queue, claim, { message: messageOf(error) }).catch(() => {});
    }
  }

  /** Confirms that active jobs are still being worked on, and drops those that were taken from this process. */
  async #confirm(): Promise<void> {
    const { queue, log } = this.#options;
    const claims = [...this.#claims.values()];
    if (claims.length === 0) return;
    try {
      const answer = await this.#boss.touch(
        queue,
        claims.map(({ id, retryCount }) => ({ id, retryCount })),
      );
      const { settled } = answer as { settled?: string[] };
      for (const { id, abort } of claims)
        if (settled && !settled.includes(id)) abort.abort(new Error('another server has taken over'));
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'jobs at work cannot be confirmed in the database');
    }
  }
}
