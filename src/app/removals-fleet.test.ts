/** Persons who are removed where one server of a fleet dies in the middle, or comes back while another is at work. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { recordTwo } from '../../test/support/recording-of-two.ts';
import { startRemovals } from '../../test/support/removals-scene.ts';
import { S3Stub, STUB_KEYS } from '../../test/support/s3-stub.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { RemovalReply } from '../contract/rest/removal.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { createTarget } from '../stages/upload/target/create-target.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import type { Target } from '../stages/upload/target/target.ts';
import type { Database } from '../store/database.ts';
import { StoredFiles } from '../store/stored-files.ts';
import { Vault } from '../store/vault.ts';

const vault = new Vault([Vault.newKey()]);
let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
}, 60_000);
afterAll(() => database?.close());

let dir: string;
let stub: S3Stub;
let appid: string;
let nowMs: number;
/** The one that has the recording, and another of its fleet. */
let owner: Node;
let other: Node;
let recording: Awaited<ReturnType<typeof recordTwo>>;
/** Looks are asked for by the tests. */
const clock: Clock = { ...systemClock, nowMs: () => nowMs, every: () => ({ cancel() {} }) };

class Node {
  readonly name: string;
  readonly folder = newHexId();
  constructor(name: string) {
    this.name = name;
  }

  /** Has its lease end so many seconds from now. */
  async leased(forS: number): Promise<void> {
    await database.query('delete from owners where folder = $1', [this.folder]);
    await database.query(
      `insert into owners (owner, folder, boot_id, name, renewed_at, lease_until)
       values ($1, $2, '', $3, now() + make_interval(secs => $4), now() + make_interval(secs => $4))`,
      [newHexId(), this.folder, this.name, forS],
    );
  }

  /** A server on its folder. @param wrap of each store that it opens */
  async begin(wrap = (target: Target) => target) {
    const own = join(dir, this.folder);
    const { removals } = await startRemovals({
      ...{ database, vault, clock, dir: own, folder: this.folder },
      backup: new BackupStore(openLocalFolder('backup', own)),
      openTarget: async (storage) => wrap(await createTarget(storage, { localStorageDir: '' })),
    });
    onTestFinished(() => removals.close());
    return removals;
  }
}
type Begun = Awaited<ReturnType<Node['begin']>>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-removals-fleet-'));
  stub = await S3Stub.start({ versions: true });
  [appid, nowMs] = [newHexId(), 2_000];
  onTestFinished(async () => {
    rmSync(dir, { recursive: true, force: true });
    await stub.close().catch(() => {});
  });
  [owner, other] = [new Node('owner'), new Node('other')];
  const storage = stub.storage();
  const target = await createTarget(storage, { localStorageDir: '' });
  recording = await recordTwo({ database, vault, appid, storage, target });
  target.close();
  await database.query('update tasks set folder = $2 where sid = $1', [recording.sid, owner.folder]);
});

const told = async (removals: Begun) => (await removals.list(appid, recording.sid)).removals[0]!;
const until = (removals: Begun, expected: Partial<RemovalReply>) =>
  vi.waitFor(async () => expect(await told(removals)).toMatchObject(expected), { timeout: 20_000, interval: 20 });
const speakers = () => stub.objects.get(`${recording.sid}/${recording.speakers}`)?.data.toString();
const isListed = async () => {
  const { files } = (await new StoredFiles(database).of(appid, recording.sid))!;
  return files.find(({ name }) => name === recording.speakers)?.state;
};

/** Stands still before the new file of speakers is put, until it is told to go on. */
function standing() {
  const still = Promise.withResolvers<void>();
  const goesOn = Promise.withResolvers<void>();
  const wrap = (target: Target) =>
    new Proxy(target, {
      get(of, name: keyof Target) {
        const value = of[name];
        if (typeof value !== 'function') return value;
        return async (key: string, ...more: unknown[]) => {
          if (name === 'put' && key.endsWith('_speakers.mka')) {
            still.resolve();
            await goesOn.promise;
          }
          return (value as (...all: unknown[]) => unknown).call(of, key, ...more);
        };
      },
    });
  return { wrap, still: still.promise, goesOn };
}

test('a file that a server had made anew, and not put in its place when it died, is waited for and not given up', async () => {
  await owner.leased(60);
  const { wrap, still, goesOn } = standing();
  const dying = await owner.begin(wrap);
  await dying.order(appid, recording.sid, { uid: '7', keys: STUB_KEYS }, 'customer');
  onTestFinished(() => goesOn.reject(new Error('the test is over')));
  await still;
  expect(speakers()).toBeUndefined();
  await owner.leased(-10);

  await other.leased(60);
  const removals = await other.begin();
  await until(removals, { state: 'removing', error: expect.stringContaining('owner alone has') });
  expect(await isListed()).toBe('stored');
  await owner.leased(60);
  nowMs += 3_600_000;
  await until(await owner.begin(), { state: 'removed', error: null });
  expect([speakers(), await isListed()]).toEqual(['77\n', 'stored']);
});

test('one that is gone for a week is waited for no more, and what it had is told to be gone', async () => {
  const { wrap, still, goesOn } = standing();
  const dying = await owner.begin(wrap);
  await dying.order(appid, recording.sid, { uid: '7', keys: STUB_KEYS }, 'customer');
  onTestFinished(() => goesOn.reject(new Error('the test is over')));
  await still;
  await owner.leased(-8 * 86_400);
  await other.leased(60);
  const removals = await other.begin();
  await until(removals, { state: 'removed' });
  const { files } = await told(removals);
  expect(files.find(({ name }) => name === recording.speakers)).toMatchObject({ outcome: 'gone' });
});

test('a server that is back leaves a removal to the one that is at work on it', async () => {
  await owner.leased(-10);
  await other.leased(60);
  const { wrap, still, goesOn } = standing();
  const working = await other.begin(wrap);
  await working.order(appid, recording.sid, { uid: '7', keys: STUB_KEYS }, 'customer');
  await still;
  await owner.leased(60);
  const back = await owner.begin();
  const asked = stub.requests.length;
  await back.order(appid, recording.sid, { uid: '7', keys: STUB_KEYS }, 'customer');
  await back.look();
  expect(await told(back)).toMatchObject({ state: 'removing', error: null });
  goesOn.resolve();
  await until(back, { state: 'removed' });
  expect([speakers(), await isListed()]).toEqual(['77\n', 'stored']);
  // Each file was read by one of them alone.
  const read = stub.actions().filter((action, n) => n >= asked && action.startsWith('GetObject'));
  expect(read).toHaveLength(2);
});
