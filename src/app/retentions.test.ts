import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { refuse, S3Stub, STUB_KEYS } from '../../test/support/s3-stub.ts';
import { addRecording, beginOwner, holdOf } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { placeOf, type StorageConfig } from '../contract/line/storage.ts';
import type { RetentionReply } from '../contract/rest/retention.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { createTarget } from '../stages/upload/target/create-target.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import type { Database } from '../store/database.ts';
import { KeyedJobs } from '../store/jobs.ts';
import { ObjectTables } from '../store/object-tables.ts';
import { addRetention, RetentionTables } from '../store/retention-tables.ts';
import { StoredFiles } from '../store/stored-files.ts';
import { Vault } from '../store/vault.ts';
import { Retentions } from './retentions.ts';

const DAY_MS = 86_400_000;
const log = createLog('silent');
const oldKey = Vault.newKey();
const vault = new Vault([oldKey]);
const customer = { id: 'customer', isOperator: false };
const operator = { id: 'operator', isOperator: true };

let database: Database;
let objects: ObjectTables;
beforeAll(async () => {
  database = await openTestDatabase();
  objects = new ObjectTables({ database, vault, folder: 'ours', clock: systemClock, log });
  await beginOwner(database, { folder: 'ours', clock });
}, 60_000);
afterAll(() => database?.close());

let dir: string;
let stub: S3Stub;
let backup: BackupStore;
let appid: string;
/** Days since the recording ended. */
let day: number;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-retention-'));
  stub = await S3Stub.start();
  backup = new BackupStore(openLocalFolder('backup', dir));
  appid = newHexId();
  day = 0;
  onTestFinished(async () => {
    rmSync(dir, { recursive: true, force: true });
    await stub.close().catch(() => {});
  });
});

const clock: Clock = {
  ...systemClock,
  nowMs: () => 1 + day * DAY_MS,
  // Looks are asked for by the tests.
  every: () => ({ cancel() {} }),
};
const local = (): StorageConfig => ({ ...stub.storage(), vendor: 1000, bucket: 'bucket', extensionParams: undefined });
const openTarget = (storage: StorageConfig) => createTarget(storage, { localStorageDir: join(dir, 'recordings') });
const NAMES = ['x_0.ts', 'x_1.ts', 'x.m3u8'];

/** A recording that has ended, with these files in its store. */
async function recorded(storage: StorageConfig, days: number | undefined, names = NAMES) {
  const sid = await addRecording(database, appid);
  await database.query(`update tasks set folder = 'ours', place = $2::jsonb where sid = $1`, [
    sid,
    JSON.stringify(placeOf(storage)),
  ]);
  if (days !== undefined) {
    const document = { storage, retention: { days, rule: 'app' } };
    await addRetention(database, vault, { sid, document } as unknown as Parameters<typeof addRetention>[2]);
  }
  const target = await openTarget(storage);
  const ledger = await objects.open(holdOf(sid));
  for (const name of names) {
    const data = Buffer.from(`content of ${name}`);
    await target.put(`${sid}/${name}`, { data }, 'text/plain');
    const kind = name.endsWith('.m3u8') ? 'playlist' : 'slice';
    const record: ObjectRecord = {
      ...{ name, kind, key: `${sid}/${name}`, bytes: data.length, state: 'stored', attempts: 1 },
    };
    ledger.note(record);
  }
  await ledger.settled();
  target.close();
  return sid;
}

type Begun = { retentions: Retentions; removed: string[]; state(sid: string): Promise<RetentionReply> };
async function begin({ inFleet = false } = {}): Promise<Begun> {
  const jobs = new KeyedJobs({ database, queue: `retention-${newHexId()}`, log, parallel: 2 });
  const tables = new RetentionTables({ database, vault, folder: 'ours', inFleet });
  const removed: string[] = [];
  const retentions = new Retentions({
    ...{ tables, jobs, backup, openTarget, clock, log },
    removeCopies: async (sid) => void removed.push(sid),
  });
  onTestFinished(() => retentions.close());
  await retentions.start();
  return { retentions, removed, state: (sid) => retentions.of(appid, sid) };
}
/** Resolves once the recording is in this state. */
const until = (begun: Begun, sid: string, expected: Partial<RetentionReply>) =>
  vi.waitFor(async () => expect(await begun.state(sid)).toMatchObject(expected), { timeout: 20_000, interval: 20 });
/** What the store has of a recording. */
const keysOf = (sid: string) => [...stub.objects.keys()].filter((key) => key.startsWith(sid));

test('a key that is lost keeps no server from starting; the store is opened by keys that are given', async () => {
  const lost = new Vault([Vault.newKey()]);
  const retained = async (storage: StorageConfig) => {
    const sid = await recorded(storage, undefined);
    const document = { storage, retention: { days: 1, rule: 'app' } };
    await addRetention(database, lost, { sid, document } as unknown as Parameters<typeof addRetention>[2]);
    return sid;
  };
  const [here, far] = [await retained(local()), await retained(stub.storage())];
  day = 1;
  const begun = await begin();
  // The server's own folder needs none.
  await until(begun, here, { state: 'deleted', files: 3 });
  await until(begun, far, { state: 'kept', error: expect.stringContaining('keys of its store are not known') });
  await begun.retentions.set(appid, far, { days: 1, keys: STUB_KEYS }, customer);
  await until(begun, far, { state: 'deleted', files: 3, error: null });
  expect(keysOf(far)).toEqual([]);
});

test('a folder that is not there, as while its disk is not mounted, is waited for', async () => {
  const sid = await recorded(local(), 30);
  const [there, away] = [join(dir, 'recordings/bucket'), join(dir, 'recordings/away')];
  renameSync(there, away);
  day = 30;
  const begun = await begin();
  await until(begun, sid, { state: 'deleting', files: 0, error: expect.stringContaining('is not there') });
  renameSync(away, there);
  day += 1;
  await begun.retentions.look();
  await until(begun, sid, { state: 'deleted', files: 3 });
  expect(existsSync(join(there, sid))).toBe(false);
});

describe.each(['S3', 'the server’s own folder'])('in %s', (kind) => {
  const storageOf = () => (kind === 'S3' ? stub.storage() : local());
  const left = (sid: string) =>
    kind === 'S3'
      ? keysOf(sid)
      : existsSync(join(dir, 'recordings/bucket', sid))
        ? readdirSync(join(dir, 'recordings/bucket', sid))
        : [];

  test('files go when their days are over, and not before; what was deleted stays known', async () => {
    const sid = await recorded(storageOf(), 30);
    const begun = await begin();
    day = 29.99;
    await begun.retentions.look();
    expect(await begun.state(sid)).toMatchObject({ state: 'kept', days: 30, rule: 'app', dueMs: 1 + 30 * DAY_MS });
    expect(left(sid)).toHaveLength(3);
    day = 30;
    await begun.retentions.look();
    await until(begun, sid, { state: 'deleted', deletedMs: 1 + 30 * DAY_MS, files: 3, bytes: 51 });
    expect(left(sid)).toEqual([]);
    expect(begun.removed).toEqual([sid]);
    const { history } = await begun.state(sid);
    expect(history).toMatchObject([
      { act: 'deleted', by: null, details: '3 files, 51 bytes, by the rule of its app, 30 days' },
    ]);
    const files = new StoredFiles(database);
    const told = (await files.of(appid, sid))?.files.map(({ name, state, deletedMs }) => [name, state, deletedMs]);
    expect(told).toEqual(['x.m3u8', 'x_0.ts', 'x_1.ts'].map((name) => [name, 'deleted', 1 + 30 * DAY_MS]));
    expect(await files.find(appid, sid, 'x_0.ts')).toBeUndefined();
    expect((await objects.objectsOf(sid)).map(({ state }) => state)).toEqual(['deleted', 'deleted', 'deleted']);
    // What opened the store is forgotten.
    expect(await database.query('select storage from retentions where sid = $1', [sid])).toEqual([{ storage: null }]);
  });
});

test('for ever is the rule where nothing is said, and where a recording says 0', async () => {
  const [plain, zero] = [await recorded(stub.storage(), undefined), await recorded(stub.storage(), 0)];
  const begun = await begin();
  day = 36_500;
  await begun.retentions.look();
  for (const sid of [plain, zero])
    expect(await begun.state(sid)).toMatchObject({ state: 'kept', days: null, dueMs: null });
  expect(stub.objects.size).toBe(6);
});

describe('nothing is deleted', () => {
  test.each([
    ['while it has not ended', `update tasks set ended_ms = null where sid = $1`],
    ['while a file waits for its store', `update objects set state = 'waiting' where sid = $1 and name = 'x_0.ts'`],
    ['while a file is to be moved on', `update objects set state = 'backup' where sid = $1 and name = 'x_0.ts'`],
    [
      'while a node may bring more',
      `insert into strays (sid, folder, since_ms) values ($1, 'theirs', extract(epoch from now()) * 1000 - 600000000)`,
    ],
    [
      'that lies in the folder of another server',
      `update tasks set folder = 'theirs', place = jsonb_set(place, '{vendor}', '1000') where sid = $1`,
    ],
  ])('%s', async (_what, change) => {
    const sid = await recorded(stub.storage(), 1);
    const other = await recorded(stub.storage(), 1);
    await database.query(change, [sid]);
    const begun = await begin();
    day = 2;
    await begun.retentions.look();
    await until(begun, other, { state: 'deleted' });
    expect(await begun.state(sid)).toMatchObject({ state: 'kept' });
    expect(keysOf(sid)).toHaveLength(3);
  });

  test('under a legal hold, which no customer can lift that an operator has set', async () => {
    const sid = await recorded(stub.storage(), 1);
    const other = await recorded(stub.storage(), 1);
    const begun = await begin();
    await begun.retentions.hold(appid, sid, { reason: 'case 117' }, operator);
    day = 2;
    await begun.retentions.look();
    await until(begun, other, { state: 'deleted' });
    const held = { legalHold: { by: 'operator', byOperator: true, reason: 'case 117' }, state: 'kept' };
    expect(await begun.state(sid)).toMatchObject(held);
    await expect(begun.retentions.release(appid, sid, customer)).rejects.toMatchObject({ code: 'operator-needed' });
    await expect(begun.retentions.deleteNow(appid, sid, {}, operator)).rejects.toMatchObject({
      code: 'deletion-refused',
    });
    expect(keysOf(sid)).toHaveLength(3);
    await begun.retentions.release(appid, sid, operator);
    await until(begun, sid, { state: 'deleted', legalHold: null });
    expect((await begun.state(sid)).history.map(({ act, by }) => [act, by])).toEqual([
      ['held', 'operator'],
      ['released', 'operator'],
      ['deleted', null],
    ]);
  });
});

test('a legal hold that comes in the middle stops the rest', async () => {
  const names = Array.from({ length: 40 }, (_, n) => `x_${n}.ts`);
  const sid = await recorded(stub.storage(), 1, names);
  const begun = await begin();
  let held: Promise<unknown> | undefined;
  stub.interfere = async ({ action }) => {
    if (action !== 'Delete') return undefined;
    held ??= begun.retentions.hold(appid, sid, {}, customer);
    await held;
    return undefined;
  };
  day = 2;
  await begun.retentions.look();
  await until(begun, sid, { state: 'deleting', files: 16 });
  expect(keysOf(sid)).toHaveLength(24);
  stub.interfere = undefined;
  await begun.retentions.release(appid, sid, customer);
  await until(begun, sid, { state: 'deleted', files: 40 });
  expect(keysOf(sid)).toEqual([]);
});

test('a store that is away is asked again, and a server that starts anew goes on', async () => {
  const sid = await recorded(stub.storage(), 1);
  const first = await begin();
  // It takes the first file and then goes away before it says so.
  stub.interfere = ({ action, key }, response, { objects: stored }) => {
    if (action !== 'Delete') return undefined;
    if (key.endsWith('.m3u8')) stored.delete(key);
    response.destroy();
    return true;
  };
  day = 2;
  await first.retentions.look();
  await until(first, sid, { state: 'deleting', files: 0, error: expect.stringContaining('bucket') });
  const { nextTryMs } = await first.state(sid);
  expect(nextTryMs).toBeGreaterThan(clock.nowMs());
  expect(nextTryMs).toBeLessThanOrEqual(clock.nowMs() + 3_600_000);
  await first.retentions.close();
  stub.interfere = undefined;
  day = 3;
  const second = await begin();
  await until(second, sid, { state: 'deleted', files: 3, error: null });
  expect(keysOf(sid)).toEqual([]);
});

test('a store that refuses is asked once a day and then no more, until somebody asks', async () => {
  const sid = await recorded(stub.storage(), 1);
  const begun = await begin();
  stub.interfere = ({ action }, response) => {
    if (action !== 'Delete') return undefined;
    refuse(response, 403, 'AccessDenied', 'Access Denied because object protected by object lock.');
    return true;
  };
  day = 2;
  await begun.retentions.look();
  await until(begun, sid, { state: 'deleting', nextTryMs: 1 + 3 * DAY_MS, files: 0 });
  await database.query('update retentions set refusals = 6 where sid = $1', [sid]);
  day = 3;
  await begun.retentions.look();
  await until(begun, sid, { state: 'refused', nextTryMs: null, files: 0 });
  const asked = stub.actions().filter((action) => action.startsWith('Delete')).length;
  day = 100;
  await begun.retentions.look();
  expect(stub.actions().filter((action) => action.startsWith('Delete'))).toHaveLength(asked);
  const { history, error } = await begun.state(sid);
  expect(error).toContain('object lock');
  expect(history.map(({ act }) => act)).toEqual(['failed', 'refused']);
  stub.interfere = undefined;
  await begun.retentions.set(appid, sid, { days: 1 }, customer);
  await until(begun, sid, { state: 'deleted', rule: 'call' });
});

test('a call can give days and keys to a recording whose keys are forgotten', async () => {
  const sid = await recorded(stub.storage(), undefined);
  const begun = await begin();
  const refused = { code: 'retention-impossible', message: expect.stringContaining('keys') };
  await expect(begun.retentions.deleteNow(appid, sid, {}, customer)).rejects.toMatchObject(refused);
  await expect(begun.retentions.set('f'.repeat(32), sid, { days: 1 }, customer)).rejects.toMatchObject({
    code: 'recording-unknown',
  });
  await begun.retentions.set(appid, sid, { days: 10, keys: STUB_KEYS }, customer);
  expect(await begun.state(sid)).toMatchObject({ days: 10, rule: 'call', dueMs: 1 + 10 * DAY_MS, state: 'kept' });
  await begun.retentions.deleteNow(appid, sid, {}, customer);
  await until(begun, sid, { state: 'deleted', files: 3 });
  expect((await begun.state(sid)).history.map(({ act, by }) => [act, by])).toEqual([
    ['retention', 'customer'],
    ['deleting', 'customer'],
    ['deleted', null],
  ]);
  await expect(begun.retentions.set(appid, sid, { days: 0 }, customer)).rejects.toMatchObject({
    code: 'retention-impossible',
  });
});

test('copies in the backup store go as well, those that were given up and those that were left there', async () => {
  const sid = await recorded(stub.storage(), 1);
  await database.query(`update objects set state = 'gaveUp' where sid = $1 and name = 'x_0.ts'`, [sid]);
  for (const name of ['x_0.ts', 'x_1.ts']) await backup.put(sid, name, { data: Buffer.from('copy') }, 'text/plain');
  const begun = await begin();
  day = 2;
  await begun.retentions.look();
  await until(begun, sid, { state: 'deleted', files: 3 });
  expect(existsSync(join(dir, 'backup', sid))).toBe(false);
  // The store never had the one that was given up, and is not asked for it.
  expect(stub.actions().filter((action) => action.startsWith('Delete'))).toEqual(
    [`Delete ${sid}/x.m3u8`, `Delete ${sid}/x_1.ts`].toSorted(),
  );
});

test('in a fleet another node deletes from stores what a node that is gone has recorded', async () => {
  const [far, near] = [await recorded(stub.storage(), 1), await recorded(local(), 1)];
  await (await beginOwner(database, { folder: 'gone', clock })).close();
  await database.query(`update tasks set folder = 'gone' where sid = any($1)`, [[far, near]]);
  const alone = await begin();
  day = 2;
  await alone.retentions.look();
  const node = await begin({ inFleet: true });
  await until(node, far, { state: 'deleted' });
  expect(keysOf(far)).toEqual([]);
  expect(await node.state(near)).toMatchObject({ state: 'kept' });
});

test('credentials are sealed again with a new key, and those of a server with other keys are left to it', async () => {
  const [sid, theirs] = [await recorded(stub.storage(), 1), await recorded(stub.storage(), 1)];
  const sealed = new Vault([Vault.newKey()]).seal('{}');
  await database.query(`update tasks set folder = 'theirs' where sid = $1`, [theirs]);
  await database.query('update retentions set storage = $2 where sid = $1', [theirs, sealed]);
  const renewed = new Vault([Vault.newKey(), oldKey]);
  await new RetentionTables({ database, vault: renewed, folder: 'ours', inFleet: false }).reseal();
  const kept = async (of: string) =>
    String((await database.query('select storage from retentions where sid = $1', [of]))[0]?.['storage']);
  expect(renewed.isCurrent(await kept(sid))).toBe(true);
  expect(await kept(theirs)).toBe(sealed);
  await database.query('delete from retentions where sid = any($1)', [[sid, theirs]]);
});
