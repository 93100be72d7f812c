/** What waits altogether, as /metrics tells it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addRecording, holdOf, noticeOf } from '../../test/support/stored-recording.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import type { Database } from './database.ts';
import { ObjectTables } from './object-tables.ts';
import { openDatabase } from './open-database.ts';
import { OutboxTables } from './outbox-tables.ts';
import { Vault } from './vault.ts';

let database: Database;
beforeAll(async () => {
  database = await openDatabase({ url: '', pgliteDir: 'memory://' });
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
    { where: 'spool', ...none },
    { where: 'backup', ...none },
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
    { where: 'spool', files: 2, bytes: 30, sinceMs: 1000 },
    { where: 'backup', files: 1, bytes: 7, sinceMs: 5000 },
  ]);
  expect(await theirs.backlogTotals()).toEqual([
    { where: 'spool', ...none },
    { where: 'backup', ...none },
  ]);
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
