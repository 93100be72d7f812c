import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { qualityOf } from '../../test/support/quality.ts';
import { beginOwner } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { newHexId, newResourceId, newSid } from '../kernel/ids.ts';
import { isFenced, type TaskHold } from '../session/hold.ts';
import type { Resource } from '../session/ports.ts';
import type { RunRecord } from '../session/run-record.ts';
import { newTaskState, type Task, type TaskState } from '../session/task.ts';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';
import { openDatabase } from './open-database.ts';
import type { Ownership } from './ownership.ts';
import { RecordingTables } from './recording-tables.ts';
import { Vault } from './vault.ts';

const vault = new Vault([Vault.newKey()]);

// One suite over both databases; Postgres when there is one to test with.
const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);
/** The start of the machine that a server and the next one on its folder share. */
const BOOT = 'boot';

describe.each(targets)('%s', (_name, url) => {
  let database: Database;
  let store: RecordingTables;
  let ownership: Ownership;
  beforeAll(async () => {
    database = await openTestDatabase(url);
    ownership = await beginOwner(database, { bootId: BOOT });
    store = new RecordingTables(database, ownership, vault);
  }, 60_000);
  afterAll(async () => {
    await ownership?.close();
    await database?.close();
  });
  const holdOf = ({ sid }: Task, epoch = 1): TaskHold => ({ sid, owner: ownership.owner, epoch });
  /** What the next server on the same folder finds. */
  async function next(): Promise<{ tables: RecordingTables; owner: Ownership }> {
    const owner = await beginOwner(database, { folder: ownership.folder, bootId: BOOT });
    return { tables: new RecordingTables(database, owner, vault), owner };
  }

  async function resource(changes: Partial<Resource> = {}): Promise<Resource> {
    const made: Resource = {
      resourceId: newResourceId(),
      appid: newHexId(),
      cname: 'ch1',
      uid: '1',
      scene: 0,
      expiresMs: 1_800_000_000_000,
      resourceExpiredHour: 72,
      startHash: undefined,
      sid: undefined,
      startedMs: undefined,
      ...changes,
    };
    await store.addResource(made);
    return made;
  }

  function taskOf({ resourceId, appid, cname, uid }: Resource): Task {
    const sid = newSid();
    return {
      sid,
      resourceId,
      appid,
      cname,
      uid,
      createdMs: 1_799_999_999_000,
      document: {
        plan: {
          mode: 'mix',
          sid,
          baseName: `${sid}_ch1`,
          audio: { channels: 1, bitrateKbps: 48 },
          subscribe: { audio: { kind: 'all' }, video: { kind: 'none' } },
          files: { hls: true, mp4: false },
          maxIdleMs: 30_000,
          mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
        },
        storage: {
          vendor: 11,
          region: 0,
          bucket: 'bucket',
          accessKey: 'AK',
          secretKey: 'very-secret',
          stsToken: undefined,
          stsExpiration: undefined,
          fileNamePrefix: ['a'],
          extensionParams: { sse: undefined, tag: undefined, endpoint: 's3.example.com' },
        },
        extinfComma: true,
        storeReport: true,
        token: '007x',
        warnings: [],
      },
    };
  }

  test('a resource comes back as it was put in', async () => {
    const made = await resource({ startHash: 'abc', scene: 2 });
    expect(await store.findResource(made.resourceId)).toEqual(made);
    expect(await store.findResource('unknown')).toBeUndefined();
  });

  test('starting uses the resource up', async () => {
    const made = await resource();
    const task = taskOf(made);
    expect(await store.addTask(task, newTaskState())).toMatchObject({ epoch: 1 });
    expect(await store.addTask(taskOf(made), newTaskState())).toBe('used');
    expect(await store.findResource(made.resourceId)).toMatchObject({ sid: task.sid, startedMs: task.createdMs });
    expect(await store.findRunning(made.appid, 'ch1', '1')).toBe(task.sid);
  });

  test('knows which recordings have ended with all their files where they belong', async () => {
    const ended = async (state: Partial<TaskState>) => {
      const task = taskOf(await resource());
      await store.addTask(task, newTaskState());
      await store.saveState(holdOf(task), { ...newTaskState(), phase: 'ended', status: 8, ...state }, 20);
      return task.sid;
    };
    const stored = [await ended({ uploadedTo: 'uploaded' }), await ended({ uploadedTo: 'backuped' })];
    const strayed = await ended({ uploadedTo: 'uploaded' });
    await database.query('insert into strays (sid, folder, since_ms) values ($1, $2, 1)', [strayed, ownership.folder]);
    const others = [
      await ended({ uploadedTo: 'unknown' }),
      await ended({}),
      await ended({ phase: 'uploading', status: 7, uploadedTo: 'uploaded' }),
    ];
    const found = await store.storedOf([...others, ...stored, strayed, newSid()]);
    expect(found.toSorted()).toEqual(stored.toSorted());
    // They lie on the disk of another server.
    const elsewhere = await beginOwner(database);
    expect(await new RecordingTables(database, elsewhere, vault).storedOf(stored)).toEqual([]);
    await elsewhere.close();
  });

  test('with its days a recording keeps what opens its store after its end, sealed and as update has renewed it', async () => {
    const kept = async (sid: string) =>
      (await database.query('select days, rule, storage from retentions where sid = $1', [sid]))[0];
    const { document, ...named } = taskOf(await resource());
    const task: Task = { ...named, document: { ...document, retention: { days: 30, rule: 'app' } } };
    await store.addTask(task, newTaskState());
    const renewed = { ...document.storage, secretKey: 'another-secret' };
    await store.saveDocument(holdOf(task), { ...task.document, storage: renewed });
    await store.saveState(holdOf(task), { ...newTaskState(), phase: 'ended', status: 8 }, 20);
    const row = await kept(task.sid);
    expect(row).toMatchObject({ days: 30, rule: 'app' });
    expect(String(row?.['storage'])).not.toContain('another-secret');
    expect(JSON.parse(vault.open(String(row?.['storage'])))).toMatchObject({ secretKey: 'another-secret' });

    // For ever by its own word; nothing is kept that would open a store.
    const forEver = taskOf(await resource());
    forEver.document.retention = { days: 0, rule: 'recording' };
    await store.addTask(forEver, newTaskState());
    expect(await kept(forEver.sid)).toEqual({ days: null, rule: 'recording', storage: null });
    await store.dropTask(forEver.resourceId, forEver.sid);
    expect(await kept(forEver.sid)).toBeUndefined();
    const plain = taskOf(await resource());
    await store.addTask(plain, newTaskState());
    expect(await kept(plain.sid)).toBeUndefined();
  });

  test('a second task under the same uid waits until the first has left the channel, and its resource stays unused', async () => {
    const first = await resource();
    const second = await resource({ appid: first.appid });
    const task = taskOf(first);
    await store.addTask(task, newTaskState());
    expect(await store.addTask(taskOf(second), newTaskState())).toBe('conflict');
    expect((await store.findResource(second.resourceId))?.sid).toBeUndefined();
    await store.saveState(holdOf(task), { ...newTaskState(), phase: 'uploading', status: 7 }, 1);
    expect(await store.addTask(taskOf(second), newTaskState())).toMatchObject({ epoch: 1 });
  });

  test('of many starts at one moment, one wins', async () => {
    const { appid } = await resource();
    const resources = await Promise.all(Array.from({ length: 5 }, () => resource({ appid })));
    const outcomes = await Promise.all(resources.map((each) => store.addTask(taskOf(each), newTaskState())));
    expect(outcomes.filter((outcome) => outcome === 'conflict')).toHaveLength(4);
    expect(outcomes.find((outcome) => outcome !== 'conflict')).toMatchObject({ owner: ownership.owner, epoch: 1 });
  });

  test('unfinished tasks come back whole, and an ended one keeps no credentials', async () => {
    const made = await resource();
    const { document, ...named } = taskOf(made);
    const page = { url: 'https://user:very-secret@example.com/', mobile: false, readyTimeoutMs: 0 };
    const task = { ...named, document: { ...document, page } };
    const state = {
      ...newTaskState(),
      phase: 'recording' as const,
      status: 5 as const,
      generation: 3,
      zeroUtcMs: 77,
      zeroMono: { bootId: BOOT, us: 78 },
      lossesMs: [5],
      playlists: [{ key: 'a/x.m3u8', startUtcMs: 5, owner: { uid: '7', trackType: 'audio' as const } }],
    };
    await store.addTask(task, newTaskState());
    await store.saveState(holdOf(task), state, 10);
    const [kept] = await database.query('select * from tasks where sid = $1', [task.sid]);
    expect(JSON.stringify(kept)).not.toContain('very-secret');
    const { tables, owner } = await next();
    const found = (await tables.claimTasks([])).tasks.find((each) => each.task.sid === task.sid);
    const hold = { sid: task.sid, owner: owner.owner, epoch: 2 };
    expect(found).toEqual({ task, state, hold, resource: await store.findResource(made.resourceId), runs: [] });

    await tables.saveState(hold, { ...state, phase: 'ended', status: 8 }, 20);
    expect((await (await next()).tables.claimTasks([])).tasks.some((each) => each.task.sid === task.sid)).toBe(false);
    const [row] = await database.query('select * from tasks where sid = $1', [task.sid]);
    expect(JSON.stringify(row)).not.toContain('very-secret');
    expect(Number(row?.['ended_ms'])).toBe(20);
  });

  test('a state of a version that knew one playlist is understood', async () => {
    const task = taskOf(await resource());
    const playlist = { key: 'a/x.m3u8', startUtcMs: 5 };
    const { playlists: _none, snapshot: _new, ...old } = { ...newTaskState(), phase: 'recording' as const, playlist };
    await store.addTask(task, newTaskState());
    await store.saveState(holdOf(task), old as unknown as TaskState, 10);
    const found = (await (await next()).tables.claimTasks([])).tasks.find((each) => each.task.sid === task.sid);
    expect(found?.state).toEqual({ ...newTaskState(), phase: 'recording', playlists: [playlist] });
  });

  test('the quality report comes back as it was kept, and one of another version is none', async () => {
    const task = taskOf(await resource());
    await store.addTask(task, newTaskState());
    expect((await store.findTask(task.appid, task.sid))?.quality).toBeUndefined();
    await store.saveQuality(holdOf(task), qualityOf(task.sid));
    const last = qualityOf(task.sid, 'stopped');
    await store.saveQuality(holdOf(task), last);
    await store.saveState(holdOf(task), { ...newTaskState(), phase: 'ended', status: 8 }, 20);
    expect(await store.findTask(task.appid, task.sid)).toMatchObject({ endedMs: 20, quality: last });
    await store.saveQuality(holdOf(task), { ...last, version: 99 } as never);
    const found = await store.findTask(task.appid, task.sid);
    expect(found?.quality).toBeUndefined();
    expect(found?.task.sid).toBe(task.sid);
  });

  test('a state that comes late does not undo a newer one', async () => {
    const task = taskOf(await resource());
    await store.addTask(task, newTaskState());
    await store.saveState(holdOf(task), { ...newTaskState(), status: 5, revision: 2 }, 10);
    await store.saveState(holdOf(task), { ...newTaskState(), status: 4, revision: 1 }, 20);
    expect((await store.findTask(task.appid, task.sid))?.state.status).toBe(5);
  });

  test('a changed document is kept, and a resource given back can be started once more', async () => {
    const made = await resource();
    const task = taskOf(made);
    await store.addTask(task, newTaskState());
    const warnings = [{ code: 'misspelt' as const, path: 'a.b', message: 'No.' }];
    await store.saveDocument(holdOf(task), { ...task.document, warnings });
    await store.saveState(holdOf(task), { ...newTaskState(), phase: 'ended', status: 8 }, 20);
    expect(await store.findTask('another app', task.sid)).toBeUndefined();
    const found = await store.findTask(task.appid, task.sid);
    expect(found?.task.document).toEqual({ plan: task.document.plan, warnings });
    // Where the files lie is still known when the keys are gone.
    const { endpoint } = task.document.storage.extensionParams!;
    expect(found?.place).toEqual({ vendor: 11, region: 0, bucket: 'bucket', endpoint });
    await store.releaseResource(made.resourceId, 'another sid');
    expect((await store.findResource(made.resourceId))?.sid).toBe(task.sid);
    await store.releaseResource(made.resourceId, task.sid);
    expect(await store.findResource(made.resourceId)).toEqual(made);
  });

  test('a task of which nobody was told can be dropped, stored or not, and no other goes with it', async () => {
    const made = await resource();
    const task = taskOf(made);
    await store.dropTask(made.resourceId, task.sid);
    await store.addTask(task, newTaskState());
    await store.dropTask(made.resourceId, 'another sid');
    expect((await store.findResource(made.resourceId))?.sid).toBe(task.sid);
    await store.dropTask(made.resourceId, task.sid);
    expect(await store.findTask(task.appid, task.sid)).toBeUndefined();
    expect(await store.addTask(taskOf(made), newTaskState())).toMatchObject({ epoch: 1 });
  });

  test('credentials are sealed in the row, and those of versions that sealed nothing are sealed when they are read', async () => {
    const task = taskOf(await resource());
    await store.addTask(task, newTaskState());
    const rowOf = async () =>
      JSON.stringify(await database.query('select document from tasks where sid = $1', [task.sid]));
    for (const secret of ['very-secret', '007x', '"AK"']) expect(await rowOf()).not.toContain(secret);
    await database.query('update tasks set document = $2::jsonb where sid = $1', [
      task.sid,
      JSON.stringify(task.document),
    ]);
    expect(await rowOf()).toContain('very-secret');
    const claimed = (await (await next()).tables.claimTasks([])).tasks.find((each) => each.task.sid === task.sid);
    expect(claimed?.task.document).toEqual(task.document);
    for (const secret of ['very-secret', '007x']) expect(await rowOf()).not.toContain(secret);
  });

  test('the keys of pushes are sealed as long as they are needed, and how pushes stand is kept', async () => {
    const made = await resource();
    const pushes = [{ id: 'a', url: 'rtmp://live.example.com/app/stream-key' }];
    const page = { url: 'https://example.com/?ticket=1', mobile: false, readyTimeoutMs: 0 };
    const first = taskOf(made);
    const task = { ...first, document: { ...first.document, page, pushes } };
    await store.addTask(task, newTaskState());
    const state = {
      ...newTaskState(),
      pushes: [{ id: 'a', address: 'rtmp://live.example.com/app/***', status: 'publishing' as const }],
      revision: 1,
    };
    await store.saveState(holdOf(task), state, 1);
    const rowOf = async () => JSON.stringify(await database.query('select * from tasks where sid = $1', [task.sid]));
    expect(await rowOf()).not.toContain('stream-key');
    const claimed = (await (await next()).tables.claimTasks([])).tasks.find((each) => each.task.sid === task.sid);
    expect(claimed?.task.document.pushes).toEqual(pushes);
    expect(claimed?.state.pushes).toEqual(state.pushes);
    const ended = taskOf(await resource());
    await store.addTask({ ...ended, document: { ...ended.document, pushes } }, newTaskState());
    await store.saveState(holdOf(ended), { ...state, phase: 'ended' }, 1);
    const [row] = await database.query('select document from tasks where sid = $1', [ended.sid]);
    expect(Object.keys(row?.['document'] as object)).not.toContain('pushes');
  });

  test('addresses of images are sealed in the row, wherever they stand, and gone from that of an ended task', async () => {
    const { document, ...task } = taskOf(await resource());
    const { plan } = document;
    if (plan.mode !== 'mix') throw new Error('the task is to be a composite');
    const look = (key: string) => ({
      layout: { kind: 'bestFit' as const },
      backgroundColor: '#000000',
      backgrounds: {
        canvas: `https://x/${key}1.png`,
        defaultUser: `https://x/${key}2.png`,
        users: [{ uid: '1', url: `https://x/${key}3.png`, render: 'fit' as const }],
      },
    });
    const overlays = {
      watermark: {
        shown: { kind: 'image' as const, image: 'https://x/KEY4.png' },
        ...{ place: 'center' as const, size: 0.1, opacity: 1 },
      },
    };
    const before = { ...plan, video: { width: 640, height: 360, fps: 30, bitrateKbps: 500, ...look('KEY'), overlays } };
    const changes = [
      { atUs: 5, change: { type: 'changeLayout' as const, ...look('KEY') } },
      { atUs: 6, change: { type: 'changeOverlays' as const, overlays } },
    ];
    const named = { ...task, document: { ...document, plan: before, changed: { before, changes } } };
    await store.addTask(named, newTaskState());
    const rowOf = async () =>
      JSON.stringify(await database.query('select document from tasks where sid = $1', [task.sid]));
    expect(await rowOf()).toContain('bestFit');
    expect(await rowOf()).not.toContain('KEY');
    const { tables, owner } = await next();
    const claimed = (await tables.claimTasks([])).tasks.find((each) => each.task.sid === task.sid);
    expect(claimed?.task.document).toEqual(named.document);
    await database.query('update tasks set document = $2::jsonb where sid = $1', [
      task.sid,
      JSON.stringify(named.document),
    ]);
    await tables.saveState({ sid: task.sid, owner: owner.owner, epoch: 2 }, { ...newTaskState(), phase: 'ended' }, 2);
    expect(await rowOf()).toContain('bestFit');
    expect(await rowOf()).not.toContain('KEY');
  });

  test('a damaged task does not hide the others', async () => {
    const [damaged, good] = [taskOf(await resource()), taskOf(await resource())];
    await store.addTask(damaged, newTaskState());
    await store.addTask(good, newTaskState());
    await database.query(`update tasks set document = '{}'::jsonb where sid = $1`, [damaged.sid]);
    const { tasks, unreadable } = await (await next()).tables.claimTasks([]);
    expect(tasks.map(({ task }) => task.sid)).toContain(good.sid);
    expect(unreadable).toEqual([{ sid: damaged.sid, why: expect.stringContaining('plan') }]);
  });

  test('a run comes back as it was kept, and changes as it goes on', async () => {
    const task = taskOf(await resource());
    await store.addTask(task, newTaskState());
    const begun: RunRecord = {
      generation: 1,
      kind: 'record',
      phase: 'starting',
      process: undefined,
      startedMs: 5,
      endedMs: undefined,
      why: undefined,
    };
    const process = { pid: 9, startTicks: 123_456_789_012, bootId: BOOT };
    const second: RunRecord = { ...begun, generation: 2, kind: 'complete' };
    await store.saveRun(holdOf(task), begun);
    await store.saveRun(holdOf(task), second);
    await store.saveRun(holdOf(task), { ...begun, phase: 'ended', process, endedMs: 7, why: 'gone' });
    const claimed = (await (await next()).tables.claimTasks([])).tasks.find((each) => each.task.sid === task.sid);
    expect(claimed?.runs).toEqual([{ ...begun, phase: 'ended', process, endedMs: 7, why: 'gone' }, second]);
  });

  test('of what lies on a spool it is told what no task is of', async () => {
    const task = taskOf(await resource());
    await store.addTask(task, newTaskState());
    const unknown = 'f'.repeat(32);
    expect(await store.unknownOf([unknown, task.sid])).toEqual([unknown]);
    expect(await store.unknownOf([])).toEqual([]);
  });

  test('who lost a task to the next owner writes nothing of it any more', async () => {
    const task = taskOf(await resource());
    await store.addTask(task, newTaskState());
    await (await next()).tables.claimTasks([]);
    const rows = async () => [
      await database.query('select * from tasks where sid = $1', [task.sid]),
      await database.query('select * from runs where sid = $1', [task.sid]),
      await database.query('select * from quality_reports where sid = $1', [task.sid]),
    ];
    const before = await rows();
    const run = { generation: 1, kind: 'record', phase: 'running', startedMs: 1 } as RunRecord;
    const state = { ...newTaskState(), phase: 'ended' as const, status: 20 as const, revision: 99 };
    const hold = holdOf(task);
    for (const write of [
      () => store.saveState(hold, state, 5),
      () => store.saveDocument(hold, { ...task.document, token: 'new' }),
      () => store.saveQuality(hold, qualityOf(task.sid)),
      () => store.saveRun(hold, run),
      // The same owner, at another time.
      () => store.saveState({ ...hold, epoch: 2 }, state, 5),
    ]) {
      const outcome = await write().then(
        () => 'written',
        (error) => isFenced(error),
      );
      expect(outcome).toBe(true);
    }
    expect(await rows()).toEqual(before);
    expect(await store.lostOf([hold])).toEqual([task.sid]);
  });

  test('unused resources are forgotten a day after their end', async () => {
    const old = await resource({ expiresMs: 1_000 });
    await resource({ expiresMs: 1_000 + 25 * 3_600_000 });
    expect(await store.findResource(old.resourceId)).toBeUndefined();
  });

  test('migrating again changes nothing', async () => {
    const before = await database.query('select number from migrations order by number');
    expect(before.length).toBeGreaterThan(0);
    await migrate(database);
    expect(await database.query('select number from migrations order by number')).toEqual(before);
  });

  test('a transaction that fails leaves nothing', async () => {
    const made = await resource();
    const failing = database.transaction(async (inside) => {
      await inside.query('delete from resources where resource_id = $1', [made.resourceId]);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await store.findResource(made.resourceId)).toBeDefined();
  });
});

test('a Postgres that is not there is named without its password', async () => {
  const opening = openDatabase({ url: 'postgres://me:hidden@127.0.0.1:1/x', pgliteDir: '' });
  await expect(opening).rejects.toThrow(/127\.0\.0\.1:1\/x/);
  await expect(opening).rejects.not.toThrow(/hidden/);
});
