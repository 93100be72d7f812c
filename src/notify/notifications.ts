/**
 * Notifications: takes the events of recordings into the outbox, has them delivered, and gives them back to whoever
 * asks later (contract §3).
 */
import { problem } from '../contract/problems.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { SessionLog } from '../session/ports.ts';
import type { KeyedJobs } from '../store/jobs.ts';
import type { EventFilter, Outbox, OutboxTables, StoredEvent } from '../store/outbox-tables.ts';
import { Delivery, longestWaitMs, type RetryRule, wants } from './delivery.ts';
import { createSender, type Sent, type Webhook } from './sender.ts';

export type NotificationsOptions = {
  tables: OutboxTables;
  /** One job per recording that has something to deliver. */
  jobs: Pick<KeyedJobs, 'start' | 'enqueue' | 'hasten' | 'close'>;
  /** Where an app's events go; undefined when the app wants none. */
  webhookOf: (appid: string) => Webhook | undefined;
  /** Whether any app wants events. If not, the jobs are begun only for what is still pending from before. */
  configured: boolean;
  /** Whether other servers may have the same database. */
  shared: boolean;
  clock: Clock;
  log: SessionLog;
  retry: RetryRule;
  /** A receiver that has not answered after this time has failed. */
  timeoutMs: number;
  retentionDays: number;
};

const DAY_MS = 24 * 3_600_000;
/**
 * How often events are looked for that are due and have no job, because the server that committed them ended before it
 * could make one.
 */
const SWEEP_MS = 60_000;
const SWEEP_RECORDINGS = 1_000;
/** How soon the jobs are begun again when the database did not let them. */
const BEGIN_AGAIN_MS = 10_000;

export class Notifications {
  readonly #options: NotificationsOptions;
  readonly #delivery: Delivery;
  readonly #timers: Timer[] = [];
  readonly #ending = new AbortController();
  /** Recordings with events to deliver that are in the outbox, or are about to be committed. */
  readonly #wanted = new Set<string>();
  #beginning: Promise<void> | undefined;
  #begun = false;
  #sweeping = false;

  constructor(options: NotificationsOptions) {
    const { tables: events, webhookOf, clock, log, retry, timeoutMs, shared } = options;
    this.#options = options;
    const send = createSender({ clock, timeoutMs });
    this.#delivery = new Delivery({ events, webhookOf, send, clock, log, retry, shared });
  }

  /** The outbox, as the tables of recordings use it. */
  readonly outbox: Outbox = {
    add: async (inside, notices, nowMs) => {
      const { tables, webhookOf } = this.#options;
      const pending = await tables.add(inside, notices, nowMs, (appid, type) => wants(webhookOf(appid), type));
      if (pending) for (const { sid } of notices) this.#wanted.add(sid);
    },
    added: (sid) => {
      if (!this.#wanted.delete(sid)) return;
      // When the jobs have not begun yet, they will find in the outbox what is there by then.
      if (this.#begun) void this.#enqueue(sid);
      else this.#begin();
    },
  };

  /** Forgets old events and goes on with pending ones; it does not wait for the jobs to begin. */
  async start(): Promise<void> {
    const { clock, configured, tables } = this.#options;
    this.#timers.push(clock.every(DAY_MS, () => void this.#forget()));
    this.#timers.push(clock.every(SWEEP_MS, () => void this.#sweep()));
    await this.#forget();
    if (configured || (await tables.hasPending())) this.#begin();
  }

  /** Ends deliveries; those under way end within seconds. What is pending is delivered after the next start. */
  async close(): Promise<void> {
    for (const timer of this.#timers.splice(0)) timer.cancel();
    this.#delivery.close();
    this.#ending.abort(new Error('the server is ending'));
    await this.#beginning;
    await this.#options.jobs.close();
  }

  /** Events of an app, oldest first, and the position after which the next page begins. */
  async list(appid: string, filter: EventFilter): Promise<{ events: StoredEvent[]; next: number }> {
    const events = await this.#options.tables.list(appid, filter);
    return { events, next: events.at(-1)?.position ?? filter.after };
  }

  /**
   * Sends an event at once. Throws `event-unknown`, or `notifications-not-configured` when its app has nowhere to send
   * it.
   */
  async redeliver(appid: string, noticeId: string): Promise<Sent> {
    const { tables, webhookOf } = this.#options;
    const event = await tables.find(appid, noticeId);
    if (!event) throw problem('event-unknown');
    const webhook = webhookOf(appid);
    if (!webhook) throw problem('notifications-not-configured');
    const sent = await this.#delivery.redeliver(event, webhook, this.#ending.signal);
    // Other events of the recording may have waited behind it for long.
    if (sent.delivered && event.state === 'pending' && this.#begun) void this.#enqueue(event.sid, 'now');
    return sent;
  }

  #begin(): void {
    if (this.#ending.signal.aborted) return;
    this.#beginning ??= this.#startJobs();
  }

  async #startJobs(): Promise<void> {
    const { jobs, clock, log } = this.#options;
    try {
      await jobs.start((sid, signal) => this.#delivery.run(sid, signal));
      this.#begun = true;
      // Only afterwards: this sweep finds events that were committed before, and later ones make their own jobs.
      await this.#sweep();
    } catch (error) {
      log.error({ why: messageOf(error) }, 'deliveries of events cannot begin; it is tried again');
      this.#timers.push(
        clock.after(BEGIN_AGAIN_MS, () => {
          this.#beginning = undefined;
          this.#begin();
        }),
      );
    }
  }

  async #enqueue(sid: string, when: 'due' | 'now' = 'due'): Promise<void> {
    const { jobs, log } = this.#options;
    try {
      await (when === 'now' ? jobs.hasten(sid) : jobs.enqueue(sid));
    } catch (error) {
      log.warn({ sid, why: messageOf(error) }, 'a delivery cannot be put in its queue; the outbox keeps it for later');
    }
  }

  async #sweep(): Promise<void> {
    const { tables, clock, log, retry } = this.#options;
    if (!this.#begun || this.#sweeping || this.#ending.signal.aborted) return;
    this.#sweeping = true;
    try {
      for (const sid of await tables.dueSids(clock.nowMs(), SWEEP_RECORDINGS)) await this.#enqueue(sid);
      // The clock was set back, and the jobs of these wait by it as well.
      const farMs = clock.nowMs() + longestWaitMs(retry);
      for (const sid of await tables.dueAfter(farMs, SWEEP_RECORDINGS)) await this.#enqueue(sid, 'now');
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'the outbox cannot be read; it is tried again');
    } finally {
      this.#sweeping = false;
    }
  }

  async #forget(): Promise<void> {
    const { tables, clock, log, retentionDays } = this.#options;
    try {
      const gone = await tables.forget(clock.nowMs() - retentionDays * DAY_MS);
      if (gone > 0) log.info({ events: gone, retentionDays }, 'old events were forgotten');
    } catch (error) {
      log.warn({ why: messageOf(error) }, 'old events cannot be forgotten; it is tried again tomorrow');
    }
  }
}
