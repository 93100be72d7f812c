import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { FakeWorld, taskOf } from '../../test/support/fake-ports.ts';
import { beginNode } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { slice } from '../../test/support/upload-scene.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import type { Segment } from '../media/segment.ts';
import { createLog } from '../observe/log.ts';
import { completeRecording } from '../pipeline/complete.ts';
import { goOnFrom } from '../pipeline/report/earlier-report.ts';
import { QualityCollector } from '../pipeline/report/quality-collector.ts';
import { writeReport } from '../pipeline/report/write-report.ts';
import { newTaskState, type Task } from '../session/task.ts';
import { writeJournal } from '../stages/spool/journal.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import type { Database } from '../store/database.ts';
import { ObjectTables } from '../store/object-tables.ts';
import type { Ownership } from '../store/ownership.ts';
import { RecordingTables } from '../store/recording-tables.ts';
import { RetentionTables } from '../store/retention-tables.ts';
import { StrayTables } from '../store/stray-tables.ts';
import { Vault } from '../store/vault.ts';
import { spoolPort } from './ports.ts';
import { openStrays } from './strays.ts';

const log = createLog('silent');
const vault = new Vault([Vault.newKey()]);
/** Pauses of seconds take milliseconds; what may take a minute still may. */
const hasty: Clock = {
  ...systemClock,
  monoUs: () => systemClock.monoUs() * 100,
  after: (delayMs, run) => systemClock.after(delayMs < 60_000 ? Math.min(delayMs, 20) : delayMs, run),
  every: (periodMs, run) => systemClock.every(Math.min(periodMs, 20), run),
};

const WAITS = { timeout: 60_000 };

let database: Database;
beforeAll(async () => {
  database = { ...(await openTestDatabase()), exclusive: false };
}, 60_000);
afterAll(() => database?.close());

/** A node of the fleet: what it has in the database and on its disk. */
class Node {
  readonly ownership: Ownership;
  readonly recordings: RecordingTables;
  readonly objects: ObjectTables;
  readonly strays: StrayTables;
  readonly spool: string;
  readonly backup: BackupStore;

  static async begin(root: string): Promise<Node> {
    return new Node(await beginNode(database), root);
  }

  private constructor(ownership: Ownership, root: string) {
    this.ownership = ownership;
    this.spool = join(root, ownership.folder);
    mkdirSync(this.spool, { recursive: true });
    this.backup = new BackupStore(openLocalFolder('backup', join(root, `disk-${ownership.folder}`)));
    this.recordings = new RecordingTables(database, ownership, vault);
    this.objects = new ObjectTables({ database, vault, folder: ownership.folder, clock: systemClock, log });
    this.strays = new StrayTables({ database, ownership, objects: this.objects, vault });
  }

  holdOf(sid: string, epoch: number) {
    return { sid, owner: this.ownership.owner, epoch };
  }

  /** Lets a run of its own make these files, which the database knows of as `state` says. */
  async record(sid: string, { generation, epoch }: { generation: number; epoch: number }, files: Recorded[]) {
    const dir = join(this.spool, sid, String(generation));
    mkdirSync(dir, { recursive: true });
    for (const { file } of files) writeFileSync(join(dir, file.name), contentOf(file, this));
    await writeJournal(
      dir,
      files.map(({ file }) => file),
    );
    const times = { startedMs: 1, endedMs: undefined, why: undefined, process: undefined };
    const hold = this.holdOf(sid, epoch);
    await this.recordings.saveRun(hold, { generation, kind: 'record', phase: 'running', ...times });
    const ledger = await this.objects.open(hold);
    for (const { file, state } of files)
      if (state) {
        const { name, bytes } = file;
        ledger.note({ ...{ name, kind: 'slice', generation, key: `p/${name}`, bytes, state, attempts: 1, file } });
        if (state === 'stored') await this.store(file);
      }
    await ledger.settled();
  }

  async store(file: Segment): Promise<void> {
    const target = openLocalFolder('b', stores);
    await target.put(`p/${file.name}`, { data: Buffer.from(contentOf(file, this)) }, 'video/mp2t');
  }

  /** Puts a file into its backup store, because its own was away, and notes that. */
  async backUp(sid: string, file: Segment): Promise<void> {
    await this.backup.put(sid, file.name, { data: Buffer.from(contentOf(file, this)) }, 'video/mp2t');
    await database.query(`update objects set state = 'backup' where sid = $1 and name = $2`, [sid, file.name]);
  }

  /** Begins to bring back what strayed from it. */
  async comeBack(isHeld = () => false) {
    const strays = await openStrays({
      tables: this.strays,
      objects: this.objects,
      database,
      spool: spoolPort(this.spool, 0),
      recorders: {
        ...new FakeWorld().ports().recorders,
        atWork: () => new Map(),
        complete: async (command) => void (await completeRecording(command)),
      },
      openTarget: async () => openLocalFolder('b', stores),
      backup: this.backup,
      isHeld,
      clock: hasty,
      log,
    });
    onTestFinished(() => strays.close());
  }
}

type Recorded = { file: Segment; state?: 'stored' | 'waiting' };

/** As many bytes as the file says, and others for each node. */
function contentOf({ name, bytes }: Segment, { ownership }: Node): string {
  return `${name} of ${ownership.folder} `.padEnd(bytes, '.').slice(0, bytes);
}

let root: string;
let stores: string;
let first: Node;
let second: Node;
let task: Task;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-strays-'));
  stores = join(root, 'stores');
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  [first, second] = [await Node.begin(root), await Node.begin(root)];
  const made = taskOf();
  const plan = { ...made.document.plan, files: { hls: true, mp4: false } };
  const storage = { ...made.document.storage, fileNamePrefix: ['p'] };
  task = { ...made, appid: newHexId(), resourceId: newHexId(), document: { ...made.document, plan, storage } as never };
  await database.query(
    `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour) values ($1, $2, 'c', '1', 0, 1, 72)`,
    [task.resourceId, task.appid],
  );
  const state = { ...newTaskState(), phase: 'recording' as const, zeroUtcMs: 1000 };
  await first.recordings.addTask(task, state);
});

/** The second node takes the recording over, as a claim does. */
async function takeOver(): Promise<void> {
  await database.query(`update owners set steady_since = now() - interval '1 hour' where owner = $1`, [
    second.ownership.owner,
  ]);
  const sids: string[] = [];
  // The first node may renew its lease in between: it lives.
  await expect
    .poll(async () => {
      await database.query(`update owners set lease_until = now() - interval '1 hour' where owner = $1`, [
        first.ownership.owner,
      ]);
      const { tasks, unreadable } = await second.recordings.claimTasks([]);
      expect(unreadable).toEqual([]);
      sids.push(...tasks.map(({ hold }) => hold.sid));
      return sids;
    }, WAITS)
    .toContain(task.sid);
}

async function end(report?: Partial<QualityReport>): Promise<void> {
  const hold = second.holdOf(task.sid, 2);
  if (report) await second.recordings.saveQuality(hold, report as QualityReport);
  await second.recordings.saveState(hold, { ...newTaskState(), phase: 'ended', status: 8, revision: 9 }, 20);
}

const stored = () => (existsSync(join(stores, 'b', 'p')) ? readdirSync(join(stores, 'b', 'p')).sort() : []);
const playlist = () => {
  const path = join(stores, 'b', 'p', 'x.m3u8');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines
    .filter((line) => /\.ts$|DISCONTINUITY/.test(line))
    .map((line) => line.replace('#EXT-X-DISCONTINUITY', '!'));
};
const own = (index: number, afterS: number): Segment => ({
  ...slice(index),
  name: `own_${index}.ts`,
  startUtcMs: 1000 + afterS * 1000,
});
const strayRow = async () =>
  (
    await database.query('select stored_ms is not null as stored, storage is null as done from strays where sid = $1', [
      task.sid,
    ])
  )[0];

test('what a node had not stored is stored when it is back, and its spool is freed', async () => {
  const known: Recorded[] = [
    { file: slice(0), state: 'stored' },
    { file: slice(1), state: 'waiting' },
    { file: slice(2) },
  ];
  await first.record(task.sid, { generation: 1, epoch: 1 }, known);
  await first.backUp(task.sid, slice(1));
  await takeOver();
  await second.record(task.sid, { generation: 2, epoch: 2 }, [{ file: own(0, 60), state: 'stored' }]);
  await first.comeBack();
  await expect.poll(strayRow, WAITS).toEqual({ stored: true, done: false });
  expect(stored()).toEqual(['own_0.ts', 'x_0.ts', 'x_1.ts', 'x_2.ts']);
  expect(await first.backup.has(task.sid, slice(1).name)).toBe(false);
  await expect.poll(() => readdirSync(first.spool), WAITS).toEqual([]);
  expect(readdirSync(second.spool)).toEqual([task.sid]);
  // Whoever has the recording sees it, and has the playlist to itself.
  expect(await second.strays.of([task.sid])).toMatchObject([
    { folder: first.ownership.folder, storedMs: expect.any(Number) },
  ]);
  const objects = await second.objects.objectsOf(task.sid);
  expect(objects.map(({ name, state, generation }) => [name, state, generation])).toEqual([
    ['own_0.ts', 'stored', 2],
    ['x_0.ts', 'stored', 1],
    ['x_1.ts', 'stored', 1],
    ['x_2.ts', 'stored', 1],
  ]);
  expect(playlist()).toEqual([]);
});

test('a recording that has ended meanwhile gets them into their place, and its report says when', async () => {
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0), state: 'stored' }, { file: slice(1) }]);
  await takeOver();
  await second.record(task.sid, { generation: 2, epoch: 2 }, [{ file: own(0, 60), state: 'stored' }]);
  await end({
    ...{ version: 1, sid: task.sid, mode: 'mix', state: 'final', zeroUtcMs: 1000, filesFromMs: 0, measuredMs: 1 },
    ...{
      endedMs: 2,
      endReason: 'idle',
      participants: [],
      moreParticipants: 0,
      degraded: [],
      moreDegraded: 0,
      machine: null,
    },
  });
  await first.comeBack();
  await expect.poll(strayRow, WAITS).toEqual({ stored: true, done: true });
  expect(playlist()).toEqual(['!', 'x_0.ts', 'x_1.ts', '!', 'own_0.ts']);
  expect((await second.strays.reportOf(task.sid))?.degraded).toEqual([
    { atMs: 2, count: 1, what: expect.stringMatching(/^what a node had recorded and not stored .* was stored at 20/) },
  ]);
});

/** What a run noted until a second, of somebody who came at its beginning and went at another. */
function noted(generation: number, beganS: number, atS: number, wentS?: number): QualityReport {
  const collector = new QualityCollector({
    ...{ sid: task.sid, mode: 'mix', zeroUtcMs: 1000 },
    run: { generation, startedUs: beganS * 1e6 },
  });
  collector.onJoined('7', beganS * 1e6);
  if (wentS !== undefined) collector.onLeft('7', wentS * 1e6);
  collector.onDegraded(`noted by run ${generation} until ${atS} s`, 1, atS * 1e6);
  return collector.report({ atUs: atS * 1e6, lagUs: 0, machine: undefined }, 'stopped');
}

test('the report of the whole has what a node noted after its report was kept last', async () => {
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0), state: 'stored' }]);
  const left = noted(1, 0, 10);
  await first.recordings.saveQuality(first.holdOf(task.sid, 1), left);
  await takeOver();
  await writeReport(join(first.spool, task.sid, '1'), task.document.plan.baseName, noted(1, 0, 16, 16));
  await second.record(task.sid, { generation: 2, epoch: 2 }, [{ file: own(0, 60), state: 'stored' }]);
  await end(goOnFrom(left, noted(2, 15, 60)));
  await first.comeBack();
  await expect.poll(strayRow, WAITS).toEqual({ stored: true, done: true });
  const report = (await second.strays.reportOf(task.sid))!;
  expect(report.degraded.map(({ what }) => what)).toEqual([
    'noted by run 1 until 10 s',
    'noted by run 1 until 16 s',
    'noted by run 2 until 60 s',
    expect.stringContaining('was stored at'),
  ]);
  expect(report.participants[0]!.presence).toMatchObject([{ joinedMs: 0, leftMs: null }]);
  expect(await second.strays.broughtReports(task.sid)).toEqual([]);
});

test('what a node brought of the report stays when it takes the recording back', async () => {
  const left = noted(1, 0, 10);
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0), state: 'stored' }]);
  await first.recordings.saveQuality(first.holdOf(task.sid, 1), left);
  await takeOver();
  const brought = noted(1, 0, 16);
  expect(await first.strays.setStored(task.sid, 20_000, brought)).toBe(true);
  await database.query('delete from strays where sid = $1', [task.sid]);
  expect(await second.strays.broughtReports(task.sid)).toMatchObject([{ brought, left }]);
  expect(await first.strays.setStored(task.sid, 20_000, brought)).toBe(false);
});

test('nothing that another node made is replaced, whatever its name', async () => {
  const same = { ...slice(1), bytes: 300 };
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0) }, { file: same }]);
  await takeOver();
  await second.record(task.sid, { generation: 2, epoch: 2 }, [{ file: slice(1), state: 'stored' }]);
  await first.comeBack();
  await expect.poll(strayRow, WAITS).toMatchObject({ stored: true });
  expect(readFileSync(join(stores, 'b', 'p', 'x_1.ts'), 'utf8')).toContain(second.ownership.folder);
  expect(stored()).toEqual(['x_0.ts', 'x_1.ts']);
});

test('a spool whose recording has come back to its node stays', async () => {
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0) }]);
  await takeOver();
  // It is claimed while its files are stored.
  let asked = 0;
  await first.comeBack(() => asked++ > 0);
  await expect.poll(strayRow, WAITS).toMatchObject({ stored: true });
  await expect.poll(() => asked, WAITS).toBeGreaterThan(1);
  expect(readdirSync(first.spool)).toEqual([task.sid]);
});

test('what was deleted while its node was away is not stored again, and goes from its disk', async () => {
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0), state: 'waiting' }]);
  await first.backUp(task.sid, slice(0));
  await takeOver();
  await second.record(task.sid, { generation: 2, epoch: 2 }, [{ file: own(0, 60), state: 'stored' }]);
  await end();
  // Nobody can move it on.
  await database.query(`update objects set state = 'gaveUp' where sid = $1 and state = 'backup'`, [task.sid]);
  const retention = new RetentionTables({ database, vault, folder: second.ownership.folder, inFleet: true });
  const { storage } = task.document;
  await retention.setDue(task.sid, { storage, by: 'customer', nowMs: 21 });
  // It is waited for while it may come.
  expect(await retention.due(22, 100)).not.toContain(task.sid);
  expect((await retention.keeping(task.appid, task.sid)).keeping).toBe('uploading');
  await database.query('update strays set since_ms = since_ms - 604800001 where sid = $1', [task.sid]);
  expect(await retention.due(22, 100)).toContain(task.sid);
  expect((await retention.keeping(task.appid, task.sid)).keeping).toBeUndefined();
  for (const name of ['own_0.ts', 'x_0.ts']) await openLocalFolder('b', stores).erase(`p/${name}`);
  await retention.ended({ sid: task.sid, isOwn: true }, 23);
  await first.comeBack();
  await expect.poll(strayRow, WAITS).toEqual({ stored: true, done: true });
  expect(readdirSync(first.spool)).toEqual([]);
  expect(await first.backup.has(task.sid, slice(0).name)).toBe(false);
  expect(stored()).toEqual([]);
});

test('a node that lives keeps files from being deleted for as long as it has some that are not stored', async () => {
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: slice(0) }]);
  await takeOver();
  await end();
  await database.query('update strays set since_ms = 1 where sid = $1', [task.sid]);
  const retention = new RetentionTables({ database, vault, folder: second.ownership.folder, inFleet: true });
  expect((await retention.keeping(task.appid, task.sid)).keeping).toBeUndefined();
  await database.query(`update owners set lease_until = now() + interval '1 hour' where owner = $1`, [
    first.ownership.owner,
  ]);
  expect((await retention.keeping(task.appid, task.sid)).keeping).toBe('uploading');
});

test('who was removed while a node was away is not brought back by it', async () => {
  const of = (uid: string, index: number): Segment => ({
    ...slice(index),
    name: `${task.sid}_c__uid_s_${uid}__uid_e_audio_2026010100000000${index}.ts`,
    owner: { uid, trackType: 'audio' },
  });
  await first.record(task.sid, { generation: 1, epoch: 1 }, [{ file: of('7', 0) }, { file: of('77', 1) }]);
  const seen = noted(1, 0, 16);
  seen.participants.push({ ...seen.participants[0]!, uid: '77' });
  await writeReport(join(first.spool, task.sid, '1'), task.document.plan.baseName, seen);
  await takeOver();
  await end();
  await database.query('update strays set since_ms = 1 where sid = $1', [task.sid]);
  await database.query(`insert into removals (sid, uid, asked_ms, asked_by) values ($1, '7', 1, 'customer')`, [
    task.sid,
  ]);
  await first.comeBack();
  // Lists and reports are made anew once nobody is being removed.
  await expect.poll(strayRow, WAITS).toEqual({ stored: true, done: false });
  expect(stored().filter((name) => name.endsWith('.ts'))).toEqual([of('77', 1).name]);
  await expect.poll(() => readdirSync(first.spool), WAITS).toEqual([]);
  const [brought] = await second.strays.broughtReports(task.sid);
  expect(brought!.brought.participants.map(({ uid }) => uid)).toEqual(['77']);
});
