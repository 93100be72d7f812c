import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type RecordingOfTwo, recordTwo } from '../../test/support/recording-of-two.ts';
import { startRemovals } from '../../test/support/removals-scene.ts';
import { refuse, S3Stub, STUB_KEYS } from '../../test/support/s3-stub.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { manifestSchema } from '../contract/line/manifest.ts';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { RemovalReply } from '../contract/rest/removal.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { readSpool } from '../stages/spool/journal.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { createTarget } from '../stages/upload/target/create-target.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import type { Target } from '../stages/upload/target/target.ts';
import type { Database } from '../store/database.ts';
import { OutboxTables } from '../store/outbox-tables.ts';
import { RemovalTables } from '../store/removal-tables.ts';
import { RetentionTables } from '../store/retention-tables.ts';
import { StoredFiles } from '../store/stored-files.ts';
import { Vault } from '../store/vault.ts';
import type { Removals } from './removals.ts';

const vault = new Vault([Vault.newKey()]);
const BY = 'customer';
let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
}, 60_000);
afterAll(() => database?.close());

let dir: string;
let stub: S3Stub;
let backup: BackupStore;
let appid: string;
let nowMs: number;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-removals-'));
  stub = await S3Stub.start({ versions: true });
  backup = new BackupStore(openLocalFolder('backup', dir));
  appid = newHexId();
  nowMs = 2_000;
  onTestFinished(async () => {
    rmSync(dir, { recursive: true, force: true });
    await stub.close().catch(() => {});
  });
});
// Looks are asked for by the tests.
const clock: Clock = { ...systemClock, nowMs: () => nowMs, every: () => ({ cancel() {} }) };
const local = (): StorageConfig => ({ ...stub.storage(), vendor: 1000, bucket: 'bucket', extensionParams: undefined });
const openTarget = (storage: StorageConfig) => createTarget(storage, { localStorageDir: join(dir, 'recordings') });
const keys = STUB_KEYS;

/** @param twice every file was stored twice: its bucket keeps versions */
async function recorded(storage = stub.storage(), twice = false): Promise<RecordingOfTwo> {
  const target = await openTarget(storage);
  const recording = await recordTwo({ database, vault, appid, storage, target, spoolDir: join(dir, 'spool') });
  if (twice)
    for (const [name, content] of recording.contents)
      await target.put(`${recording.sid}/${name}`, { data: Buffer.from(content) }, 'text/plain');
  target.close();
  return recording;
}

type Begun = { removals: Removals; forgotten: string[]; list(sid: string): Promise<RemovalReply[]> };
/** @param wrap of each store that is opened */
async function begin(wrap = (target: Target) => target): Promise<Begun> {
  const { removals, forgotten } = await startRemovals({
    ...{ database, vault, dir, backup, clock },
    openTarget: async (storage) => wrap(await openTarget(storage)),
  });
  onTestFinished(() => removals.close());
  return { removals, forgotten, list: async (sid) => (await removals.list(appid, sid)).removals };
}
const until = ({ list }: Begun, sid: string, expected: Partial<RemovalReply>) =>
  vi.waitFor(async () => expect(await list(sid)).toMatchObject([expected]), { timeout: 20_000, interval: 20 });

/** What a store has of a recording now, by name. */
function stored({ sid }: RecordingOfTwo, kind: 'S3' | 'folder'): Map<string, string> {
  if (kind === 'S3')
    return new Map(
      [...stub.objects].flatMap(([key, { data }]) =>
        key.startsWith(sid) ? [[key.slice(sid.length + 1), data.toString()]] : [],
      ),
    );
  const folder = join(dir, 'recordings/bucket', sid);
  return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

/** Nothing of user 7 is anywhere, and everything of user 77 is as it was. */
async function expectRemoved(recording: RecordingOfTwo, kind: 'S3' | 'folder' = 'S3'): Promise<void> {
  const { sid, contents, namesOf, speakers, manifest, report } = recording;
  const left = stored(recording, kind);
  expect([...left.keys()].sort()).toEqual([...namesOf('77'), speakers, manifest, report].sort());
  for (const name of namesOf('77')) expect(left.get(name)).toBe(contents.get(name));
  expect(left.get(speakers)).toBe('77\n');
  const told = manifestSchema.parse(JSON.parse(left.get(manifest)!));
  for (const list of [told.users, told.slices, told.mp4s, told.snapshots])
    expect(new Set(list.map(({ uid }) => uid))).toEqual(new Set(['77']));
  expect(told.speakers).toMatchObject({ name: speakers, uids: ['77'], bytes: 3 });
  const quality = qualityReportSchema.parse(JSON.parse(left.get(report)!));
  expect(quality.participants.map(({ uid }) => uid)).toEqual(['77']);
  expect(quality.degraded.map(({ what }) => what)).toEqual(['files of user 77 lack something']);
  if (kind === 'S3') {
    const versions = [...stub.versions.values()].filter(({ key }) => key.startsWith(sid));
    expect(versions.filter(({ key }) => key.includes('__uid_s_7__'))).toEqual([]);
    // Of what was made anew there is the new version alone.
    for (const name of [speakers, manifest, report])
      expect(versions.filter(({ key }) => key === `${sid}/${name}`)).toMatchObject([
        { key: `${sid}/${name}`, isMarker: false },
      ]);
  }
  // The disk of the server.
  expect(existsSync(join(dir, 'removals')) ? readdirSync(join(dir, 'removals')) : []).toEqual([]);
  const run = join(dir, 'spool', sid, '1');
  const own = namesOf('77').filter((name) => !name.endsWith('.m3u8'));
  const torn = `${sid}_room__uid_s_77__uid_e_audio_20260101000000009.ts.part`;
  expect(readdirSync(run).sort()).toEqual([...own, torn, 'journal.ndjson'].sort());
  expect((await readSpool(run)).files.map(({ name }) => name).sort()).toEqual(own.sort());
  // What is known.
  const files = (await new StoredFiles(database).of(appid, sid))!.files;
  expect(files.map(({ name }) => name).sort()).toEqual([...left.keys()].sort());
  for (const { name, bytes, state } of files)
    expect([name, bytes, state]).toEqual([name, left.get(name)!.length, 'stored']);
  const [row] = await database.query(
    'select t.state, q.report from tasks t join quality_reports q using (sid) where sid = $1',
    [sid],
  );
  const state = row?.['state'] as { playlists: { key: string }[]; mp4s: { key: string }[] };
  expect([...state.playlists, ...state.mp4s].map(({ key }) => key.slice(sid.length + 1))).toEqual([
    ...[namesOf('77').find((name) => name.endsWith('.m3u8')), speakers],
    namesOf('77').find((name) => name.endsWith('.mp4')),
  ]);
  expect(qualityReportSchema.parse(row?.['report']).participants.map(({ uid }) => uid)).toEqual(['77']);
  const events = await new OutboxTables(database).list(appid, { sid, after: 0, limit: 100 });
  expect(events.map(({ notice }) => notice.eventType)).toEqual([40, 44, 4, 31]);
  expect(JSON.stringify(events)).not.toMatch(/__uid_s_7__|"streamUid":"7"|"uid":"7"/);
  expect(await database.query('select storage from removals where sid = $1', [sid])).toEqual([{ storage: null }]);
}

test.each(['S3', 'folder'] as const)('a person goes from %s, and of the others nothing', async (kind) => {
  const recording = await recorded(kind === 'S3' ? stub.storage() : local(), kind === 'S3');
  const { sid, namesOf, contents, speakers } = recording;
  for (const name of [...namesOf('7').slice(0, 1), ...namesOf('77').slice(0, 1)])
    await backup.put(sid, name, { data: Buffer.from('copy') }, 'text/plain');
  for (const uid of ['7', '77'])
    await database.query(
      `insert into mixes (mix_id, appid, sid, folder, request, users, from_s, to_s, bytes, created_ms)
       values ($1, $2, $3, 'ours', '{}', $4::json, 0, 1, 1, 1)`,
      [`${sid}.${uid}`, appid, sid, JSON.stringify([uid, '777'])],
    );
  const begun = await begin();
  const preview = await begun.removals.preview(appid, sid, '7');
  expect(preview).toMatchObject({ needsKeys: kind === 'S3' });
  expect(
    preview.files
      .filter(({ act }) => act === 'delete')
      .map(({ name }) => name)
      .sort(),
  ).toEqual(namesOf('7').sort());
  expect(stored(recording, kind)).toEqual(contents);
  const given = kind === 'S3' ? { keys } : {};
  expect(await begun.removals.order(appid, sid, { uid: '7', ...given }, BY)).toMatchObject({ uid: '7', askedBy: BY });
  await until(begun, sid, { state: 'removed', doneMs: nowMs, error: null });
  await expectRemoved(recording, kind);
  expect(readdirSync(join(dir, 'backup', sid))).toEqual(namesOf('77').slice(0, 1));
  expect(begun.forgotten).toContain(sid);
  expect(await database.query('select users from mixes where sid = $1', [sid])).toEqual([{ users: ['77', '777'] }]);
  // The record tells what went, and goes on telling it; asking again changes nothing.
  const [record] = await begun.list(sid);
  const versions = kind === 'S3' ? 2 : null;
  const gone = record!.files.filter(({ act }) => act === 'delete');
  expect(gone.map(({ name }) => name).sort()).toEqual(namesOf('7').sort());
  for (const { name, bytes, ...file } of gone)
    expect([bytes, file]).toEqual([
      contents.get(name)!.length,
      expect.objectContaining({ outcome: 'deleted', versions }),
    ]);
  expect(record!.files.find(({ name }) => name === speakers)).toMatchObject({
    ...{ act: 'rewrite', outcome: 'rewritten', bytes: 5, newBytes: 3, versions },
  });
  // Four files of the spool and what was torn, and three of everybody.
  expect(record!.servers).toMatchObject([{ folder: 'ours', files: 8 }]);
  stub.requests.length = 0;
  expect(await begun.removals.order(appid, sid, { uid: '7' }, 'another')).toEqual(record);
  expect(stub.requests).toEqual([]);
});

test('a second person goes as well, and with the last one the file of speakers', async () => {
  const recording = await recorded(local());
  const { sid, speakers, manifest, report } = recording;
  const begun = await begin();
  for (const uid of ['7', '77']) await begun.removals.order(appid, sid, { uid }, BY);
  await vi.waitFor(
    async () => expect((await begun.list(sid)).map(({ state }) => state)).toEqual(['removed', 'removed']),
    { timeout: 20_000, interval: 20 },
  );
  expect([...stored(recording, 'folder').keys()].sort()).toEqual([manifest, report].sort());
  const told = manifestSchema.parse(JSON.parse(stored(recording, 'folder').get(manifest)!));
  expect([told.users, told.speakers]).toEqual([[], undefined]);
  const [, second] = await begun.list(sid);
  expect(second!.files.find(({ name }) => name === speakers)).toMatchObject({
    outcome: 'deleted',
    details: 'nobody else is in it',
  });
  // It is told of as any file that was deleted, and retention as ever.
  const files = (await new StoredFiles(database).of(appid, sid))!.files;
  expect(files.find(({ name }) => name === speakers)).toMatchObject({ state: 'deleted', deletedMs: nowMs });
  const retention = await new RetentionTables({ database, vault, folder: 'ours', inFleet: false }).of(appid, sid);
  expect(retention).toMatchObject({ state: 'kept', files: 0 });
});

describe('a server that is killed', () => {
  /** A store that stands still before or after a call, so that whoever calls it never learns what became of it. */
  const standing =
    (
      at: (call: string, key: string) => 'before' | 'after' | undefined,
      onStill: () => void,
      over: { promise: Promise<never> },
    ) =>
    (target: Target) =>
      new Proxy(target, {
        get(of, name: keyof Target) {
          const value = of[name];
          if (typeof value !== 'function') return value;
          return async (key: string, ...more: unknown[]) => {
            const when = at(name, key);
            if (when !== 'before') {
              const result = await (value as (...all: unknown[]) => unknown).call(of, key, ...more);
              if (when === undefined) return result;
            }
            onStill();
            // For ever, as far as this server is concerned: the test ends it.
            return over.promise;
          };
        },
      });
  test.each([
    ['with the first file of the person gone, and not noted', 'erase', /\.m3u8$/, 'after'],
    ['with the file of speakers gone, and the new one not stored', 'put', /_speakers\.mka$/, 'before'],
    ['with the new file of speakers stored, and not noted', 'put', /_speakers\.mka$/, 'after'],
    ['before the manifest is read', 'fetch', /_manifest\.json$/, 'before'],
  ] as const)('%s, is followed by one that goes on', async (_what, call, name, when) => {
    const recording = await recorded();
    const { sid } = recording;
    const still = Promise.withResolvers<void>();
    const over = Promise.withResolvers<never>();
    const at = (what: string, key: string) => (what === call && name.test(key) ? when : undefined);
    const killed = await begin(standing(at, still.resolve, over));
    await killed.removals.order(appid, sid, { uid: '7', keys }, BY);
    onTestFinished(() => over.reject(new Error('the test is over')));
    await still.promise;
    expect(await killed.list(sid)).toMatchObject([{ state: 'removing' }]);
    await until(await begin(), sid, { state: 'removed' });
    await expectRemoved(recording);
  });
});

describe('a legal hold', () => {
  const retentions = () => new RetentionTables({ database, vault, folder: 'ours', inFleet: false });
  const hold = (sid: string) => retentions().hold(sid, { by: 'operator', byOperator: true, reason: 'case 117', nowMs });

  test('keeps the person there, and says why', async () => {
    const recording = await recorded(local());
    const begun = await begin();
    await hold(recording.sid);
    const refused = { code: 'removal-refused', message: expect.stringContaining('case 117') };
    await expect(begun.removals.order(appid, recording.sid, { uid: '7' }, BY)).rejects.toMatchObject(refused);
    await expect(begun.removals.preview(appid, recording.sid, '7')).rejects.toMatchObject(refused);
    expect(stored(recording, 'folder')).toEqual(recording.contents);
    expect(await begun.list(recording.sid)).toEqual([]);
  });

  test('that comes in the middle keeps the rest until it is lifted', async () => {
    const recording = await recorded();
    const { sid, speakers } = recording;
    let held: Promise<unknown> | undefined;
    stub.interfere = async ({ action, key }) => {
      if (action === 'GetObject' && key.endsWith(speakers)) held ??= hold(sid);
      await held;
      return undefined;
    };
    const begun = await begin();
    await begun.removals.order(appid, sid, { uid: '7', keys }, BY);
    await until(begun, sid, { state: 'held', doneMs: null });
    await begun.removals.look();
    expect(stored(recording, 'S3').get(speakers)).toBe(recording.contents.get(speakers));
    // It can still be had.
    expect(await new StoredFiles(database).find(appid, sid, speakers)).toBeDefined();
    await retentions().release(sid, { by: 'operator', byOperator: true, nowMs });
    await begun.removals.look();
    await until(begun, sid, { state: 'removed' });
    await expectRemoved(recording);
  });
});

test('a store that locks what it has is told of, the others lose nothing, and it goes on later', async () => {
  const recording = await recorded();
  const { sid, namesOf, speakers } = recording;
  for (const version of stub.versions.values())
    if (/__uid_s_7__.*\.ts$|_speakers/.test(version.key)) version.isLocked = true;
  const begun = await begin();
  await begun.removals.order(appid, sid, { uid: '7', keys }, BY);
  await until(begun, sid, { state: 'removing', nextTryMs: nowMs + 86_400_000, error: expect.any(String) });
  const outcomes = (await begun.list(sid))[0]!.files.filter(({ outcome }) => outcome === null);
  expect(outcomes.map(({ name }) => name).sort()).toEqual(
    [...namesOf('7').filter((n) => n.endsWith('.ts')), speakers].sort(),
  );
  expect(stored(recording, 'S3').get(speakers)).toBe('77\n');
  for (const version of stub.versions.values()) version.isLocked = false;
  nowMs += 86_400_000;
  await begun.removals.look();
  await until(begun, sid, { state: 'removed', error: null });
  await expectRemoved(recording);
});

test('what was made anew and could not be stored is what the next person is taken out of', async () => {
  const recording = await recorded();
  const { sid, speakers, manifest, report } = recording;
  let isAway = true;
  stub.interfere = ({ method, key }, response) => {
    if (!isAway || method !== 'PUT' || !key.endsWith(speakers)) return undefined;
    refuse(response, 403, 'AccessDenied', 'No.');
    return true;
  };
  const begun = await begin();
  await begun.removals.order(appid, sid, { uid: '7', keys }, BY);
  await until(begun, sid, { state: 'removing', error: expect.stringContaining('AccessDenied') });
  // The old one is gone, and the new one is with the server alone.
  expect(stored(recording, 'S3').has(speakers)).toBe(false);
  isAway = false;
  await begun.removals.order(appid, sid, { uid: '77', keys }, BY);
  const states = async () => (await begun.list(sid)).map(({ state }) => state);
  await vi.waitFor(async () => expect(await states()).toEqual(['removing', 'removed']), { timeout: 20_000 });
  nowMs += 86_400_000;
  await begun.removals.look();
  await vi.waitFor(async () => expect(await states()).toEqual(['removed', 'removed']), { timeout: 20_000 });
  expect([...stored(recording, 'S3').keys()].sort()).toEqual([manifest, report].sort());
  expect(readdirSync(join(dir, 'removals'))).toEqual([]);
});

test('a folder that is not there, as while its disk is not mounted, is waited for', async () => {
  const recording = await recorded(local());
  const { sid } = recording;
  const [there, away] = [join(dir, 'recordings/bucket'), join(dir, 'recordings/away')];
  renameSync(there, away);
  const begun = await begin();
  await begun.removals.order(appid, sid, { uid: '7' }, BY);
  await until(begun, sid, { state: 'removing', error: expect.stringContaining('is not there') });
  renameSync(away, there);
  expect(stored(recording, 'folder')).toEqual(recording.contents);
  nowMs += 3_600_000;
  await begun.removals.look();
  await until(begun, sid, { state: 'removed' });
  await expectRemoved(recording, 'folder');
});

test('a server that another went on for clears what it had made, and mixes that it began meanwhile', async () => {
  const { sid } = await recorded(local());
  await database.query(
    `insert into removals (sid, uid, asked_ms, asked_by, done_ms) values ($1, '7', 1, 'customer', 2)`,
    [sid],
  );
  await database.query(
    `insert into mixes (mix_id, appid, sid, folder, request, users, from_s, to_s, bytes, created_ms)
     values ($1, $2, $1, 'ours', '{}', '["7"]', 0, 1, 1, 1)`,
    [sid, appid],
  );
  const made = join(dir, 'removals', sid);
  mkdirSync(made, { recursive: true });
  writeFileSync(join(made, 'x_speakers.mka'), '77\n');
  const { removals, list } = await begin();
  await removals.look();
  expect((await list(sid))[0]!.servers).toMatchObject([{ folder: 'ours' }]);
  expect(readdirSync(join(dir, 'removals'))).toEqual([]);
  expect(await database.query('select 1 from mixes where sid = $1', [sid])).toEqual([]);
});

test('files whose days are over are deleted once nobody is being removed any more', async () => {
  const recording = await recorded(local());
  const { sid } = recording;
  const retentions = new RetentionTables({ database, vault, folder: 'ours', inFleet: false });
  const tables = new RemovalTables({ database, vault, folder: 'ours', inFleet: false });
  expect(await tables.order(sid, '7', { storage: local(), by: BY, nowMs })).toBeUndefined();
  await retentions.setDue(sid, { storage: local(), by: BY, nowMs });
  expect(await retentions.due(nowMs, 100)).not.toContain(sid);
  expect(await retentions.begin(sid, [recording.speakers], nowMs)).toBe(false);
  await until(await begin(), sid, { state: 'removed' });
  expect(await retentions.due(nowMs, 100)).toContain(sid);
  expect(await tables.order(sid, '77', { storage: undefined, by: BY, nowMs })).toBe('deleting');
});

test.each([
  ['removal-impossible', 'a composite', `update tasks set mode = 'mix' where sid = $1`, 'mixed into the same picture'],
  ['removal-refused', 'one that runs', 'update tasks set ended_ms = null where sid = $1', 'not ended'],
  [
    'removal-refused',
    'one with files on their way',
    `update objects set state = 'waiting' where sid = $1`,
    'not in their store',
  ],
  [
    'removal-impossible',
    'one whose files are deleted',
    'insert into retentions (sid, deleted_ms) values ($1, 1)',
    'deleted already',
  ],
  [
    'removal-impossible',
    'one whose place is unknown',
    'update tasks set place = null where sid = $1',
    'earlier version',
  ],
])('%s: nobody is removed from %s', async (code, _what, change, words) => {
  const recording = await recorded(local());
  await database.query(change, [recording.sid]);
  const begun = await begin();
  const refused = { code, message: expect.stringContaining(words) };
  await expect(begun.removals.preview(appid, recording.sid, '7')).rejects.toMatchObject(refused);
  await expect(begun.removals.order(appid, recording.sid, { uid: '7' }, BY)).rejects.toMatchObject(refused);
  expect(await begun.list(recording.sid)).toEqual([]);
  expect(stored(recording, 'folder')).toEqual(recording.contents);
});

test('who is unknown, and what is of others, is not removed; keys must be known', async () => {
  const { sid } = await recorded();
  const { removals } = await begin();
  const order = (uid: string, of = sid, app = appid) => removals.order(app, of, { uid }, BY);
  await expect(order('8')).rejects.toMatchObject({ code: 'person-unknown' });
  await expect(order('7', 'f'.repeat(32))).rejects.toMatchObject({ code: 'recording-unknown' });
  await expect(order('7', sid, 'another')).rejects.toMatchObject({ code: 'recording-unknown' });
  await expect(removals.list('another', sid)).rejects.toMatchObject({ code: 'recording-unknown' });
  await expect(order('7')).rejects.toMatchObject({
    code: 'removal-impossible',
    message: expect.stringContaining('keys'),
  });
});

test('another server of the fleet clears its own disk', async () => {
  const recording = await recorded(local());
  const { sid } = recording;
  const begun = await begin();
  await begun.removals.order(appid, sid, { uid: '7' }, BY);
  await until(begun, sid, { state: 'removed' });
  const theirs = new RemovalTables({ database, vault, folder: `theirs-${sid}`, inFleet: true });
  expect(await theirs.uncleared(1000)).toContainEqual({ sid, uid: '7' });
  expect(await theirs.due(nowMs, 1000)).not.toContain(sid);
  await theirs.cleared(sid, '7', 2, nowMs);
  expect(await theirs.uncleared(1000)).not.toContainEqual({ sid, uid: '7' });
});
