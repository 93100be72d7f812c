/**
 * Jobs by key in pg-boss, over the same database as everything else: of one key at most one job is worked on at a time,
 * in all servers together, and a key that is asked for meanwhile gets another turn. Different keys go side by side.
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
  /** pg-boss tells time by the database's clock, so only the machine's own fits together with it. */
  clock?: Clock;
  /** How many keys are worked on at once, in this process. */
  parallel?: number;
};

/** For what other servers enqueue, and what was woken for in vain. All else wakes at once. */
const POLL_MS = 5_000;
/**
 * After this long a key that is not for this server can be had again: another one, which looks as often, then has it
 * sooner or later.
 */
const ELSEWHERE_S = 2;
/** A server that has not confirmed its job for this long is gone, and the job is another's. */
const HEARTBEAT_S = 30;
/** How long jobs under way may take to end by themselves on close. */
const CLOSE_GRACE_MS = 3_000;

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
    this.#boss = new PgBoss({
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
      // Of pg-boss we use jobs that are lost with their server and come again; not cron, flows or its own statistics.
      schedule: false,
      registerInstance: false,
      monitorVacuum: false,
      // Rebuilds indexes of jobs that pile up by the thousand; ours are deleted within the hour.
      reindex: false,
      flowIntervalSeconds: 3_600,
      superviseIntervalSeconds: HEARTBEAT_S / 2,
      monitorIntervalSeconds: HEARTBEAT_S / 2,
      maintenanceIntervalSeconds: 3_600,
      openTelemetry: { enabled: false },
    });
    this.#boss.on('error', (error) => log.warn({ err: error }, 'pg-boss'));
    this.#boss.on('warning', (warning) => log.info({ warning }, 'pg-boss'));
  }

  /** Makes pg-boss's tables when they are not there (about 0.1 s in PGlite), and begins to work. */
  async start(work: Work): Promise<void> {
    const { clock, database, queue } = this.#options;
    await this.#boss.start();
    await this.#boss.createQueue(queue, {
      // One job waiting and one at work per key: the one that waits is there for what came while the other was at work.
      policy: 'stately',
      // A job only fails when the database did, or its server ended. It is never given up for that.
      retryLimit: 1_000_000,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 60,
      heartbeatSeconds: HEARTBEAT_S,
      deleteAfterSeconds: 600,
    });
    // In a database of our own, jobs at work are those of a forerunner that crashed. Nobody needs to wait for their
    // heartbeat.
    if (database.exclusive) await this.#boss.deleteAllJobs(queue);
    if (this.#closing) return;
    this.#work = work;
    this.#timers.push(clock.every(POLL_MS, () => this.#wake()));
    this.#timers.push(clock.every((HEARTBEAT_S * 1000) / 3, () => void this.#confirm()));
    this.#wake();
  }

  /** Has the key worked on after `delayMs`. A turn that it waits for already stays at its time. */
  async enqueue(key: string, delayMs = 0): Promise<void> {
    const { queue, clock } = this.#options;
    const startAfter = Math.max(0, delayMs) / 1000;
    await this.#boss.send(queue, { key }, { singletonKey: key, startAfter });
    if (delayMs <= 0) this.#wake();
    // The job is due by the database's clock, which was read before this one.
    else clock.after(delayMs + 20, () => this.#wake());
  }

  /** Has the key worked on now, also when its turn were later. */
  async hasten(key: string): Promise<void> {
    const { queue } = this.#options;
    const { updated } = await this.#boss.update(queue, undefined, { singletonKey: key, startAfter: 0, match: 'all' });
    if (updated === 0) await this.#boss.send(queue, { key }, { singletonKey: key });
    this.#wake();
  }

  /** Begins no more jobs, lets those at work end for some seconds, then aborts them. Resolves when all have ended. */
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

  /** Takes as many jobs as there is room for. Whoever wakes it meanwhile has it look once more. */
  async #fetchJobs(work: Work): Promise<void> {
    const { queue, parallel, log } = this.#options;
    try {
      while (this.#again && !this.#closing) {
        this.#again = false;
        const room = parallel - this.#claims.size;
        // The end of any job wakes.
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
      // Before the job is completed: a crash between the two costs a turn in vain, not the turn.
      if (againMs === 'elsewhere')
        await this.#boss.send(queue, { key }, { singletonKey: key, startAfter: ELSEWHERE_S });
      else if (againMs !== undefined) await this.enqueue(key, againMs);
      await this.#boss.complete(queue, claim);
    } catch (error) {
      log.warn({ key, why: messageOf(error) }, 'a job failed; it is tried again');
      // When this fails too, the job comes back for want of a heartbeat.
      await this.#boss.fail(queue, claim, { message: messageOf(error) }).catch(() => {});
    }
  }

  /** Tells that the jobs at work are still at work, and drops those that were taken from this process. */
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
