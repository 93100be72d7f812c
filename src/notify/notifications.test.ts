import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addRecording, noticeOf } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { WebhookReceiver } from '../../test/support/webhook-receiver.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import type { Timer } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import type { Database } from '../store/database.ts';
import type { Work } from '../store/jobs.ts';
import { OutboxTables } from '../store/outbox-tables.ts';
import type { RetryRule } from './delivery.ts';
import { Notifications, type NotificationsOptions } from './notifications.ts';
import type { Webhook } from './sender.ts';

/** Jobs by a clock that tests move: what KeyedJobs does, without a second clock in the database. */
class ManualJobs {
  readonly clock: ManualClock;
  starts = 0;
  /** Makes the next starts fail. */
  broken = 0;
  #work: Work | undefined;
  #turns = new Map<string, Promise<void>>();
  #waiting: Timer[] = [];
  #again = new Set<string>();
  #abort = new AbortController();
  #closed = false;

  constructor(clock: ManualClock) {
    this.clock = clock;
  }
  async start(work: Work): Promise<void> {
    this.starts++;
    if (this.broken-- > 0) throw new Error('no tables');
    this.#work = work;
  }
  async enqueue(key: string, delayMs = 0): Promise<void> {
    if (delayMs > 0) this.#waiting.push(this.clock.after(delayMs, () => this.#turn(key)));
    else this.#turn(key);
  }
  async hasten(key: string): Promise<void> {
    this.#turn(key);
  }
  async close(): Promise<void> {
    this.#closed = true;
    this.#abort.abort(new Error('the server is ending'));
    await this.idle();
  }
  /** Has no turn that waits come any more. */
  forget(): void {
    for (const waiting of this.#waiting.splice(0)) waiting.cancel();
  }
  /** Resolves when all turns have ended that need no more time. */
  async idle(): Promise<void> {
    while (this.#turns.size > 0) await Promise.all(this.#turns.values());
  }
  #turn(key: string): void {
    if (this.#closed) return;
    if (this.#turns.has(key)) {
      this.#again.add(key);
      return;
    }
    const turn = (async () => {
      const againMs = await this.#work?.(key, this.#abort.signal);
      this.#turns.delete(key);
      if (this.#again.delete(key)) this.#turn(key);
      else if (typeof againMs === 'number') await this.enqueue(key, againMs);
    })();
    this.#turns.set(key, turn);
  }
}

const HOUR = 3_600_000;
const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);

describe.each(targets)('%s', (_name, url) => {
  let database: Database;
  let tables: OutboxTables;
  /** Those under way. */
  const statements = new Set<Promise<unknown>>();
  let receiver: WebhookReceiver;
  let clock: ManualClock;
  let jobs: ManualJobs;
  let notifications: Notifications;
  let webhook: Webhook | undefined;
  let appid: string;
  let sid: string;

  beforeAll(async () => {
    const opened = await openTestDatabase(url);
    const counted = <T>(statement: Promise<T>): Promise<T> => {
      statements.add(statement);
      return statement.finally(() => statements.delete(statement));
    };
    database = {
      ...opened,
      query: (sql, params) => counted(opened.query(sql, params)),
      transaction: (run) => counted(opened.transaction(run)),
    };
    tables = new OutboxTables(database);
  }, 60_000);
  beforeEach(async () => {
    receiver = await new WebhookReceiver().start();
    clock = new ManualClock();
    webhook = receiver.webhook;
    appid = newHexId();
    sid = await addRecording(database, appid);
    await database.query('delete from events');
  });
  afterEach(async () => {
    await notifications.close();
    await receiver.close();
  });
  afterAll(() => database?.close());

  const RETRY: RetryRule = { forMs: 24 * HOUR, maxRetries: 0 };
  async function begin(retry: RetryRule = RETRY, changes: Partial<NotificationsOptions> = {}): Promise<void> {
    jobs = new ManualJobs(clock);
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const webhookOf = (each: string) => (each === appid ? webhook : undefined);
    const common = { shared: false, configured: true, timeoutMs: 10_000, retentionDays: 30, retry };
    notifications = new Notifications({ tables, jobs, webhookOf, clock, log, ...common, ...changes });
    await notifications.start();
    await settled();
  }
  async function tell(...notices: Notice[]): Promise<Notice[]> {
    await database.transaction((inside) => notifications.outbox.add(inside, notices, clock.nowMs()));
    for (const each of new Set(notices.map((notice) => notice.sid))) notifications.outbox.added(each);
    await settled();
    return notices;
  }
  /** Everything that needs no more time has happened: no turn and no statement is under way. */
  async function settled(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await jobs.idle();
      await new Promise((resolve) => setImmediate(resolve));
      if (statements.size === 0) continue;
      quiet = -1;
      await Promise.allSettled([...statements]);
    }
  }
  /** Moves time on in steps, with everything done between them. */
  async function pass(ms: number, stepMs: number): Promise<void> {
    for (let gone = 0; gone < ms; gone += stepMs) {
      clock.advance(Math.min(stepMs, ms - gone));
      await settled();
    }
  }
  const listed = async (filter: object = {}) =>
    (await notifications.list(appid, { after: 0, limit: 1_000, ...filter })).events;
  const states = async () => (await listed()).map(({ state }) => state);
  const sequences = (of = sid) => receiver.taken(of).map(({ notice }) => notice.payload.sequence);

  test('events arrive in order, signed, with the time of their sending', async () => {
    await begin();
    const notices = await tell(noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2));
    expect(receiver.received.map(({ notice }) => notice)).toEqual(
      notices.map((notice) => ({ ...notice, notifyMs: clock.nowMs() })),
    );
    for (const { signed, body } of receiver.received) {
      expect(signed).toBe(true);
      // Receivers sign what they parsed and printed again (contract §6.27).
      expect(JSON.stringify(JSON.parse(body))).toBe(body);
    }
    expect(await states()).toEqual(['delivered', 'delivered', 'delivered']);
  });

  test('a receiver that is away for a day gets everything when it comes back, in order and once', async () => {
    await begin();
    receiver.behave = () => 503;
    await tell(noticeOf(sid, 0), noticeOf(sid, 1));
    await pass(23 * HOUR, 10 * 60_000);
    await tell(noticeOf(sid, 2));
    expect(await listed()).toMatchObject([
      { state: 'pending' },
      { state: 'pending', attempts: 0 },
      { state: 'pending' },
    ]);
    const tries = receiver.received.length;
    expect(tries).toBeGreaterThan(50);
    expect(new Set(receiver.received.map(({ notice }) => notice.noticeId)).size).toBe(1);
    expect(new Set(receiver.received.map(({ notice }) => notice.notifyMs)).size).toBe(tries);
    receiver.behave = () => 200;
    await pass(12 * 60_000, 60_000);
    expect(sequences()).toEqual([0, 1, 2]);
    expect(receiver.received.every(({ signed }) => signed)).toBe(true);
    expect(await states()).toEqual(['delivered', 'delivered', 'delivered']);
  }, 60_000);

  test('with a receiver that stays away, all events are given up at about the same time, and listed', async () => {
    await begin({ forMs: HOUR, maxRetries: 0 });
    receiver.behave = () => 'drop';
    await tell(noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2));
    await pass(HOUR - 60_000, 60_000);
    expect(await states()).toEqual(['pending', 'pending', 'pending']);
    await pass(2 * 60_000, 10_000);
    expect(await states()).toEqual(['dead', 'dead', 'dead']);
    expect(await listed({ state: 'dead' })).toMatchObject([
      { notice: { payload: { sequence: 0 } }, lastError: expect.stringMatching(/cannot be reached/) },
      { notice: { payload: { sequence: 1 } }, attempts: 1 },
      { notice: { payload: { sequence: 2 } }, attempts: 1 },
    ]);
    // What comes later has its own time.
    receiver.behave = () => 200;
    await tell(noticeOf(sid, 3));
    expect(sequences()).toEqual([3]);
  });

  test('an event is given up after as many retries as are allowed, and the next goes on', async () => {
    await begin({ ...RETRY, maxRetries: 3 });
    receiver.behave = (notice) => (notice.payload.sequence === 0 ? 500 : 200);
    await tell(noticeOf(sid, 0), noticeOf(sid, 1));
    await pass(20_000, 500);
    expect(receiver.received.map(({ notice }) => notice.payload.sequence)).toEqual([0, 0, 0, 0, 1]);
    const why = 'the receiver answered 500 instead of 200: status 500';
    expect(await listed()).toMatchObject([{ state: 'dead', attempts: 4, lastError: why }, { state: 'delivered' }]);
  });

  test('one recording whose receiver fails does not hold up another', async () => {
    await begin();
    const other = await addRecording(database, appid);
    receiver.behave = (notice) => (notice.sid === sid ? 500 : 200);
    await tell(noticeOf(sid, 0), noticeOf(other, 0), noticeOf(other, 1));
    expect(sequences(other)).toEqual([0, 1]);
    expect(sequences()).toEqual([]);
  });

  test('one that hangs is given its time, and tried again', async () => {
    await begin();
    receiver.behave = () => (receiver.received.length === 1 ? 'hang' : 200);
    await database.transaction((inside) => notifications.outbox.add(inside, [noticeOf(sid, 0)], clock.nowMs()));
    notifications.outbox.added(sid);
    await receiver.until(() => receiver.received.length === 1);
    clock.advance(10_000);
    await settled();
    expect(await listed()).toMatchObject([{ attempts: 1, lastError: 'the receiver did not answer within 10 s' }]);
    await pass(2_000, 500);
    expect(await states()).toEqual(['delivered']);
  });

  test('after a restart the outbox goes on where it was', async () => {
    await begin();
    receiver.behave = ({ payload }) => (payload.sequence === 0 ? 200 : 503);
    await tell(noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2));
    expect(sequences()).toEqual([0]);
    await notifications.close();
    receiver.behave = () => 200;
    clock.advance(HOUR);
    await begin();
    expect(sequences()).toEqual([0, 1, 2]);
    expect(await listed()).toMatchObject([{ attempts: 1 }, { attempts: 2 }, { attempts: 1 }]);
  });

  test('a clock that was set back by an hour, before a start or after it, holds nothing up', async () => {
    await begin();
    receiver.behave = () => 503;
    await tell(noticeOf(sid, 0));
    await notifications.close();
    receiver.behave = () => 200;
    clock = new ManualClock(clock.nowMs() - HOUR);
    await begin();
    expect(sequences()).toEqual([0]);
    receiver.behave = () => 503;
    await tell(noticeOf(sid, 1));
    // As if it had been written before the clock was set back, and the job that waits had been as well.
    await database.query('update events set next_attempt_ms = $1 where next_attempt_ms is not null', [
      clock.nowMs() + HOUR,
    ]);
    jobs.forget();
    receiver.behave = () => 200;
    await pass(60_000, 30_000);
    expect(sequences()).toEqual([0, 1]);
  });

  test('closing in the middle of a sending neither counts nor loses it', async () => {
    await begin();
    receiver.behave = () => 'hang';
    await database.transaction((inside) => notifications.outbox.add(inside, [noticeOf(sid, 0)], clock.nowMs()));
    notifications.outbox.added(sid);
    await receiver.until(() => receiver.received.length === 1);
    await notifications.close();
    expect(await tables.list(appid, { after: 0, limit: 10 })).toMatchObject([{ state: 'pending', attempts: 0 }]);
    receiver.behave = () => 200;
    await begin();
    expect(await states()).toEqual(['delivered']);
  });

  test('a type the app does not list is kept, and not posted', async () => {
    webhook = { ...receiver.webhook, events: [33] };
    await begin();
    await tell(noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2));
    expect(sequences()).toEqual([1]);
    expect(await states()).toEqual(['unwanted', 'delivered', 'unwanted']);
  });

  test('without a webhook nothing is begun, and everything is kept', async () => {
    webhook = undefined;
    await begin(RETRY, { configured: false });
    await tell(noticeOf(sid, 0));
    expect(jobs.starts).toBe(0);
    expect(await states()).toEqual(['unwanted']);
  });

  test('what an app no longer wants after a restart is not posted', async () => {
    await begin();
    receiver.behave = () => 500;
    await tell(noticeOf(sid, 0), noticeOf(sid, 1));
    await notifications.close();
    const posted = receiver.received.length;
    webhook = undefined;
    clock.advance(HOUR);
    await begin(RETRY, { configured: false });
    expect(await states()).toEqual(['unwanted', 'unwanted']);
    expect(receiver.received).toHaveLength(posted);
  });

  test('jobs that cannot begin are begun again', async () => {
    receiver.behave = () => 200;
    jobs = new ManualJobs(clock);
    jobs.broken = 1;
    const given = jobs;
    await begin(RETRY, { jobs: given });
    jobs = given;
    await settled();
    await tell(noticeOf(sid, 0));
    expect(receiver.received).toHaveLength(0);
    clock.advance(10_000);
    await settled();
    expect(jobs.starts).toBe(2);
    expect(sequences()).toEqual([0]);
  });

  test('what has no job is found within a minute', async () => {
    await begin();
    // Committed by a server that ended before it could say so.
    await database.transaction((inside) => tables.add(inside, [noticeOf(sid, 0)], clock.nowMs(), () => true));
    await pass(60_000, 30_000);
    expect(sequences()).toEqual([0]);
  });

  test('an event can be sent again, whatever its state', async () => {
    await begin({ forMs: 0, maxRetries: 0 });
    const [delivered] = await tell(noticeOf(sid, 0));
    receiver.behave = () => 500;
    const [dead] = await tell(noticeOf(sid, 1));
    expect(await states()).toEqual(['delivered', 'dead']);
    expect(await notifications.redeliver(appid, dead!.noticeId)).toEqual({
      delivered: false,
      error: 'the receiver answered 500 instead of 200: status 500',
    });
    expect(await listed({ state: 'dead' })).toMatchObject([{ attempts: 2 }]);
    receiver.behave = () => 200;
    clock.advance(5_000);
    expect(await notifications.redeliver(appid, dead!.noticeId)).toEqual({ delivered: true });
    expect(await notifications.redeliver(appid, delivered!.noticeId)).toEqual({ delivered: true });
    expect(await listed()).toMatchObject([
      { state: 'delivered', attempts: 2 },
      { state: 'delivered', attempts: 3, deliveredMs: clock.nowMs() },
    ]);
    const bodies = receiver.taken().map(({ notice }) => notice);
    expect(bodies.map(({ noticeId }) => noticeId)).toEqual([delivered, dead, delivered].map((each) => each?.noticeId));
    expect(bodies[2]?.notifyMs).toBe(clock.nowMs());
    expect(receiver.received.every(({ signed }) => signed)).toBe(true);
  });

  test('once one that others wait behind is delivered by hand, they follow at once', async () => {
    await begin();
    receiver.behave = () => 503;
    const [first] = await tell(noticeOf(sid, 0), noticeOf(sid, 1));
    await pass(HOUR, 10 * 60_000);
    receiver.behave = () => 200;
    expect(await notifications.redeliver(appid, first!.noticeId)).toEqual({ delivered: true });
    await settled();
    expect(sequences()).toEqual([0, 1]);
  });

  test('what does not exist, and what has nowhere to go, cannot be sent again', async () => {
    await begin();
    const [notice] = await tell(noticeOf(sid, 0));
    await expect(notifications.redeliver(appid, newHexId())).rejects.toMatchObject({ code: 'event-unknown' });
    await expect(notifications.redeliver(newHexId(), notice!.noticeId)).rejects.toMatchObject({
      code: 'event-unknown',
    });
    webhook = undefined;
    const refused = notifications.redeliver(appid, notice!.noticeId);
    await expect(refused).rejects.toMatchObject({ code: 'notifications-not-configured' });
  });

  test('lists are pages', async () => {
    await begin();
    await tell(noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2));
    const first = await notifications.list(appid, { after: 0, limit: 2 });
    expect(first.events.map(({ notice }) => notice.payload.sequence)).toEqual([0, 1]);
    const second = await notifications.list(appid, { after: first.next, limit: 2 });
    expect(second.events.map(({ notice }) => notice.payload.sequence)).toEqual([2]);
    expect(await notifications.list(appid, { after: second.next, limit: 2 })).toEqual({
      events: [],
      next: second.next,
    });
  });

  test('events are forgotten after their time, at the start and daily', async () => {
    await begin(RETRY, { retentionDays: 1 });
    await tell(noticeOf(sid, 0));
    clock.advance(24 * HOUR);
    await settled();
    expect(await listed()).toHaveLength(1);
    clock.advance(24 * HOUR);
    await settled();
    expect(await listed()).toHaveLength(0);
    await tell(noticeOf(sid, 1));
    await notifications.close();
    clock.advance(25 * HOUR);
    await begin(RETRY, { retentionDays: 1 });
    expect(await listed()).toHaveLength(0);
  });
});
