/** The queue of mixes over a real database: turns, restarts, giving up, calling off, and what keeps or removes MP4s. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { addRecording, beginOwner } from '../../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../../test/support/test-database.ts';
import type { MixCommand } from '../../contract/line/mix.ts';
import { placeOf, type StorageConfig, storageConfigSchema } from '../../contract/line/storage.ts';
import { problem } from '../../contract/problems.ts';
import { parseMix } from '../../contract/rest/mix.ts';
import { Fault } from '../../kernel/fault.ts';
import { newHexId } from '../../kernel/ids.ts';
import { createLog } from '../../observe/log.ts';
import type { PastTask } from '../../session/ports.ts';
import type { Database } from '../../store/database.ts';
import { MixTables } from '../../store/mix-tables.ts';
import { RetentionTables } from '../../store/retention-tables.ts';
import { Vault } from '../../store/vault.ts';
import type { QueuedRunOptions } from '../../worker/queued-runs.ts';
import type { WholeSource } from '../cut-sources.ts';
import { Mixes, type MixesOptions } from './mixes.ts';

const ZERO = Date.UTC(2026, 4, 4);
const HOUR_MS = 3_600_000;
const log = createLog('silent');
const vault = new Vault([Vault.newKey()]);
const STORE: StorageConfig = storageConfigSchema.parse({
  ...{ vendor: 11, region: 0, bucket: 'b', accessKey: 'a key', secretKey: 'a secret' },
  extensionParams: { endpoint: 'https://s3.example.com' },
});

let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
}, 60_000);
afterAll(() => database?.close());

/** A process that makes a mix, as the test has it end. */
type Making = {
  command: MixCommand;
  say(line: string): void;
  /** Writes an MP4, and ends well. */
  finish(content?: string): void;
  fail(fault: Fault): void;
};

let dir: string;
let appid: string;
let sid: string;
let clock: ManualClock;
let making: Making[];
/** Where the slices lie. */
let at: 'here' | 'in a store';
let fetched: StorageConfig | undefined;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-mixes-'));
  appid = newHexId();
  sid = await addRecording(database, appid);
  await database.query('update tasks set place = $2::jsonb where sid = $1', [sid, JSON.stringify(placeOf(STORE))]);
  clock = new ManualClock();
  making = [];
  at = 'here';
  fetched = undefined;
  for (const uid of ['1', '2']) writeFileSync(join(dir, `${uid}.ts`), `sound of ${uid}`);
  onTestFinished(async () => {
    await database.query('delete from mixes');
    rmSync(dir, { recursive: true, force: true });
  });
});

const gone = (why: string) => new Fault('mix-failed', why, { blame: 'self', retryable: true });

function run(command: object, { signal, onLine }: QueuedRunOptions): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const mixing = command as MixCommand;
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    making.push({
      command: mixing,
      say: (line) => onLine?.(line),
      finish(content = 'an MP4') {
        writeFileSync(join(mixing.dir, mixing.name), content);
        resolve([`bytes ${content.length}`]);
      },
      fail: reject,
    });
  });
}

function sourcesOf(): WholeSource[] {
  return ['1', '2'].map((uid) => ({
    file: {
      ...{ type: 'slice', name: `${uid}.ts`, playlist: `${uid}.m3u8`, index: 0, startUtcMs: ZERO, durationUs: 10e6 },
      ...{ bytes: 10, discontinuity: true, starts: [], rotations: [], owner: { uid, trackType: 'audio' } },
    },
    at: at === 'here' ? { path: join(dir, `${uid}.ts`) } : { key: `k/${uid}.ts` },
  }));
}

const past = (changes: object = {}, plan: object = { mode: 'individual' }) =>
  ({
    task: { sid, appid, cname: 'room', document: { plan } },
    ...{ place: undefined, state: { phase: 'ended', zeroUtcMs: ZERO, ...changes }, endedMs: 1, quality: undefined },
  }) as unknown as PastTask;

type Options = Partial<MixesOptions> & { folder?: string; inFleet?: boolean };
async function begin({ folder = 'ours', inFleet = false, ...options }: Options = {}): Promise<Mixes> {
  const mixes = new Mixes({
    tables: new MixTables({ database, vault, folder, inFleet }),
    dir: join(dir, folder),
    runs: { run },
    sources: {
      whole: async () => sourcesOf(),
      storageOf: (_sid, _place, keys) => {
        if (!keys) throw problem('cut-impossible', 'the keys of its store are forgotten: give them as keys');
        return { ...STORE, ...keys } as StorageConfig;
      },
      fetchFrom: async (_sid, storage) => {
        fetched = storage;
        return {
          async fetch(name, _at, path) {
            if (name === '2.ts' && at === 'in a store')
              throw new Fault('object-missing', 'it is gone', { blame: 'destination' });
            writeFileSync(path, `fetched ${name}`);
          },
          close() {},
        };
      },
    },
    find: async () => past(),
    ...{ reserveBytes: 0, parallel: 1, keepMs: 24 * HOUR_MS, totalBytes: 1e9, clock, log },
    ...options,
  });
  await mixes.start();
  onTestFinished(() => mixes.close());
  return mixes;
}
const ask = (mixes: Mixes, body: object = {}) => mixes.begin(appid, sid, parseMix(body));
const stateOf = async (mixes: Mixes, mixId: string) => (await mixes.of(appid, sid, mixId)).state;
/** Waits for the nth process that was ever begun. */
const nth = (n: number) => vi.waitFor(() => making[n - 1] ?? expect.fail(`process ${n} is not there`));
const becomes = (mixes: Mixes, mixId: string, state: string) =>
  vi.waitFor(async () => expect(await stateOf(mixes, mixId)).toBe(state));

test('one is made after the other, each by a process that is told what to make', async () => {
  const mixes = await begin();
  const first = await ask(mixes, { users: ['1'], from: 2, to: 7, transcodingConfig: { mixedVideoLayout: 1 } });
  expect(first).toMatchObject({ sid, users: ['1'], from: 2, to: 7, bytes: null, file: null, error: null });
  const second = await ask(mixes);
  const { command, say, finish } = await nth(1);
  expect(command).toMatchObject({
    uids: ['1'],
    fromUs: 2e6,
    toUs: 7e6,
    missing: [],
    video: { layout: { kind: 'bestFit' } },
  });
  expect(readFileSync(join(command.slicesDir, '1.ts'), 'utf8')).toBe('sound of 1');
  say('progress 0.25');
  say('problem 3 pictures of user 1 are damaged and were left out');
  clock.advance(1000);
  await vi.waitFor(async () => expect((await mixes.of(appid, sid, first.mixId)).progress).toBe(0.25));
  expect(await stateOf(mixes, second.mixId)).toBe('queued');
  expect(making).toHaveLength(1);
  expect(await mixes.counts()).toEqual({ queued: 1, running: 1 });
  finish('the first MP4');
  await nth(2);
  const done = await mixes.of(appid, sid, first.mixId);
  expect(done).toMatchObject({
    ...{ state: 'done', progress: 1, bytes: 13, attempts: 1, error: null },
    file: `/v1/apps/${appid}/aircheck/recordings/${sid}/mixes/${first.mixId}/file`,
    warnings: ['3 pictures of user 1 are damaged and were left out'],
    expiresMs: clock.nowMs() + 24 * HOUR_MS,
  });
  const { path, name } = await mixes.file(appid, sid, first.mixId);
  expect([readFileSync(path, 'utf8'), name]).toEqual(['the first MP4', `${sid}_mix_2.000-7.000.mp4`]);
  expect((await mixes.list(appid, sid)).mixes.map(({ mixId }) => mixId)).toEqual([second.mixId, first.mixId]);
  await expect(mixes.file(appid, sid, second.mixId)).rejects.toThrow('the mix is not done');
  (await nth(2)).finish();
  await becomes(mixes, second.mixId, 'done');
  expect(readdirSync(join(dir, 'ours')).sort()).toEqual([`${first.mixId}.mp4`, `${second.mixId}.mp4`].sort());
});

test('a mix whose process was ended is begun anew, three times at most', async () => {
  const mixes = await begin();
  const { mixId } = await ask(mixes);
  for (const attempt of [1, 2]) {
    (await nth(attempt)).fail(gone('its process was ended by SIGKILL'));
    await becomes(mixes, mixId, 'queued');
    expect(await mixes.of(appid, sid, mixId)).toMatchObject({
      attempts: attempt,
      error: 'its process was ended by SIGKILL',
    });
    clock.advance(5_000 * attempt);
  }
  (await nth(3)).fail(gone('its process was ended by SIGKILL'));
  await becomes(mixes, mixId, 'failed');
  expect((await mixes.of(appid, sid, mixId)).error).toBe('it was begun 3 times: its process was ended by SIGKILL');
  await expect(mixes.file(appid, sid, mixId)).rejects.toThrow('the mix failed: it was begun 3 times');
  expect(readdirSync(join(dir, 'ours'))).toEqual([]);
});

test('one that says why it cannot be made is not begun again', async () => {
  const mixes = await begin();
  const { mixId } = await ask(mixes);
  (await nth(1)).fail(new Fault('mix-failed', 'the encoder says no', { blame: 'self' }));
  await becomes(mixes, mixId, 'failed');
  expect(await mixes.of(appid, sid, mixId)).toMatchObject({ error: 'the encoder says no', attempts: 1 });
});

test('what a server was making when it died is begun anew by the next, and what waited waits in its order', async () => {
  const dead = await begin();
  const first = await ask(dead);
  const second = await ask(dead);
  await nth(1);
  // What the dead one left half-made on the disk.
  mkdirSync(join(dir, 'ours', `${first.mixId}.1`), { recursive: true });
  const next = await begin();
  await nth(2);
  expect(readdirSync(join(dir, 'ours'))).toEqual([`${first.mixId}.2`]);
  expect(await next.of(appid, sid, first.mixId)).toMatchObject({ attempts: 2, error: 'the server that made it ended' });
  (await nth(2)).finish('made anew');
  await becomes(next, first.mixId, 'done');
  expect(readFileSync((await next.file(appid, sid, first.mixId)).path, 'utf8')).toBe('made anew');
  (await nth(3)).finish();
  await becomes(next, second.mixId, 'done');
});

test('a server that dies each time does not make the others wait for ever', async () => {
  let mixes = await begin();
  const { mixId } = await ask(mixes);
  for (const n of [1, 2, 3]) {
    await nth(n);
    mixes = await begin();
  }
  await becomes(mixes, mixId, 'failed');
  expect((await mixes.of(appid, sid, mixId)).error).toBe('it was begun 3 times: the server that made it ended');
});

test('a server that ends in order puts back what it makes, and that counts as no attempt', async () => {
  const ending = await begin();
  const { mixId } = await ask(ending);
  await nth(1);
  await ending.close();
  const next = await begin();
  await nth(2);
  expect(await next.of(appid, sid, mixId)).toMatchObject({ state: 'running', attempts: 1 });
});

test('one that is called off ends its process, and leaves nothing', async () => {
  const mixes = await begin();
  const first = await ask(mixes);
  const second = await ask(mixes);
  await nth(1);
  await mixes.remove(appid, sid, second.mixId);
  await mixes.remove(appid, sid, first.mixId);
  expect(await mixes.list(appid, sid)).toEqual({ mixes: [] });
  await expect(mixes.remove(appid, sid, first.mixId)).rejects.toThrow('no such mix');
  expect(readdirSync(join(dir, 'ours'))).toEqual([]);
  // The next has its turn.
  const { mixId } = await ask(mixes);
  (await nth(2)).finish();
  await becomes(mixes, mixId, 'done');
  await mixes.remove(appid, sid, mixId);
  expect(readdirSync(join(dir, 'ours'))).toEqual([]);
});

test('an MP4 is removed when its hours are over, unless its recording is under a legal hold', async () => {
  const mixes = await begin();
  const { mixId } = await ask(mixes);
  (await nth(1)).finish();
  await becomes(mixes, mixId, 'done');
  const retentions = new RetentionTables({ database, vault, folder: 'ours', inFleet: false });
  await retentions.hold(sid, { by: 'x', byOperator: false, reason: undefined, nowMs: clock.nowMs() });
  expect((await mixes.of(appid, sid, mixId)).expiresMs).toBeNull();
  clock.advance(25 * HOUR_MS);
  await mixes.look();
  expect(readdirSync(join(dir, 'ours'))).toEqual([`${mixId}.mp4`]);
  await expect(mixes.remove(appid, sid, mixId)).rejects.toThrow('under a legal hold');
  await retentions.release(sid, { by: 'x', byOperator: false, nowMs: clock.nowMs() });
  await mixes.look();
  expect(readdirSync(join(dir, 'ours'))).toEqual([]);
  await expect(mixes.of(appid, sid, mixId)).rejects.toThrow('no such mix');
});

test('the mixes of a recording go with its files, also one that is being made', async () => {
  const mixes = await begin();
  const kept = await ask(mixes);
  (await nth(1)).finish();
  await becomes(mixes, kept.mixId, 'done');
  await ask(mixes);
  await nth(2);
  const retentions = new RetentionTables({ database, vault, folder: 'ours', inFleet: false });
  await retentions.setDue(sid, { storage: undefined, by: 'x', nowMs: clock.nowMs() });
  await retentions.ended({ sid, isOwn: true }, clock.nowMs());
  expect(await mixes.list(appid, sid)).toEqual({ mixes: [] });
  await mixes.look();
  await vi.waitFor(() => expect(readdirSync(join(dir, 'ours'))).toEqual([]));
  await expect(ask(mixes)).rejects.toThrow('nothing of the recording is stored any more');
});

test('more than may be kept is refused, with how much there is', async () => {
  // 10 s of 128 kbit/s and of the picture of 2765.
  const mixes = await begin({ totalBytes: 5_000_000 });
  await ask(mixes);
  await expect(ask(mixes)).rejects.toThrow('may take 5 MB (mixTotalMb): they take 4 MB, and this one up to 4 MB');
  await ask(mixes, { streamTypes: 0 });
});

test('what cannot be mixed is told at once', async () => {
  const running = await begin({ find: async () => past({ phase: 'recording' }) });
  await expect(ask(running)).rejects.toThrow('it can be mixed once it has ended');
  const composite = await begin({ find: async () => past({}, { mode: 'mix' }) });
  await expect(ask(composite)).rejects.toThrow('only a recording of single users can be mixed');
  const neverBegan = await begin({ find: async () => past({ zeroUtcMs: undefined }) });
  await expect(ask(neverBegan)).rejects.toThrow('nothing of the recording is stored any more');
});

test('slices in a store are brought with the keys that were given, which are kept sealed and no longer than needed', async () => {
  at = 'in a store';
  const mixes = await begin();
  await expect(ask(mixes)).rejects.toThrow('give them as keys');
  const { mixId, request } = await ask(mixes, { keys: { accessKey: 'AK', secretKey: 'a word that is secret' } });
  expect(request).not.toHaveProperty('keys');
  const rowOf = async () => (await database.query('select * from mixes where mix_id = $1', [mixId]))[0]!;
  expect(JSON.stringify(await rowOf())).not.toContain('a word that is secret');
  const { command, finish } = await nth(1);
  expect(fetched).toMatchObject({ bucket: 'b', accessKey: 'AK', secretKey: 'a word that is secret' });
  expect(readFileSync(join(command.slicesDir, '1.ts'), 'utf8')).toBe('fetched 1.ts');
  // The other is gone from the store: the mix goes on without it, and says so.
  expect(command.missing).toEqual(['2.ts']);
  finish();
  await becomes(mixes, mixId, 'done');
  expect((await mixes.of(appid, sid, mixId)).warnings).toEqual([expect.stringMatching(/missing.*: 2\.ts$/)]);
  expect((await rowOf())['storage']).toBeNull();
});

test('of a fleet the node makes a mix that was asked; when it is gone another does, and one alone', async () => {
  at = 'in a store';
  const folder = newHexId();
  const owner = await beginOwner(database, { folder });
  const keys = { accessKey: 'AK', secretKey: 'SK' };
  const asked = await begin({ folder, inFleet: true });
  const { mixId } = await ask(asked, { keys });
  await nth(1);
  const node = async () => {
    const { folder: its } = await beginOwner(database);
    return begin({ folder: its, inFleet: true });
  };
  const [one, other] = [await node(), await node()];
  expect(making).toHaveLength(1);
  // Any node tells of it; the MP4 is where it is made.
  expect(await stateOf(one, mixId)).toBe('running');
  await owner.close();
  await Promise.all([one.look(), other.look()]);
  const { finish } = await nth(2);
  expect(making).toHaveLength(2);
  // The one that was taken for gone learns of it, and gives up.
  clock.advance(1000);
  finish('by another node');
  await becomes(asked, mixId, 'done');
  expect(await asked.of(appid, sid, mixId)).toMatchObject({ attempts: 2, error: null });
  const has = await Promise.allSettled([one, other].map((each) => each.file(appid, sid, mixId)));
  expect(has.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  await expect(asked.file(appid, sid, mixId)).rejects.toThrow('the node that has the MP4 of this mix is away');
});
