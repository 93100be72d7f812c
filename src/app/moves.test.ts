import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { refuse, S3Stub, STUB_KEYS } from '../../test/support/s3-stub.ts';
import { addRecording, beginOwner, holdOf } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import { newTaskState } from '../session/task.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import { openS3 } from '../stages/upload/target/s3.ts';
import type { Database } from '../store/database.ts';
import { KeyedJobs } from '../store/jobs.ts';
import { ObjectTables } from '../store/object-tables.ts';
import { OutboxTables } from '../store/outbox-tables.ts';
import { RecordingTables } from '../store/recording-tables.ts';
import { Vault } from '../store/vault.ts';
import { Moves } from './moves.ts';

const log = createLog('silent');
const vault = new Vault([Vault.newKey()]);
/** Pauses of minutes take milliseconds. */
const hasty: Clock = { ...systemClock, after: (delayMs, run) => systemClock.after(Math.min(delayMs, 20), run) };

const PART = 64 * 1024;

let database: Database;
let tables: ObjectTables;
let recordings: RecordingTables;
let outbox: OutboxTables;
beforeAll(async () => {
  database = await openTestDatabase();
  tables = new ObjectTables({ database, vault, folder: 'ours', clock: systemClock, log });
  outbox = new OutboxTables(database);
  recordings = new RecordingTables(database, await beginOwner(database), vault, {
    add: async (inside, notices, nowMs) => void (await outbox.add(inside, notices, nowMs, () => true)),
    added() {},
  });
}, 60_000);
afterAll(() => database?.close());

let dir: string;
let stub: S3Stub;
let backup: BackupStore;
let appid: string;
let sid: string;
let removed: string[];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-moves-'));
  stub = await S3Stub.start();
  backup = new BackupStore(openLocalFolder('backup', dir));
  appid = newHexId();
  sid = await addRecording(database, appid);
  const everyone = { kind: 'all' };
  const plan = {
    ...{ mode: 'mix', sid, baseName: sid, files: { hls: true, mp4: false }, maxIdleMs: 30_000 },
    ...{ audio: { channels: 1, bitrateKbps: 48 }, subscribe: { audio: everyone, video: everyone } },
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
  };
  await database.query('update tasks set document = $2::jsonb where sid = $1', [sid, JSON.stringify({ plan })]);
  removed = [];
  onTestFinished(async () => {
    rmSync(dir, { recursive: true, force: true });
    await stub.close().catch(() => {});
  });
});

/** A recording that has ended with these files in the backup store. */
async function backedUp(...files: (string | { name: string; data: Buffer })[]) {
  const records: ObjectRecord[] = [];
  for (const file of files) {
    const { name, data } = typeof file === 'string' ? { name: file, data: Buffer.from(`content of ${file}`) } : file;
    await backup.put(sid, name, { data }, 'text/plain');
    const kind = name.endsWith('.m3u8') ? 'playlist' : 'slice';
    records.push({ name, kind, key: `p/${name}`, bytes: data.length, state: 'backup', attempts: 3 });
  }
  const ledger = await tables.open(holdOf(sid));
  for (const record of records) ledger.note(record);
  await ledger.settled();
  const playlists = [{ key: 'p/x.m3u8', startUtcMs: 5 }];
  const state = { ...newTaskState(), playlists, uploadedTo: 'backuped' as const, sequence: 4 };
  await recordings.saveState(holdOf(sid), { ...state, phase: 'ended', status: 8 }, 20);
}

async function begin({ keepMs = 72 * 3_600_000, clock = hasty }: { keepMs?: number; clock?: Clock } = {}) {
  const jobs = new KeyedJobs({ database, queue: `moves-${newHexId()}`, log, clock: systemClock });
  const moves = new Moves({
    tables,
    jobs,
    backup,
    openTarget: async (storage) => openS3(storage, { clock, partBytes: PART }),
    tell: (each, what) => recordings.tellAfterwards(each, what, systemClock.nowMs()),
    removeSpool: async (each) => void removed.push(each),
    transitDir: join(dir, 'transit'),
    keepMs,
    clock: systemClock,
    log,
  });
  onTestFinished(() => moves.close());
  await moves.start();
  return moves;
}
const events = async () =>
  (await outbox.list(appid, { after: 0, limit: 100 })).map(({ notice }) => [notice.eventType, notice.payload.sequence]);

test('what another server on the same database keeps is left to it, keys and all', async () => {
  const theirs = { database, vault: new Vault([Vault.newKey()]), folder: 'theirs', clock: systemClock, log };
  await database.query(`update tasks set folder = 'theirs' where sid = $1`, [sid]);
  const stored = new ObjectTables(theirs);
  const storage = stub.storage();
  await stored.addMove({ sid, appid, storage, sinceMs: 1, keepUntilMs: 2 });
  // Only they can read the credentials.
  expect((await tables.moves()).map((move) => move.sid)).not.toContain(sid);
  expect(await tables.renewCredentials(appid, storage)).toEqual([]);
  expect((await stored.moves()).map((move) => move.sid)).toEqual(expect.arrayContaining([sid]));
});

test('a key that is lost costs what it had sealed, and keeps no server from starting', async () => {
  const lost = new ObjectTables({
    database,
    vault: new Vault([Vault.newKey()]),
    folder: 'ours',
    clock: systemClock,
    log,
  });
  await backedUp('x_0.ts');
  await lost.addMove({ sid, appid, storage: stub.storage(), sinceMs: 1, keepUntilMs: Number.MAX_SAFE_INTEGER });
  const moves = await begin();
  expect(await tables.moves()).toEqual([]);
  // Keys that somebody gives open its store again.
  await moves.renew(appid, stub.storage());
  await expect.poll(() => stub.objects.has('p/x_0.ts'), { timeout: 10_000 }).toBe(true);
});

describe('what the backup store has', () => {
  test('goes to its own store under the final names, playlist last, is told, and is forgotten with its credentials', async () => {
    await backedUp('x_0.ts', 'x.m3u8', 'x_1.ts');
    const moves = await begin();
    await moves.add(sid, appid, stub.storage());
    const [row] = await database.query('select storage from moves where sid = $1', [sid]);
    expect(JSON.stringify(row)).not.toContain(STUB_KEYS.secretKey);
    await expect.poll(() => tables.moves(), { timeout: 10_000 }).toEqual([]);
    expect(stub.actions().filter((action) => action.startsWith('Put'))).toEqual([
      'PutObject p/x_0.ts',
      'PutObject p/x_1.ts',
      'PutObject p/x.m3u8',
    ]);
    expect(stub.read('p/x_1.ts').toString()).toBe('content of x_1.ts');
    expect((await tables.objectsOf(sid)).map(({ state, evidence }) => [state, evidence])).toEqual(
      Array(3).fill(['stored', 'digest']),
    );
    expect(await events()).toEqual([[31, 4]]);
    expect((await recordings.findTask(appid, sid))?.state).toMatchObject({ uploadedTo: 'uploaded', sequence: 5 });
    expect(existsSync(join(dir, 'backup', sid))).toBe(false);
    expect(readdirSync(join(dir, 'transit'))).toEqual([]);
  });

  test('is gone from it in the end, also what a server left there that died just after its store had it', async () => {
    await backedUp('x_0.ts', 'x_1.ts');
    const [first] = await tables.objectsOf(sid);
    await tables.note(sid, [{ ...(first as ObjectRecord), state: 'stored', evidence: 'digest' }]);
    await tables.addMove({ sid, appid, storage: stub.storage(), sinceMs: 1, keepUntilMs: Date.now() + 60_000 });
    await begin();
    await expect.poll(() => tables.moves(), { timeout: 10_000 }).toEqual([]);
    expect(stub.actions().filter((action) => action.startsWith('Put'))).toEqual(['PutObject p/x_1.ts']);
    expect(existsSync(join(dir, 'backup', sid))).toBe(false);
  });

  test('is taken out of it once more, when the backup store did not do so at first', async () => {
    await backedUp('x_0.ts', 'x_1.ts');
    const remove = backup.remove.bind(backup);
    let refusals = 1;
    backup.remove = async (...named) => {
      if (refusals-- > 0) throw new Error('not now');
      await remove(...named);
    };
    const moves = await begin();
    await moves.add(sid, appid, stub.storage());
    await expect.poll(() => tables.moves(), { timeout: 10_000 }).toEqual([]);
    expect(existsSync(join(dir, 'backup', sid))).toBe(false);
  });

  test('waits for its store, and goes on with keys that were renewed', async () => {
    await backedUp('x_0.ts');
    const moves = await begin();
    await moves.add(sid, appid, { ...stub.storage(), secretKey: 'old' });
    await expect.poll(async () => (await tables.findMove(sid))?.lastError, { timeout: 10_000 }).toMatch(/Signature/);
    expect(await tables.backlog()).toMatchObject([
      { sid, appid, where: 'backup', files: 1, bytes: 17, lastError: expect.stringMatching(/Signature/) },
    ]);
    expect(existsSync(join(dir, 'backup', sid, 'x_0.ts'))).toBe(true);
    // Another customer's keys for a bucket of that name are none of ours.
    await moves.renew(newHexId(), stub.storage());
    await moves.renew(appid, stub.storage());
    await expect.poll(() => tables.moves(), { timeout: 10_000 }).toEqual([]);
    expect(stub.read('p/x_0.ts').toString()).toBe('content of x_0.ts');
  });

  test('is given up with an event when its time is over, and stays where it is', async () => {
    await backedUp('x_0.ts');
    stub.interfere = (_request, response) => {
      refuse(response, 503, 'SlowDown', 'away');
      return true;
    };
    const moves = await begin({ keepMs: 0 });
    await moves.add(sid, appid, stub.storage());
    await expect.poll(() => tables.moves(), { timeout: 15_000 }).toEqual([]);
    expect(await events()).toEqual([[1, 4]]);
    expect((await tables.objectsOf(sid)).map(({ state }) => state)).toEqual(['gaveUp']);
    expect(existsSync(join(dir, 'backup', sid, 'x_0.ts'))).toBe(true);
  });

  test('leaves no parts in its own store when it is given up', async () => {
    const data = Buffer.alloc(3 * PART, 1);
    await backedUp({ name: 'x_0.ts', data });
    stub.interfere = ({ action, query }, response) => {
      const isRefused = action === 'Part' && query.get('partNumber') === '3';
      if (isRefused) refuse(response, 503, 'SlowDown', 'away');
      return isRefused;
    };
    // A server that was killed began this one.
    stub.beginUpload('p/x_0.ts');
    const moves = await begin({ keepMs: 0 });
    await moves.add(sid, appid, stub.storage());
    await expect.poll(() => tables.moves(), { timeout: 15_000 }).toEqual([]);
    expect(stub.actions()).toContain('Part p/x_0.ts');
    expect(stub.unfinished).toEqual([]);
    const [object] = await tables.objectsOf(sid);
    expect([object?.state, object?.parts]).toEqual(['gaveUp', undefined]);
  });

  test('of a server that died is moved on by the next', async () => {
    await backedUp('x_0.ts');
    await tables.addMove({ sid, appid, storage: stub.storage(), sinceMs: 0, keepUntilMs: Number.MAX_SAFE_INTEGER });
    await begin();
    await expect.poll(() => tables.moves(), { timeout: 10_000 }).toEqual([]);
    expect(stub.objects.has('p/x_0.ts')).toBe(true);
  });
});

test('credentials of moves are sealed anew with a key that was put before the old one', async () => {
  const [old, next] = [Vault.newKey(), Vault.newKey()];
  const under = (keys: string[]) =>
    new ObjectTables({ database, vault: new Vault(keys), folder: 'ours', clock: systemClock, log });
  await database.query(`update tasks set folder = 'ours' where sid = $1`, [sid]);
  await under([old]).addMove({ sid, appid, storage: stub.storage(), sinceMs: 1, keepUntilMs: 2 });
  await under([next, old]).resealMoves();
  // The old key may go.
  expect((await under([next]).findMove(sid))?.storage).toEqual(stub.storage());
  await expect(under([old]).findMove(sid)).rejects.toMatchObject({ code: 'secret-unreadable' });
  await tables.endMove(sid);
});

test('a file of all speakers is kept as one', async () => {
  const ledger = await tables.open(holdOf(sid));
  const file = { name: 'x_speakers.mka', kind: 'speakers', key: 'x_speakers.mka', bytes: 1 } as const;
  ledger.note({ ...file, state: 'waiting', attempts: 0 });
  await ledger.settled();
  expect(await tables.objectsOf(sid)).toMatchObject([file]);
});

test('what the backup store has is counted by app', async () => {
  await backedUp('x_0.ts', 'x_1.ts');
  expect((await tables.backupBytes()).get(appid)).toBe(2 * 'content of x_0.ts'.length);
});

test('a large file goes on at the part where a server that died was', async () => {
  const data = Buffer.alloc(5 * PART, 'moved');
  await backedUp({ name: 'x.mp4', data });
  stub.interfere = ({ action, query }) => action === 'Part' && Number(query.get('partNumber')) > 2;
  const dying = await begin();
  await dying.add(sid, appid, stub.storage());
  const parts = async () => (await tables.objectsOf(sid))[0]?.parts?.parts.length;
  await expect.poll(parts, { timeout: 10_000 }).toBe(2);
  await expect.poll(() => stub.actions().filter((action) => action.startsWith('Part')).length).toBe(4);
  await dying.close();
  stub.interfere = undefined;
  stub.requests.length = 0;
  // The server of the recording was killed before it heard that it had begun.
  for (const key of ['p/x.mp4', 'p/x.mp4.ts']) stub.beginUpload(key);
  await begin();
  await expect.poll(() => tables.moves(), { timeout: 10_000 }).toEqual([]);
  expect(stub.read('p/x.mp4').equals(data)).toBe(true);
  expect(stub.unfinished).toEqual(['p/x.mp4.ts']);
  expect(stub.actions().filter((action) => action.startsWith('Create'))).toEqual([]);
  const sent = stub.requests.filter(({ action }) => action === 'Part').map(({ query }) => query.get('partNumber'));
  expect(sent.sort()).toEqual(['3', '4', '5']);
});

test('what only its word says is there keeps its spool until the time is over', async () => {
  const ledger = await tables.open(holdOf(sid));
  ledger.note({ name: 'x', kind: 'slice', key: 'x', bytes: 1, state: 'accepted', attempts: 1 });
  await ledger.settled();
  await recordings.saveState(holdOf(sid), { ...newTaskState(), phase: 'ended', status: 8 }, 20);
  const moves = await begin({ keepMs: 400 });
  await moves.add(sid, appid, stub.storage());
  expect(removed).toEqual([]);
  await expect.poll(() => removed, { timeout: 10_000 }).toEqual([sid]);
  expect(await events()).toEqual([]);
});

describe('the ledger in the database', () => {
  test('comes back as it was noted, and takes nothing from a server that has lost the recording', async () => {
    const record: ObjectRecord = {
      ...{
        name: 'x.mp4',
        kind: 'mp4',
        generation: 2,
        key: 'p/x.mp4',
        bytes: 5_000_000_000,
        state: 'waiting',
        attempts: 2,
      },
      ...{ lastError: 'away', nextTryMs: 7, md5: 'm', sha256: 's', etag: 'e', evidence: 'size' },
      parts: { uploadId: 'u', partBytes: 8, parts: [{ number: 1, etag: 'a', md5: 'a' }] },
    };
    const ledger = await tables.open(holdOf(sid));
    ledger.note({ ...record, attempts: 1 });
    ledger.note(record);
    await ledger.settled();
    expect((await tables.open(holdOf(sid))).known('x.mp4')).toEqual(record);
    await database.query('update tasks set epoch = epoch + 1 where sid = $1', [sid]);
    ledger.note({ ...record, state: 'stored' });
    await expect(ledger.settled()).rejects.toMatchObject({ code: 'task-fenced' });
    expect(await tables.objectsOf(sid)).toEqual([record]);
  });

  test('keeps a thousand files that are noted at once', async () => {
    const ledger = await tables.open(holdOf(sid));
    for (let i = 0; i < 1000; i++)
      ledger.note({ name: `x_${i}.ts`, kind: 'slice', key: `x_${i}.ts`, bytes: 1, state: 'waiting', attempts: 0 });
    await ledger.settled();
    expect((await tables.open(holdOf(sid))).known('x_999.ts')).toMatchObject({ state: 'waiting' });
  });
});
