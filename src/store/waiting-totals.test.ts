/** What waits altogether, as /metrics tells it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addRecording, holdOf, noticeOf } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import type { Database } from './database.ts';
import { ObjectTables } from './object-tables.ts';
import { OutboxTables } from './outbox-tables.ts';
import { Vault } from './vault.ts';

let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
}, 60_000);
afterAll(() => database?.close());

const record = (name: string, state: ObjectRecord['state'], bytes: number): ObjectRecord => ({
  ...{ name, kind: 'slice', key: name, bytes, state, attempts: 0 },
});

test('files that wait are counted by place, those of other data folders are not', async () => {
  let nowMs = 1000;
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const tablesOf = (folder: string) =>
    new ObjectTables({ database, vault: new Vault([Vault.newKey()]), folder, clock, log: createLog('silent') });
  const [ours, theirs] = [tablesOf('ours'), tablesOf('theirs')];
  const none = { files: 0, bytes: 0, sinceMs: undefined };
  expect(await ours.backlogTotals()).toEqual([
    { place: 'spool', ...none },
    { place: 'backup', ...none },
    { place: 'away', ...none },
  ]);

  const sid = await addRecording(database, newHexId());
  await database.query(`update tasks set folder = 'ours' where sid = $1`, [sid]);
  const ledger = await ours.open(holdOf(sid));
  for (const each of [record('a.ts', 'waiting', 10), record('b.ts', 'stored', 1000)]) ledger.note(each);
  await ledger.settled();
  nowMs = 5000;
  for (const each of [record('c.ts', 'waiting', 20), record('d.ts', 'backup', 7)]) ledger.note(each);
  await ledger.settled();
  expect(await ours.backlogTotals()).toEqual([
    { place: 'spool', files: 2, bytes: 30, sinceMs: 1000 },
    { place: 'backup', files: 1, bytes: 7, sinceMs: 5000 },
    { place: 'away', ...none },
  ]);
  expect(await theirs.backlogTotals()).toEqual([
    { place: 'spool', ...none },
    { place: 'backup', ...none },
    { place: 'away', ...none },
  ]);
});

test('files on the disk of a node that is gone wait for that node, and are none of what its successor is to store', async () => {
  let nowMs = 1000;
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  const [ours, theirs] = [newHexId(), newHexId()];
  const options = { database, vault: new Vault([Vault.newKey()]), clock, log: createLog('silent') };
  const [owner, dead] = [
    new ObjectTables({ ...options, folder: ours }),
    new ObjectTables({ ...options, folder: theirs }),
  ];
  const appid = newHexId();
  const sid = await addRecording(database, appid);
  for (const [generation, folder] of [theirs, ours].entries())
    await database.query(
      `insert into runs (sid, generation, kind, owner, epoch, phase, folder, started_ms)
       values ($1, $2, 'record', '', 1, 'ended', $3, 1)`,
      [sid, generation, folder],
    );
  await database.query('update tasks set folder = $2 where sid = $1', [sid, ours]);
  const strayed = (sinceDays: number) =>
    database.query(
      `insert into strays (sid, folder, since_ms) values ($1, $2, extract(epoch from now()) * 1000 - $3::bigint * 86400000)
       on conflict (sid, folder) do update set since_ms = excluded.since_ms`,
      [sid, theirs, sinceDays],
    );
  await strayed(1);
  await database.query(
    `insert into owners (owner, folder, boot_id, name, lease_until) values ($1, $2, '', 'node2', now() - interval '1 day')`,
    [newHexId(), theirs],
  );
  const ledger = await owner.open(holdOf(sid));
  const failed = { attempts: 3, lastError: 'away', nextTryMs: 9 };
  ledger.note({ ...record('a.ts', 'waiting', 10), generation: 0, ...failed });
  await ledger.settled();
  nowMs = 5000;
  ledger.note({ ...record('b.ts', 'waiting', 20), generation: 1, ...failed });
  await ledger.settled();

  const listed = async () =>
    (await owner.backlog()).flatMap(({ sid: of, files, bytes, waitsFor, nextTryMs }) =>
      of === sid ? [{ files, bytes, waitsFor, nextTryMs }] : [],
    );
  const own = { files: 1, bytes: 20, waitsFor: undefined, nextTryMs: 9 };
  expect(await listed()).toEqual([{ files: 1, bytes: 10, waitsFor: 'node2', nextTryMs: undefined }, own]);
  const none = { files: 0, bytes: 0, sinceMs: undefined };
  const totals = (away: object) => [
    { place: 'spool', files: 1, bytes: 20, sinceMs: 5000 },
    { place: 'backup', ...none },
    { place: 'away', ...away },
  ];
  expect(await owner.backlogTotals()).toEqual(totals({ files: 1, bytes: 10, sinceMs: 1000 }));
  // After a week they count as lost: nobody is told to wait any more, but what they were stays listed.
  await strayed(8);
  expect(await owner.backlogTotals()).toEqual(totals(none));
  expect(await listed()).toHaveLength(2);

  // What is to be moved on by a node that is gone waits for that.
  await database.query('update tasks set folder = $2 where sid = $1', [sid, theirs]);
  await dead.note(sid, [{ ...record('b.ts', 'backup', 20), generation: 1 }]);
  expect((await listed()).at(-1)).toMatchObject({ files: 1, bytes: 20, waitsFor: 'node2' });
});

test('events that nobody has taken yet are counted, with the oldest; others are not', async () => {
  const outbox = new OutboxTables(database);
  expect(await outbox.pendingTotal()).toEqual({ pending: 0, sinceMs: undefined });
  const sid = await addRecording(database, newHexId());
  const add = (sequence: number, nowMs: number, wanted: boolean) =>
    database.transaction((inside) => outbox.add(inside, [noticeOf(sid, sequence)], nowMs, () => wanted));
  await add(0, 100, false);
  await add(1, 200, true);
  await add(2, 300, true);
  expect(await outbox.pendingTotal()).toEqual({ pending: 2, sinceMs: 200 });
  const first = await outbox.nextOf(sid);
  await outbox.delivered(first?.notice.noticeId ?? '', 400, 401);
  expect(await outbox.pendingTotal()).toEqual({ pending: 1, sinceMs: 300 });
});
