/**
 * Stores that fail in every way we know of while a recording is stored; afterwards what they have is compared with the
 * spool, object by object, and with the ledger.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { refuse, S3Stub, type StubRequest } from '../../../test/support/s3-stub.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { memoryLedger } from './ledger.ts';
import { RecordingUpload, type UploadEvent } from './recording-upload.ts';
import { openS3 } from './target/s3.ts';
import type { Target } from './target/target.ts';

const PART = 64 * 1024;
const SLICES = 4;
const SOON = { timeout: 15_000 };
const fasterBy = (times: number): Clock => ({
  ...systemClock,
  monoUs: () => systemClock.monoUs() * times,
  after: (delayMs, run) => systemClock.after(delayMs / times, run),
});
/** Pauses and time-outs of minutes take a second; an attempt still has some. */
const quick = fasterBy(50);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-failures-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});

/** Slices and an MP4 of many parts, on the spool. */
function spoolRecording(): SpooledFile[] {
  const write = (name: string, bytes: number) => {
    writeFileSync(join(dir, name), randomBytes(bytes));
    return { name, bytes };
  };
  const slices = Array.from({ length: SLICES }, (_, index): SpooledFile => {
    const place = { index, startUtcMs: index * 15_000, durationUs: 15_000_000, discontinuity: false };
    const more = { playlist: 'x.m3u8', starts: [], rotations: [] };
    return { type: 'slice', ...write(`x_${index}.ts`, 40_000 + index), ...place, ...more };
  });
  const mp4 = { type: 'mp4', index: 0, startUtcMs: 0, durationUs: 60_000_000 } as const;
  return [...slices, { ...mp4, ...write('x_0.mp4', 6 * PART + 11) }];
}

async function setUp(clock = quick) {
  const stub = await S3Stub.start();
  const events: UploadEvent[] = [];
  const ledger = memoryLedger();
  const files = spoolRecording();
  const targets: Target[] = [];
  const storage = stub.storage();
  onTestFinished(async () => {
    for (const target of targets) target.close();
    await stub.close();
  });
  /** A server that begins to store the recording, with what the one before has kept. */
  const begin = () => {
    const target = openS3(storage, { clock, partBytes: PART, idleTimeoutMs: 300 });
    targets.push(target);
    return new RecordingUpload({
      ...{ target, ledger, prefix: ['p'], clock },
      renderIndex: (_name, rows) =>
        rows
          .flat()
          .map(({ name }) => name)
          .join('\n'),
      log: { info() {}, warn() {} },
      onEvent: (event) => events.push(event),
    });
  };
  const compare = (at = stub) => {
    for (const { name, bytes } of files) {
      const data = readFileSync(join(dir, name));
      expect(at.read(`p/${name}`).equals(data), name).toBe(true);
      expect(ledger.known(name), name).toMatchObject({ key: `p/${name}`, bytes, state: 'stored', evidence: 'digest' });
      if (bytes <= PART) expect(ledger.known(name)?.md5).toBe(createHash('md5').update(data).digest('hex'));
      expect(ledger.known(name)?.parts).toBeUndefined();
    }
    const names = Array.from({ length: SLICES }, (_, index) => `x_${index}.ts`);
    expect(at.read('p/x.m3u8').toString()).toBe(names.join('\n'));
    expect(ledger.known('x.m3u8')).toMatchObject({ state: 'stored', evidence: 'digest' });
    expect([...at.objects.keys()].sort()).toEqual(['p/x.m3u8', ...files.map(({ name }) => `p/${name}`)].sort());
  };
  return { stub, events, ledger, files, begin, compare };
}

type Answer = (response: ServerResponse, stub: S3Stub, key: string) => boolean;
const refusing =
  (status: number, code: string): Answer =>
  (response) => {
    refuse(response, status, code, 'away');
    return true;
  };

function refusing504(response: ServerResponse): void {
  refuse(response, 504, 'GatewayTimeout', 'away');
}

test.each<[string, Answer]>([
  ['answers 500', refusing(500, 'InternalError')],
  ['answers 503 SlowDown', refusing(503, 'SlowDown')],
  ['answers 403 until somebody corrects its policy', refusing(403, 'AccessDenied')],
  ['answers 404 until somebody makes the bucket', refusing(404, 'NoSuchBucket')],
  ['answers 400 BadDigest', refusing(400, 'BadDigest')],
  ['answers 507 until somebody makes room', refusing(507, 'InsufficientStorage')],
  [
    'answers a page of HTML',
    (response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>sign in</html>');
      return true;
    },
  ],
  ['hangs before a word', () => true],
  [
    'hangs in the middle of an answer',
    (response) => {
      response.writeHead(200, { 'content-length': 100 }).write('<');
      return true;
    },
  ],
  [
    'resets the connection in place of an answer',
    (response) => {
      response.destroy();
      return true;
    },
  ],
])('all of a recording reaches a store that %s to every third request', async (_what, answer) => {
  const { stub, files, begin, compare } = await setUp();
  let requests = 0;
  stub.interfere = ({ key }, response) => (requests++ % 3 === 1 ? answer(response, stub, key) : false);
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  const ending = upload.finish();
  await expect.poll(() => requests, SOON).toBeGreaterThan(12);
  // What waits for a person is looked at each minute; in the end everything is right.
  stub.interfere = undefined;
  expect(await ending).toMatchObject({ lost: [], backedUp: false, accepted: false });
  compare();
});

test('all of a recording reaches a store whose connections break in the middle of bodies', async () => {
  const { stub, files, begin, compare } = await setUp();
  let bytes = 0;
  stub.onData = (request, more) => {
    bytes += more;
    if (bytes < 2.5 * PART) return;
    bytes = 0;
    request.destroy();
  };
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  expect(await upload.finish()).toMatchObject({ lost: [] });
  compare();
});

test.each<[string, (response: ServerResponse) => void]>([
  ['without a word', () => undefined],
  ['after it broke the connection', (response) => void response.destroy()],
  ['after its gateway said 504', refusing504],
])('the last playlist stays although the store carries out an older put late, %s', async (_how, end) => {
  // What comes within some seconds is late here; on a busy machine a fiftieth of those is over too soon.
  const { stub, files, begin, compare } = await setUp(fasterBy(10));
  let held: StubRequest | undefined;
  let isLate = false;
  stub.interfere = (request, response) => {
    if (request.action === 'PutObject' && request.key === 'p/x.m3u8' && !held) {
      held = request;
      end(response);
      return true;
    }
    const has = stub.objects.get(request.key)?.data.toString().split('\n').length;
    // Soon after the final version is confirmed, the older one is carried out.
    if (held && request.action === 'HeadObject' && request.key === 'p/x.m3u8' && has === SLICES) {
      const { body } = held;
      const md5 = createHash('md5').update(body).digest('hex');
      systemClock.after(20, () => {
        if (!isLate) stub.objects.set('p/x.m3u8', { data: body, type: undefined, md5, parts: 0 });
        isLate = true;
      });
    }
    return false;
  };
  const upload = begin();
  for (const file of files.slice(0, 1)) upload.add(file, dir);
  await expect.poll(() => held, SOON).toBeDefined();
  for (const file of files.slice(1)) upload.add(file, dir);
  expect(await upload.finish()).toMatchObject({ lost: [] });
  expect(isLate).toBe(true);
  compare();
});

test('all of a recording follows its bucket to where a 307 says that it is', async () => {
  const { stub, files, begin, compare } = await setUp();
  const elsewhere = await S3Stub.start();
  onTestFinished(() => elsewhere.close());
  stub.interfere = ({ key }, response) => {
    response.writeHead(307, { location: `${elsewhere.url}/bucket/${key}` }).end();
    return true;
  };
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  expect(await upload.finish()).toMatchObject({ lost: [] });
  compare(elsewhere);
});

test.each<[string, (stub: S3Stub, key: string) => void]>([
  ['confirms objects that it does not keep', (stub, key) => void stub.objects.delete(key)],
  [
    'keeps less than it confirms',
    (stub, key) => {
      const object = stub.objects.get(key);
      if (object) object.data = object.data.subarray(1);
    },
  ],
])('all of a recording reaches a store that %s at first', async (_what, damage) => {
  const { stub, files, begin, compare } = await setUp();
  let damaged = 0;
  stub.interfere = ({ action, key }) => {
    if (action === 'HeadObject' && damaged++ < 8) damage(stub, key);
    return false;
  };
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  expect(await upload.finish()).toMatchObject({ lost: [] });
  expect(damaged).toBeGreaterThan(8);
  compare();
});

test('all of a recording reaches a store that answers with other ETags at first', async () => {
  const { stub, files, begin, compare, events } = await setUp();
  let wrong = 6;
  stub.dialect = { etag: (md5) => (wrong-- > 0 ? `"${'0'.repeat(32)}"` : `"${md5}"`) };
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  expect(await upload.finish()).toMatchObject({ lost: [] });
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'uploadFailed', fault: expect.objectContaining({ code: 'stored-bytes-differ' }) }),
  );
  compare();
});

test('a store that is dead for the whole recording has all of it when it is back after the end', async () => {
  const { stub, files, begin, compare } = await setUp();
  const { port } = stub;
  await stub.close();
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  const ending = upload.finish();
  await expect.poll(() => upload.state().fault?.message, SOON).toMatch(/ECONNREFUSED/);
  expect(upload.state().waiting).toBe(files.length);
  await stub.listen(port);
  expect(await ending).toMatchObject({ lost: [] });
  compare();
});

test('a store that comes back after a restart of the server has all of it, and nothing was sent twice', async () => {
  const { stub, files, ledger, begin, compare } = await setUp();
  const before = begin();
  for (const file of files.slice(0, 2)) before.add(file, dir);
  await expect.poll(() => ledger.known('x.m3u8')?.state, SOON).toBe('stored');
  await expect.poll(() => stub.actions().at(-1), SOON).toBe('HeadObject p/x.m3u8');
  const { port } = stub;
  await stub.close();
  for (const file of files.slice(2)) before.add(file, dir);
  await expect.poll(() => before.state().fault?.message, SOON).toMatch(/ECONN/);
  before.abort();
  stub.requests.length = 0;
  const after = begin();
  for (const file of files) after.add(file, dir);
  const ending = after.finish();
  await expect.poll(() => after.state().fault?.message, SOON).toMatch(/ECONN/);
  await stub.listen(port);
  expect(await ending).toMatchObject({ lost: [] });
  compare();
  const sent = stub.actions().filter((action) => action.startsWith('PutObject') && action.endsWith('.ts'));
  expect(sent.sort()).toEqual(['PutObject p/x_2.ts', 'PutObject p/x_3.ts']);
});

describe('parts of a file that nobody will put together are taken back', () => {
  /** A server that has sent some parts of the MP4 when it dies, and what the next one finds. */
  async function interrupted() {
    const set = await setUp();
    const { stub, files, begin, ledger } = set;
    const mp4 = files.find(({ type }) => type === 'mp4') as SpooledFile;
    stub.interfere = ({ action, query }) => action === 'Part' && Number(query.get('partNumber')) > 2;
    const first = begin();
    first.add(mp4, dir);
    await expect.poll(() => ledger.known(mp4.name)?.parts?.parts.length, SOON).toBe(2);
    first.abort();
    stub.interfere = undefined;
    expect(stub.unfinished).toEqual([`p/${mp4.name}`]);
    return { ...set, mp4 };
  }

  test('when it vanishes from the spool', async () => {
    const { stub, begin, mp4, ledger } = await interrupted();
    rmSync(join(dir, mp4.name));
    const upload = begin();
    upload.add(mp4, dir);
    expect((await upload.finish()).lost).toEqual([mp4]);
    expect(stub.unfinished).toEqual([]);
    expect(ledger.known(mp4.name)?.state).toBe('lost');
    expect(ledger.known(mp4.name)?.parts).toBeUndefined();
  });

  test('when the next server does not find it on the spool any more', async () => {
    const { stub, begin, files, mp4, ledger } = await interrupted();
    const upload = begin();
    for (const file of files) if (file !== mp4) upload.add(file, dir);
    await upload.finish();
    expect(stub.unfinished).toEqual([]);
    expect(ledger.known(mp4.name)?.state).toBe('lost');
    expect(ledger.known(mp4.name)?.parts).toBeUndefined();
    expect(ledger.waiting()).toEqual([]);
  });

  test('when it was made anew', async () => {
    const { stub, begin, mp4 } = await interrupted();
    const data = randomBytes(5 * PART + 3);
    writeFileSync(join(dir, mp4.name), data);
    const upload = begin();
    upload.add({ ...mp4, bytes: data.length }, dir);
    await upload.finish();
    expect(stub.unfinished).toEqual([]);
    expect(stub.read(`p/${mp4.name}`).equals(data)).toBe(true);
  });
});

test('a backlog of 10,000 objects goes up a few at a time, each once, when the store is back', async () => {
  const FILES = 10_000;
  const stored = new Map<string, number>();
  let isAway = true;
  let [open, most, playlistBytes] = [0, 0, 0];
  const ledger = memoryLedger();
  const target: Target = {
    description: 'in memory',
    async put(key, source) {
      most = Math.max(most, ++open);
      await new Promise((resolve) => setImmediate(resolve));
      open--;
      if (isAway) throw Object.assign(new Error('away'), { code: 'ECONNREFUSED' });
      const bytes = 'data' in source ? source.data.length : source.bytes;
      if (key.endsWith('.m3u8')) playlistBytes += bytes;
      else stored.set(key, (stored.get(key) ?? 0) + 1);
      return { key, bytes, evidence: 'digest' };
    },
    async abandon() {},
    async remove() {},
    close() {},
  };
  const upload = new RecordingUpload({
    ...{ target, ledger, prefix: [], clock: quick },
    renderIndex: (_name, rows) =>
      rows
        .flat()
        .map(({ name }) => name)
        .join('\n'),
    log: { info() {}, warn() {} },
    onEvent() {},
  });
  for (let index = 0; index < FILES; index++) {
    const place = { index, startUtcMs: index, durationUs: 15_000_000, bytes: 1 + index };
    const more = { playlist: 'x.m3u8', starts: [], rotations: [], discontinuity: false };
    upload.add({ type: 'slice', name: `x_${index}.ts`, ...place, ...more }, dir);
  }
  const ending = upload.finish();
  await expect.poll(() => upload.state().fault?.message, SOON).toMatch(/away/);
  expect(upload.state()).toMatchObject({ waiting: FILES, waitingBytes: (FILES * (FILES + 1)) / 2 });
  isAway = false;
  const { files, lost } = await ending;
  expect(lost).toEqual([]);
  expect(files).toHaveLength(FILES + 1);
  expect(new Set(stored.values())).toEqual(new Set([1]));
  expect(stored.size).toBe(FILES);
  for (let index = 0; index < FILES; index++)
    if (ledger.known(`x_${index}.ts`)?.state !== 'stored') throw new Error(`x_${index}.ts is not noted as stored`);
  // Three files and the playlist.
  expect(most).toBeLessThanOrEqual(4);
  expect(playlistBytes).toBeLessThan(15 * (files[0]?.bytes ?? 0));
});
