/**
 * Power loss (ADR 0013): the embedded database is some seconds behind the spool, and the spool is believed.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { FakeWorld, OPEN } from '../../test/support/fake-ports.ts';
import { S3Stub } from '../../test/support/s3-stub.ts';
import { systemClock } from '../kernel/clock.ts';
import { EndpointGuard } from '../kernel/endpoint-guard.ts';
import { newHexId } from '../kernel/ids.ts';
import type { Segment } from '../media/segment.ts';
import { createLog } from '../observe/log.ts';
import { Recordings } from '../session/recordings.ts';
import { Journal } from '../stages/spool/journal.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import { ObjectTables } from '../store/object-tables.ts';
import { openDatabase } from '../store/open-database.ts';
import { Ownership } from '../store/ownership.ts';
import { RecordingTables } from '../store/recording-tables.ts';
import { Vault } from '../store/vault.ts';
import { spoolPort } from './ports.ts';
import { uploadPort } from './upload-port.ts';

const APP = newHexId();
const FOLDER = newHexId();
const log = createLog('silent');
const vault = new Vault([Vault.newKey()]);
const SOON = { timeout: 30_000 };

/** A server without a channel and without recorders of its own, on the spool and the database in `dir`. */
async function begin(dir: string, database: string) {
  const opened = await openDatabase({ url: '', pgliteDir: join(dir, database) });
  const ownership = await Ownership.begin({
    ...{ database: opened, folder: FOLDER, bootId: newHexId(), clock: systemClock, log },
  });
  const objects = new ObjectTables({ database: opened, vault, folder: FOLDER, clock: systemClock, log });
  const world = new FakeWorld();
  const recordings = new Recordings({
    ...world.ports(),
    store: new RecordingTables(opened, ownership, vault),
    spool: spoolPort(join(dir, 'spool'), 0),
    uploads: uploadPort({
      localStorageDir: dir,
      guard: new EndpointGuard({ networks: ['loopback'], plainHttp: false }),
      testWrites: false,
      backup: { store: new BackupStore(openLocalFolder('backup', dir)), afterMs: 60_000 },
      ledgerOf: (hold) => objects.open(hold),
      moves: { add: async () => {}, renew: async () => {} },
      ...{ clock: systemClock, log },
    }),
    ...{ clock: systemClock, log, admission: OPEN, maxRecordings: 5, start: {}, mayRecord: () => true },
    ...{ resourceLifeMs: 300_000, callTimeoutMs: 20_000, sliceStartTimeUnit: 's' },
    ...{ forceExtinfComma: false, failoverNames: false },
    storeReports: 'never',
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    baseName: (sid) => sid,
  });
  const end = async () => {
    await recordings.close(0);
    await ownership.close();
    await opened.close();
  };
  return { recordings, world, objects, end };
}

/** Finishes a slice in the folder of a run, as its recorder does. */
async function spoolSlice(dir: string, index: number): Promise<Segment> {
  const data = Buffer.from(`slice ${index}`);
  const name = `x_${index}.ts`;
  const place = { startUtcMs: 1_000 + index * 15_000, durationUs: 15_000_000, bytes: data.length };
  const said = { discontinuity: index === 0, starts: [], rotations: [] };
  const slice: Segment = { type: 'slice', name, playlist: 'x.m3u8', index, ...place, ...said };
  writeFileSync(join(dir, name), data);
  const journal = await Journal.open(dir);
  await journal.append(slice);
  await journal.close();
  return slice;
}

test('a database that power loss took back in time is brought up by what lies on the spool', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-power-'));
  const stub = await S3Stub.start();
  onTestFinished(async () => {
    await stub.close().catch(() => {});
    rmSync(dir, { recursive: true, force: true });
  });

  const first = await begin(dir, 'db');
  const names = { cname: 'c', uid: '1' };
  const request = { ...names, scene: 0, resourceExpiredHour: 72, startHash: undefined } as const;
  const { resourceId } = await first.recordings.acquire(APP, request);
  const clientRequest = { storageConfig: stub.storage(), recordingFileConfig: { avFileType: ['hls'] } };
  const path = { appid: APP, resourceId, mode: 'mix' as const };
  const { reply } = await first.recordings.start(path, { ...names, clientRequest });
  const { sid } = reply;
  const [one] = first.world.recorders;
  if (!one) throw new Error('no recorder was launched');
  one.tell({ type: 'joined' });
  one.tell({ type: 'fileSpooled', file: await spoolSlice(one.start.spoolDir, 0) });
  await expect.poll(() => stub.objects.has('x.m3u8'), SOON).toBe(true);
  // What is in files now is what a machine that loses its power has of the database.
  await expect
    .poll(async () => (await first.objects.objectsOf(sid)).map(({ state }) => state), SOON)
    .toContain('stored');
  cpSync(join(dir, 'db'), join(dir, 'db as it was'), { recursive: true });

  // Stored, and lost from the ledger; then another run, of which the database knows nothing; then one that waits.
  one.tell({ type: 'fileSpooled', file: await spoolSlice(one.start.spoolDir, 1) });
  await expect.poll(() => stub.objects.has('x_1.ts'), SOON).toBe(true);
  one.exit('killed');
  await expect.poll(() => first.world.recorders.length, SOON).toBe(2);
  const two = first.world.recorders[1];
  if (!two) throw new Error('no other run was launched');
  stub.interfere = ({ key }, response) => {
    if (key !== 'x_2.ts') return false;
    response.destroy();
    return true;
  };
  two.tell({ type: 'fileSpooled', file: await spoolSlice(two.start.spoolDir, 2) });
  await expect.poll(() => stub.actions(), SOON).toContain('PutObject x_2.ts');
  await first.end();
  stub.interfere = undefined;

  const next = await begin(dir, 'db as it was');
  onTestFinished(() => next.end());
  await next.recordings.recover();
  await expect.poll(() => next.world.recorders.length, SOON).toBe(1);
  const three = next.world.recorders[0];
  expect([one, two, three].map((each) => each?.start.generation)).toEqual([1, 2, 3]);
  three?.tell({ type: 'fileSpooled', file: await spoolSlice(three.start.spoolDir, 3) });
  three?.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
  await expect.poll(() => next.recordings.size, SOON).toBe(0);

  const wanted = ['x_0.ts', 'x_1.ts', 'x_2.ts', 'x_3.ts'];
  expect([...stub.objects.keys()].sort()).toEqual(['x.m3u8', ...wanted]);
  for (const [index, name] of wanted.entries()) expect(stub.read(name).toString()).toBe(`slice ${index}`);
  expect(
    stub
      .read('x.m3u8')
      .toString()
      .match(/^x_\d\.ts$/gm),
  ).toEqual(wanted);
  const rows = await next.objects.objectsOf(sid);
  expect(rows.map(({ name, state, generation }) => [name, state, generation])).toEqual([
    ['x_0.ts', 'stored', 1],
    ['x_1.ts', 'stored', 1],
    ['x_2.ts', 'stored', 2],
    ['x_3.ts', 'stored', 3],
    ['x.m3u8', 'stored', 3],
  ]);
  // Everything is where it belongs: the spool is let go.
  expect(() => readFileSync(join(dir, 'spool', sid, '1', 'x_0.ts'))).toThrow(/ENOENT/);
});
