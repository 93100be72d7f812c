/** What becomes of files that are to be deleted, and that only a node has that is gone. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { S3Stub } from '../../test/support/s3-stub.ts';
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
import { Vault } from '../store/vault.ts';
import { Moves } from './moves.ts';
import { Retentions } from './retentions.ts';

const DAY_MS = 86_400_000;
const log = createLog('silent');
const vault = new Vault([Vault.newKey()]);
/** Looks are asked for by the tests. */
const clock: Clock = { ...systemClock, every: () => ({ cancel() {} }) };
const operator = { id: 'operator', isOperator: true };

let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
}, 60_000);
afterAll(() => database?.close());

let dir: string;
let stub: S3Stub;
let appid: string;
/** The one that dies, and another of its fleet. */
let lost: Node;
let other: Node;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-gone-node-'));
  stub = await S3Stub.start();
  appid = newHexId();
  onTestFinished(async () => {
    rmSync(dir, { recursive: true, force: true });
    await stub.close().catch(() => {});
  });
  [lost, other] = [new Node('lost'), new Node('other')];
  await other.seen(0);
});

/** A node of the fleet: what the database knows of it, what is on its disk, and what of it runs while it lives. */
class Node {
  readonly name: string;
  readonly folder = newHexId();
  readonly removed: string[] = [];
  readonly objects: ObjectTables;
  backup: BackupStore;

  constructor(name: string) {
    this.name = name;
    this.backup = new BackupStore(openLocalFolder('backup', this.dir));
    this.objects = new ObjectTables({ database, vault, folder: this.folder, clock, log });
  }

  get dir(): string {
    return join(dir, this.folder);
  }

  openTarget = (storage: StorageConfig) => createTarget(storage, { localStorageDir: join(this.dir, 'recordings') });

  /** Has it last been seen so many days ago. */
  async seen(daysAgo: number): Promise<void> {
    await database.query(
      `insert into owners (owner, folder, boot_id, name, renewed_at, lease_until)
       values ($1, $2, '', $3, now() - make_interval(days => $4), now() - make_interval(days => $4) + interval '1 hour')`,
      [newHexId(), this.folder, this.name, daysAgo],
    );
  }

  /** Resolves when it works, and has looked once for what is to be deleted. */
  async begin() {
    const jobs = new KeyedJobs({ database, queue: `retention-${this.folder}-${newHexId()}`, log, clock: systemClock });
    const { backup, openTarget } = this;
    const tables = new RetentionTables(of(this));
    const removeCopies = async (sid: string) => void this.removed.push(sid);
    const retentions = new Retentions({ ...{ tables, jobs, backup, openTarget, clock, log, removeCopies } });
    onTestFinished(() => retentions.close());
    await retentions.start();
    await retentions.look();
    return retentions;
  }

  /** Has it move on what it has in its backup store. */
  async move() {
    const moves = new Moves({
      ...{ tables: this.objects, backup: this.backup, clock, log, openTarget: this.openTarget },
      jobs: new KeyedJobs({ database, queue: `moves-${this.folder}-${newHexId()}`, log, clock }),
      tell: async () => {},
      removeSpool: async (sid) => void this.removed.push(sid),
      transitDir: join(this.dir, 'transit'),
      keepMs: DAY_MS,
    });
    onTestFinished(() => moves.close());
    await moves.start();
  }

  hasInBackup(sid: string, name: string): boolean {
    return existsSync(join(this.dir, 'backup', sid, name));
  }
}

const of = ({ folder }: Node) => ({ database, vault, folder, inFleet: true });

type File = Pick<ObjectRecord, 'name' | 'state'>;

/** A recording of a node that has ended, whose days are over, with these files where their state says. */
async function recorded(node: Node, storage: StorageConfig, files: readonly File[]): Promise<string> {
  const sid = await addRecording(database, appid);
  await database.query('update tasks set folder = $3, place = $2::jsonb where sid = $1', [
    ...[sid, JSON.stringify(placeOf(storage)), node.folder],
  ]);
  const document = { storage, retention: { days: 1, rule: 'app' } };
  await addRetention(database, vault, { sid, document } as unknown as Parameters<typeof addRetention>[2]);
  const target = await node.openTarget(storage);
  const ledger = await node.objects.open(holdOf(sid));
  for (const { name, state } of files) {
    const [key, data] = [`${sid}/${name}`, Buffer.from(`content of ${name}`)];
    if (state === 'stored') await target.put(key, { data }, 'text/plain');
    else await node.backup.put(sid, name, { data }, 'text/plain');
    const kind = name.endsWith('.m3u8') ? 'playlist' : 'slice';
    ledger.note({ name, kind, key, bytes: data.length, state, attempts: 1 });
  }
  await ledger.settled();
  target.close();
  return sid;
}

const addMove = (node: Node, sid: string) =>
  node.objects.addMove({ sid, appid, storage: stub.storage(), sinceMs: 1, keepUntilMs: Date.now() + DAY_MS });
/** What the customer's store has of a recording. */
const keysOf = (sid: string) => [...stub.objects.keys()].filter((key) => key.startsWith(sid));
/** Resolves once this is told of a recording. */
const until = (retentions: Retentions, sid: string, expected: Partial<RetentionReply>) =>
  vi.waitFor(async () => expect(await retentions.of(appid, sid)).toMatchObject(expected), {
    ...{ timeout: 10_000, interval: 20 },
  });
const actsOf = async (retentions: Retentions, sid: string) =>
  (await retentions.of(appid, sid)).history.map(({ act, details }) => [act, details]);

const FILES: readonly File[] = [
  { name: 'x.m3u8', state: 'stored' },
  { name: 'x_0.ts', state: 'stored' },
  { name: 'x_1.ts', state: 'backup' },
];

test('a file that is to be moved by a node that is gone for good keeps nothing else; the node deletes it when it is back', async () => {
  const sid = await recorded(lost, stub.storage(), FILES);
  await addMove(lost, sid);
  // It was moved on when the node died, before that was noted.
  await (await lost.openTarget(stub.storage())).put(`${sid}/x_1.ts`, { data: Buffer.from('moved') }, 'text/plain');
  await lost.seen(8);
  const retentions = await other.begin();
  await until(retentions, sid, { state: 'left', deletedMs: null, files: 2, error: null, nextTryMs: null });
  expect(keysOf(sid)).toEqual([]);
  expect(lost.hasInBackup(sid, 'x_1.ts')).toBe(true);
  const { away } = await retentions.of(appid, sid);
  expect(away).toMatchObject({ server: 'lost', untilMs: null, files: 1, bytes: 17 });
  expect(Math.abs(Date.now() - 8 * DAY_MS - Number(away?.seenMs))).toBeLessThan(60_000);
  expect(await actsOf(retentions, sid)).toEqual([
    [
      'left',
      'deleted 2 files, 34 bytes, by the rule of its app, 1 days; 1 files, 17 bytes, lie with lost, which is gone',
    ],
  ]);
  // Nobody asks anything more of it, and nobody has the keys any more.
  expect(await database.query('select storage from retentions where sid = $1', [sid])).toEqual([{ storage: null }]);
  expect(await database.query('select 1 from moves where sid = $1', [sid])).toEqual([]);
  const asked = stub.requests.length;
  await retentions.look();
  expect((await retentions.of(appid, sid)).state).toBe('left');

  await lost.seen(0);
  await lost.move();
  const back = await lost.begin();
  await until(back, sid, { state: 'deleted', files: 3, away: null });
  expect(lost.hasInBackup(sid, 'x_1.ts')).toBe(false);
  expect(lost.removed).toEqual([sid]);
  expect((await actsOf(back, sid)).map(([act]) => act)).toEqual(['left', 'deleted']);
  expect(stub.requests).toHaveLength(asked);
});

test('it is waited for for a week, and that is told', async () => {
  const sid = await recorded(lost, stub.storage(), FILES);
  await addMove(lost, sid);
  await lost.seen(6);
  const retentions = await other.begin();
  const { away, ...told } = await retentions.of(appid, sid);
  expect(told).toMatchObject({ state: 'kept', files: 0 });
  expect(away).toMatchObject({ server: 'lost', files: 1 });
  expect(Math.abs(Date.now() + DAY_MS - Number(away?.untilMs))).toBeLessThan(2 * 3_600_000);
  await expect(retentions.deleteNow(appid, sid, {}, operator)).rejects.toMatchObject({ code: 'deletion-refused' });
  expect(keysOf(sid)).toHaveLength(2);
});

test('a node that is back while its recording is being deleted stores nothing of it', async () => {
  const sid = await recorded(lost, stub.storage(), FILES);
  await addMove(lost, sid);
  // The other was stopped after the playlist.
  await database.query('update retentions set due_ms = 1 where sid = $1', [sid]);
  await database.query(`update objects set deleting_ms = 1, deleted_ms = 2 where sid = $1 and name = 'x.m3u8'`, [sid]);
  await (await lost.openTarget(stub.storage())).erase(`${sid}/x.m3u8`);
  await lost.seen(0);
  stub.requests.length = 0;
  await lost.move();
  await vi.waitFor(async () => expect(await lost.objects.findMove(sid)).toBeUndefined(), { timeout: 20_000 });
  const retentions = await lost.begin();
  await until(retentions, sid, { state: 'deleted', files: 3 });
  expect(stub.actions().filter((action) => action.startsWith('Put'))).toEqual([]);
  expect(keysOf(sid)).toEqual([]);
  expect(lost.hasInBackup(sid, 'x_1.ts')).toBe(false);
});

test('a backup store that all nodes share is cleared by any; the rest waits for the disk of the one that is gone', async () => {
  const sid = await recorded(lost, stub.storage(), FILES);
  await addMove(lost, sid);
  await lost.seen(8);
  other.backup = lost.backup;
  const retentions = await other.begin();
  await until(retentions, sid, { state: 'left', files: 3 });
  expect(lost.hasInBackup(sid, 'x_1.ts')).toBe(false);
  expect((await retentions.of(appid, sid)).away).toMatchObject({ server: 'lost', files: 0 });
  await lost.seen(0);
  await until(await lost.begin(), sid, { state: 'deleted', files: 3 });
  expect(lost.removed).toEqual([sid]);
});

test('files that were given up stay with their node, and the others are deleted all the same', async () => {
  const sid = await recorded(lost, stub.storage(), [FILES[1]!, { name: 'x_1.ts', state: 'gaveUp' }]);
  await lost.seen(8);
  const retentions = await other.begin();
  await until(retentions, sid, { state: 'left', files: 1 });
  expect(keysOf(sid)).toEqual([]);
  // Whoever asks for it has it looked for again.
  await retentions.close();
  other.backup = lost.backup;
  const again = await other.begin();
  await database.query('update retentions set storage = $2 where sid = $1', [
    ...[sid, vault.seal(JSON.stringify(stub.storage()))],
  ]);
  await again.deleteNow(appid, sid, {}, operator);
  await until(again, sid, { state: 'deleted', files: 2 });
  expect(lost.hasInBackup(sid, 'x_1.ts')).toBe(false);
});

test('a file in the backup store of a node that was taken over from is not waited for by its successor', async () => {
  const sid = await recorded(lost, stub.storage(), [FILES[1]!, { name: 'x_1.ts', state: 'gaveUp' }]);
  await database.query(
    `insert into runs (sid, generation, kind, owner, epoch, phase, folder, started_ms)
     values ($1, 0, 'record', '', 1, 'ended', $2, 1)`,
    [sid, lost.folder],
  );
  await database.query('insert into strays (sid, folder, since_ms) values ($1, $2, 1)', [sid, lost.folder]);
  await database.query('update objects set generation = 0 where sid = $1', [sid]);
  await database.query('update tasks set folder = $2 where sid = $1', [sid, other.folder]);
  await lost.seen(8);
  await until(await other.begin(), sid, { state: 'deleted', files: 2, error: null });
  expect(keysOf(sid)).toEqual([]);
});

describe('what a node has in a folder of its own (vendor 1000)', () => {
  const storage = (): StorageConfig => ({
    ...stub.storage(),
    ...{ vendor: 1000, bucket: 'bucket', extensionParams: undefined },
  });
  const stored: readonly File[] = FILES.map(({ name }) => ({ name, state: 'stored' }));
  const has = (node: Node, key: string) => existsSync(join(node.dir, 'recordings/bucket', key));

  test.each(['not there', 'another one of the same name'])(
    'is left to it by a node whose folder is %s',
    async (which) => {
      const sid = await recorded(lost, storage(), stored);
      if (which !== 'not there') await recorded(other, storage(), stored);
      await lost.seen(8);
      const retentions = await other.begin();
      await until(retentions, sid, { state: 'left', files: 0, deletedMs: null, error: null, nextTryMs: null });
      expect((await retentions.of(appid, sid)).away).toMatchObject({
        server: 'lost',
        files: 3,
        bytes: 51,
        untilMs: null,
      });
      expect(await actsOf(retentions, sid)).toEqual([
        [
          'left',
          'deleted 0 files, 0 bytes, by the rule of its app, 1 days; 3 files, 51 bytes, lie with lost, which is gone',
        ],
      ]);
      expect(has(lost, `${sid}/x_0.ts`)).toBe(true);
      // It never comes back: nobody looks again, and nothing more is noted.
      await retentions.look();
      expect(await new RetentionTables(of(other)).due(Date.now(), 100)).not.toContain(sid);
      expect(await actsOf(retentions, sid)).toHaveLength(1);
      // Or it does.
      await lost.seen(0);
      await until(await lost.begin(), sid, { state: 'deleted', files: 3, bytes: 51, away: null });
      expect(has(lost, sid)).toBe(false);
      expect(lost.removed).toEqual([sid]);
    },
  );

  test('is waited for for a week, and deleted by its node once that is back', async () => {
    const sid = await recorded(lost, storage(), stored);
    await lost.seen(2);
    const retentions = await other.begin();
    expect(await retentions.of(appid, sid)).toMatchObject({ state: 'kept', away: { server: 'lost', files: 3 } });
    await lost.seen(0);
    await until(await lost.begin(), sid, { state: 'deleted', files: 3 });
  });

  test('is deleted by any node where all share the folder', async () => {
    const sid = await recorded(lost, storage(), stored);
    await lost.seen(8);
    other.openTarget = lost.openTarget;
    await until(await other.begin(), sid, { state: 'deleted', files: 3, away: null });
    expect(has(lost, sid)).toBe(false);
  });

  test('stays there under a legal hold, also when it was left and its node is back', async () => {
    const sid = await recorded(lost, storage(), stored);
    await lost.seen(8);
    const retentions = await other.begin();
    await until(retentions, sid, { state: 'left' });
    await retentions.hold(appid, sid, {}, operator);
    await lost.seen(0);
    const back = await lost.begin();
    expect(has(lost, `${sid}/x_0.ts`)).toBe(true);
    await back.release(appid, sid, operator);
    await until(back, sid, { state: 'deleted' });
    expect(has(lost, sid)).toBe(false);
  });
});

test('a server that starts keeps what is known of a node that is gone: since when, and its name', async () => {
  await lost.seen(3);
  await lost.seen(2);
  const owner = await beginOwner(database, { clock });
  await owner.close();
  const rows = await database.query(
    "select name, renewed_at < now() - interval '1 day' as old from owners where folder = $1",
    [lost.folder],
  );
  expect(rows).toEqual([{ name: 'lost', old: true }]);
});
