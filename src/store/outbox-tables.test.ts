import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addRecording, beginOwner, holdOf, noticeOf } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import { newHexId } from '../kernel/ids.ts';
import { newTaskState } from '../session/task.ts';
import type { Database } from './database.ts';
import { type Outbox, OutboxTables } from './outbox-tables.ts';
import { RecordingTables } from './recording-tables.ts';
import { Vault } from './vault.ts';

const vault = new Vault([Vault.newKey()]);

const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);
const T = 1_800_000_000_000;

describe.each(targets)('%s', (_name, url) => {
  let database: Database;
  let outbox: OutboxTables;
  let appid: string;
  let sid: string;
  beforeAll(async () => {
    database = await openTestDatabase(url);
    outbox = new OutboxTables(database);
  }, 60_000);
  beforeEach(async () => {
    appid = newHexId();
    sid = await addRecording(database, appid);
  });
  afterAll(() => database?.close());

  const add = (notices: Notice[], wants = (_appid: string, _type: number) => true, nowMs = T) =>
    database.transaction((inside) => outbox.add(inside, notices, nowMs, wants));
  const all = (filter: object = {}) => outbox.list(appid, { after: 0, limit: 100, ...filter });

  test('a notice comes back as it was put in, with its members in their order', async () => {
    const notice = noticeOf(sid, 0);
    expect(await add([notice])).toBe(true);
    const [event] = await all();
    expect(event).toEqual({
      position: expect.any(Number),
      sid,
      appid,
      state: 'pending',
      attempts: 0,
      firstTriedMs: undefined,
      lastAttemptMs: undefined,
      nextAttemptMs: undefined,
      deliveredMs: undefined,
      lastError: undefined,
      notice,
    });
    expect(JSON.stringify(event?.notice)).toBe(JSON.stringify(notice));
  });

  test('a state is saved together with its notices, or neither is', async () => {
    const told: string[] = [];
    const port: Outbox = {
      add: async (inside, notices, nowMs) => void (await outbox.add(inside, notices, nowMs, () => true)),
      added: (added) => void told.push(added),
    };
    const tables = new RecordingTables(database, await beginOwner(database), vault, port);
    const notices = [noticeOf(sid, 0), noticeOf(sid, 1)];
    await tables.saveState(holdOf(sid), { ...newTaskState(), status: 5 }, 20, notices);
    // The session saves again when it did not learn that it had succeeded.
    await tables.saveState(holdOf(sid), { ...newTaskState(), status: 5 }, 21, notices);
    expect((await all()).map(({ notice }) => notice.noticeId)).toEqual(notices.map(({ noticeId }) => noticeId));
    expect(told).toEqual([sid, sid]);

    const clash = noticeOf(sid, 1);
    await expect(tables.saveState(holdOf(sid), { ...newTaskState(), status: 7 }, 30, [clash])).rejects.toThrow();
    const [task] = await database.query('select status from tasks where sid = $1', [sid]);
    expect(Number(task?.['status'])).toBe(5);
    expect(await all()).toHaveLength(2);
    expect(told).toHaveLength(2);

    await tables.saveState(holdOf(sid), { ...newTaskState(), status: 6 }, 40);
    expect(told).toHaveLength(2);
  });

  test('what nobody wants is kept and not pending; what belongs to no recording is not kept', async () => {
    expect(await add([noticeOf(sid, 0), noticeOf(sid, 1)], (app, type) => app === appid && type === 33)).toBe(true);
    expect((await all()).map(({ state }) => state)).toEqual(['unwanted', 'pending']);
    expect(await add([noticeOf(sid, 2)], () => false)).toBe(false);
    expect(await add([noticeOf(newHexId(), 0)])).toBe(false);
    expect(await all()).toHaveLength(3);
  });

  test('events go in the order of their sequence', async () => {
    await add([noticeOf(sid, 0), noticeOf(sid, 1)]);
    await add([noticeOf(sid, 2)]);
    for (const sequence of [0, 1, 2]) {
      const event = await outbox.nextOf(sid);
      expect(event?.notice.payload.sequence).toBe(sequence);
      await outbox.delivered(event?.notice.noticeId ?? '', T + 1, T + 2);
    }
    expect(await outbox.nextOf(sid)).toBeUndefined();
    expect((await all())[2]).toMatchObject({
      state: 'delivered',
      attempts: 1,
      lastAttemptMs: T + 1,
      deliveredMs: T + 2,
    });
  });

  test('a failure sets the next time or the end, and starts the time of those behind it', async () => {
    await add([noticeOf(sid, 0), noticeOf(sid, 1)]);
    const first = (await outbox.nextOf(sid))!;
    await outbox.failed(first, T + 10, 'away', T + 1_000);
    expect(await all()).toMatchObject([
      { state: 'pending', attempts: 1, firstTriedMs: T + 10, nextAttemptMs: T + 1_000, lastError: 'away' },
      { state: 'pending', attempts: 0, firstTriedMs: T + 10, nextAttemptMs: undefined },
    ]);
    await outbox.failed(first, T + 1_000, 'still away', undefined);
    expect(await all()).toMatchObject([
      { state: 'dead', attempts: 2, firstTriedMs: T + 10, lastAttemptMs: T + 1_000, lastError: 'still away' },
      { state: 'pending', firstTriedMs: T + 10 },
    ]);
    expect((await all())[0]?.nextAttemptMs).toBeUndefined();
    expect(await all({ state: 'dead' })).toHaveLength(1);
    // One that was delivered by hand meanwhile stays delivered.
    await outbox.delivered(first.notice.noticeId, T + 2_000, T + 2_001);
    await outbox.failed(first, T + 3_000, 'late', undefined);
    expect((await all())[0]).toMatchObject({ state: 'delivered', lastError: undefined });
  });

  test('recordings are due by their first pending event', async () => {
    const other = await addRecording(database, appid);
    await add([noticeOf(sid, 0), noticeOf(sid, 1)]);
    await add([noticeOf(other, 0)]);
    await outbox.failed((await outbox.nextOf(sid))!, T, 'away', T + 500);
    const due = async (nowMs: number) => (await outbox.dueSids(nowMs, 10_000)).filter((s) => s === sid || s === other);
    expect(await due(T + 499)).toEqual([other]);
    expect(await due(T + 500)).toEqual([sid, other]);
    expect(await outbox.hasPending()).toBe(true);
  });

  test('lists are pages by position', async () => {
    const other = await addRecording(database, appid);
    await add([noticeOf(sid, 0), noticeOf(sid, 1)]);
    await add([noticeOf(other, 0)]);
    const [first, second] = await all({ limit: 2 });
    expect([first?.notice.payload.sequence, second?.notice.payload.sequence]).toEqual([0, 1]);
    expect((await all({ after: second?.position })).map((event) => event.sid)).toEqual([other]);
    expect((await all({ sid: other })).map((event) => event.sid)).toEqual([other]);
    expect(await outbox.list(newHexId(), { after: 0, limit: 10 })).toEqual([]);
    expect(await outbox.find(newHexId(), first?.notice.noticeId ?? '')).toBeUndefined();
    expect(await outbox.find(appid, first?.notice.noticeId ?? '')).toEqual(first);
  });

  test('a position never appears behind one that was seen before', async () => {
    const sids = await Promise.all(Array.from({ length: 8 }, () => addRecording(database, appid)));
    const seen: number[] = [];
    let writing = true;
    const reading = (async () => {
      for (let after = 0; ; ) {
        const last = !writing;
        const events = await all({ after, limit: 1_000 });
        seen.push(...events.map(({ position }) => position));
        after = events.at(-1)?.position ?? after;
        if (last) return;
      }
    })();
    await Promise.all(
      sids.map(async (each) => {
        for (let i = 0; i < 5; i++) await add([noticeOf(each, 2 * i), noticeOf(each, 2 * i + 1)]);
      }),
    );
    writing = false;
    await reading;
    expect(seen).toHaveLength(80);
  });

  test('old events are forgotten, pending ones never', async () => {
    await add([noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2)], (_app, type) => type === 4, 1_000);
    await outbox.delivered((await outbox.nextOf(sid))?.notice.noticeId ?? '', 1_500, 1_501);
    await outbox.forget(1_400);
    expect((await all()).map(({ notice }) => notice.payload.sequence)).toEqual([0, 2]);
    await outbox.forget(2_000);
    expect((await all()).map(({ notice }) => notice.payload.sequence)).toEqual([2]);
  });
});
