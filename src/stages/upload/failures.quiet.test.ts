/**
 * Stores that fail in every way we know of while a recording is stored; afterwards what they have is compared with the
 * spool, object by object, and with the ledger.
 */
import { createHash } from 'node:crypto';
import { renameSync, symlinkSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { refuse, S3Stub, type StubRequest } from '../../../test/support/s3-stub.ts';
import { fasterBy, PART, quick, SLICES, setUpStoring } from '../../../test/support/storing.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { memoryLedger } from './ledger.ts';
import { FILES_AT_ONCE, RecordingUpload } from './recording-upload.ts';
import type { Target } from './target/target.ts';

const SOON = { timeout: 15_000 };

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
  const { dir, stub, files, begin, compare } = await setUpStoring();
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
  const { dir, stub, files, begin, compare } = await setUpStoring();
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
  const { dir, stub, files, begin, compare } = await setUpStoring(fasterBy(5));
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
      response.once('finish', () => {
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
  const { dir, stub, files, begin, compare } = await setUpStoring();
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
  const { dir, stub, files, begin, compare } = await setUpStoring();
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
  const { dir, stub, files, begin, compare, events } = await setUpStoring();
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
  const { dir, stub, files, begin, compare } = await setUpStoring();
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
  const { dir, stub, files, ledger, begin, compare } = await setUpStoring();
  const before = begin();
  for (const file of files.slice(0, 2)) before.add(file, dir);
  // A playlist that names the first slice alone may be stored before the second slice is.
  const states = () => ['x_0.ts', 'x_1.ts', 'x.m3u8'].map((name) => ledger.known(name)?.state);
  await expect.poll(states, SOON).toEqual(['stored', 'stored', 'stored']);
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
    async sweep() {},
    async fetch() {},
    async remove() {},
    erase: async () => undefined,
    has: async () => false,
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
    upload.add({ type: 'slice', name: `x_${index}.ts`, ...place, ...more }, '/spool');
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
  // And their playlist.
  expect(most).toBeLessThanOrEqual(FILES_AT_ONCE + 1);
  expect(playlistBytes).toBeLessThan(15 * (files[0]?.bytes ?? 0));
});

test('a spool file that cannot be read for a while is not given up', async () => {
  const { dir, files, begin, compare, events } = await setUpStoring();
  const { name } = files[1] as SpooledFile;
  const path = join(dir, name);
  // As for a disk that fails, or a process with too many files open: the file is there, and opening it fails.
  renameSync(path, `${path}.aside`);
  symlinkSync(name, path);
  const upload = begin();
  for (const file of files) upload.add(file, dir);
  const ending = upload.finish();
  await expect.poll(() => upload.state().fault?.code, SOON).toBe('source-unreadable');
  await expect.poll(() => upload.state().waiting, SOON).toBe(1);
  renameSync(`${path}.aside`, path);
  expect(await ending).toMatchObject({ lost: [] });
  compare();
  // Nobody is told to mend what passes.
  expect(events.filter((event) => event.type === 'uploadFailed' && !event.fault.retryable)).toEqual([]);
});
