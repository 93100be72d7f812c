import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { refuse, S3Stub } from '../../../test/support/s3-stub.ts';
import type { UploadLedger } from '../../contract/line/objects.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import type { Segment, SpooledFile } from '../../media/segment.ts';
import { BackupStore } from './backup-store.ts';
import { memoryLedger } from './ledger.ts';
import { RecordingUpload, type UploadEvent } from './recording-upload.ts';
import { openLocalFolder } from './target/local-folder.ts';
import { openS3 } from './target/s3.ts';
import type { Target } from './target/target.ts';

const SID = 'a'.repeat(32);
const AFTER_MS = 5_000;
/** On a busy machine that takes a while. */
const SOON = { timeout: 15_000 };
/** Twenty times as fast as the machine's, so that an attempt still has some seconds. */
const quick: Clock = {
  ...systemClock,
  monoUs: () => systemClock.monoUs() * 20,
  after: (delayMs, run) => systemClock.after(delayMs / 20, run),
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-backup-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});

function spool(index: number, bytes = 2000): Segment {
  const name = `x_${index}.ts`;
  writeFileSync(join(dir, name), Buffer.alloc(bytes, index + 1));
  const place = { index, startUtcMs: 1000 + index * 15_000, durationUs: 15_000_000, bytes };
  return { type: 'slice', name, playlist: 'x.m3u8', ...place, discontinuity: false, starts: [], rotations: [] };
}

async function setUp(backup: Target = openLocalFolder('backup', dir), ledger: UploadLedger = memoryLedger()) {
  const stub = await S3Stub.start();
  const target = openS3(stub.storage(), { clock: quick });
  onTestFinished(async () => {
    target.close();
    await stub.close();
  });
  const events: UploadEvent[] = [];
  const begin = () =>
    new RecordingUpload({
      target,
      prefix: ['p'],
      renderIndex: (_name, rows) =>
        rows
          .flat()
          .map((slice) => slice.name)
          .join(' '),
      clock: quick,
      log: { info() {}, warn() {} },
      onEvent: (event) => events.push(event),
      ledger,
      backup: { store: new BackupStore(backup), sid: SID, afterMs: AFTER_MS },
      random: () => 0,
    });
  const add = (upload: RecordingUpload, ...files: SpooledFile[]) => {
    for (const file of files) upload.add(file, dir);
  };
  return { stub, events, ledger, begin, add };
}
const backedUp = (name: string) => join(dir, 'backup', SID, name);

describe('a recording whose store is away at its end', () => {
  test.each([
    [500, 'InternalError'],
    [503, 'SlowDown'],
  ])('(%s %s) goes to the backup store, playlist and all, and the ledger says so', async (status, code) => {
    const { stub, events, ledger, begin, add } = await setUp();
    const upload = begin();
    add(upload, spool(0));
    await expect.poll(() => stub.objects.has('p/x_0.ts'), SOON).toBe(true);
    await expect.poll(() => stub.objects.has('p/x.m3u8'), SOON).toBe(true);
    stub.interfere = (_request, response) => {
      refuse(response, status, code, 'away');
      return true;
    };
    add(upload, spool(1), spool(2));
    expect(await upload.finish()).toMatchObject({ lost: [], backedUp: true, accepted: false });
    for (const index of [1, 2])
      expect(readFileSync(backedUp(`x_${index}.ts`)).equals(Buffer.alloc(2000, index + 1))).toBe(true);
    expect(existsSync(backedUp('x_0.ts'))).toBe(false);
    // What the store has names what the store has; the whole is in the backup.
    expect(stub.read('p/x.m3u8').toString()).toBe('x_0.ts');
    expect(readFileSync(backedUp('x.m3u8'), 'utf8')).toBe('x_0.ts x_1.ts x_2.ts');
    expect(['x_0.ts', 'x_1.ts', 'x_2.ts', 'x.m3u8'].map((name) => ledger.known(name)?.state)).toEqual([
      'stored',
      'backup',
      'backup',
      'backup',
    ]);
    const places = events.flatMap((event) => (event.type === 'fileStored' ? [event.place] : []));
    expect(places).toEqual(['store', 'backup', 'backup']);
  });

  test('does not, when somebody has to mend something', async () => {
    const { stub, begin, add } = await setUp();
    const upload = begin();
    stub.interfere = (_request, response) => {
      refuse(response, 403, 'AccessDenied', 'no');
      return true;
    };
    add(upload, spool(0));
    const ending = upload.finish();
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(existsSync(backedUp('x_0.ts'))).toBe(false);
    stub.interfere = undefined;
    expect(await ending).toMatchObject({ backedUp: false });
  });

  test('waits on the spool when the backup fails too, and goes home when its store is back', async () => {
    writeFileSync(join(dir, 'backup'), 'in the way');
    const { stub, begin, add } = await setUp();
    stub.interfere = (_request, response) => {
      refuse(response, 500, 'InternalError', 'away');
      return true;
    };
    const upload = begin();
    add(upload, spool(0));
    const ending = upload.finish();
    await new Promise((resolve) => setTimeout(resolve, 600));
    stub.interfere = undefined;
    expect(await ending).toMatchObject({ backedUp: false, lost: [] });
    expect(stub.read('p/x.m3u8').toString()).toBe('x_0.ts');
  });

  test('leaves nothing in the backup when a server dies there and its store is back for the next', async () => {
    const folder = openLocalFolder('backup', dir);
    const stuck = Promise.withResolvers<void>();
    const dying: Target = {
      ...{ description: folder.description, fetch: folder.fetch.bind(folder), remove: folder.remove.bind(folder) },
      ...{ erase: folder.erase.bind(folder), has: folder.has.bind(folder) },
      ...{ abandon: folder.abandon.bind(folder), sweep: folder.sweep.bind(folder), close: () => folder.close() },
      async put(...what) {
        await folder.put(...what);
        stuck.resolve();
        // The server dies before it can note it.
        return new Promise(() => {});
      },
    };
    const ledger = memoryLedger();
    const { stub, begin, add } = await setUp(dying, ledger);
    stub.interfere = (_request, response) => {
      refuse(response, 503, 'SlowDown', 'away');
      return true;
    };
    const first = begin();
    add(first, spool(0));
    first.finish().catch(() => {});
    await stuck.promise;
    first.abort();
    expect(existsSync(backedUp('x_0.ts'))).toBe(true);
    stub.interfere = undefined;
    const second = begin();
    add(second, spool(0));
    expect(await second.finish()).toMatchObject({ backedUp: false, lost: [] });
    expect(stub.read('p/x_0.ts').equals(Buffer.alloc(2000, 1))).toBe(true);
    expect(existsSync(join(dir, 'backup', SID))).toBe(false);
  });

  test('can have a bucket for its backup, and all of it can be had back', async () => {
    const bucket = await S3Stub.start();
    const backup = openS3(bucket.storage());
    onTestFinished(async () => {
      backup.close();
      await bucket.close();
    });
    const { stub, begin, add } = await setUp(backup);
    await stub.close();
    const upload = begin();
    add(upload, spool(0));
    expect(await upload.finish()).toMatchObject({ backedUp: true });
    const store = new BackupStore(backup);
    await store.fetch(SID, 'x_0.ts', join(dir, 'again'));
    expect(readFileSync(join(dir, 'again')).equals(Buffer.alloc(2000, 1))).toBe(true);
    await store.remove(SID, 'x_0.ts');
    await expect(store.fetch(SID, 'x_0.ts', join(dir, 'gone'))).rejects.toMatchObject({ code: 'object-missing' });
    await stub.listen();
  });
});

describe('the ledger', () => {
  test('has digests of what is stored, and a server that starts anew sends none of it again', async () => {
    const { stub, ledger, begin, add } = await setUp();
    const files = [spool(0), spool(1)];
    const first = begin();
    add(first, ...files);
    // Until the last of its requests is answered: none of them comes after those of the next server.
    await expect.poll(() => ledger.known('x.m3u8')?.bytes, SOON).toBe('x_0.ts x_1.ts'.length);
    await expect.poll(() => ledger.known('x.m3u8')?.state, SOON).toBe('stored');
    first.abort();
    const data = Buffer.alloc(2000, 1);
    expect(ledger.known('x_0.ts')).toMatchObject({
      key: 'p/x_0.ts',
      bytes: 2000,
      state: 'stored',
      evidence: 'digest',
      md5: createHash('md5').update(data).digest('hex'),
      sha256: createHash('sha256').update(data).digest('hex'),
    });
    stub.requests.length = 0;
    const second = begin();
    add(second, ...files, spool(2));
    expect(await second.finish()).toMatchObject({ lost: [] });
    const puts = stub.actions().filter((action) => action.startsWith('PutObject') && action.endsWith('.ts'));
    expect(puts).toEqual(['PutObject p/x_2.ts']);
    expect(stub.read('p/x.m3u8').toString()).toBe('x_0.ts x_1.ts x_2.ts');
  });

  test('that a power cut took is made again from the spool', async () => {
    const { stub, begin, add } = await setUp();
    const first = begin();
    add(first, spool(0), spool(1));
    await first.finish();
    const before = new Map([...stub.objects].map(([key, { md5 }]) => [key, md5]));
    const { begin: beginAgain, stub: other } = await setUp();
    const again = beginAgain();
    add(again, spool(0), spool(1));
    await again.finish();
    expect(new Map([...other.objects].map(([key, { md5 }]) => [key, md5]))).toEqual(before);
  });

  test('goes on with a file in parts that another server began', async () => {
    const { stub, ledger, begin } = await setUp();
    const bytes = 40 * 1024 * 1024;
    writeFileSync(join(dir, 'x_0.mp4'), Buffer.alloc(bytes, 7));
    const mp4 = { type: 'mp4' as const, name: 'x_0.mp4', index: 0, startUtcMs: 0, durationUs: 1, bytes };
    const first = begin();
    stub.interfere = ({ action, query }) => {
      // Never answered: the first server dies at it.
      return action === 'Part' && Number(query.get('partNumber')) > 3;
    };
    first.add(mp4, dir);
    await expect.poll(() => ledger.known('x_0.mp4')?.parts?.parts.length, SOON).toBe(3);
    // Both that are under way have arrived, so that none of them comes late.
    await expect.poll(() => stub.actions().filter((action) => action.startsWith('Part')).length, SOON).toBe(5);
    first.abort();
    stub.interfere = undefined;
    stub.requests.length = 0;
    const second = begin();
    second.add(mp4, dir);
    await second.finish();
    const parts = stub.requests.filter(({ action }) => action === 'Part').map(({ query }) => query.get('partNumber'));
    expect(parts.sort()).toEqual(['4', '5']);
    expect(stub.read('p/x_0.mp4').equals(Buffer.alloc(bytes, 7))).toBe(true);
  });
});

describe('the playlists of twelve hours cost less than 10 MB in all', () => {
  test.each(['while they come', 'when all have waited for their store to the end'])('%s', async (when) => {
    let bytes = 0;
    let versions = 0;
    const upload = new RecordingUpload({
      target: {
        description: 'a counter',
        async put(key, source) {
          const size = 'data' in source ? source.data.length : source.bytes;
          if (key.endsWith('.m3u8')) {
            bytes += size;
            versions++;
          }
          return { key, bytes: size, evidence: 'digest' };
        },
        async abandon() {},
        async sweep() {},
        async fetch() {},
        async remove() {},
        erase: async () => undefined,
        has: async () => false,
        close() {},
      },
      prefix: [],
      // As long as the lines of a real one.
      renderIndex: (_name, rows) =>
        rows
          .flat()
          .map(() => `#EXTINF:15.000000\n${'n'.repeat(70)}.ts\n`)
          .join(''),
      clock: quick,
      log: { info() {}, warn() {} },
      onEvent() {},
    });
    for (let index = 0; index < 2880; index++) {
      const place = { index, startUtcMs: index, durationUs: 15_000_000, bytes: 1 };
      const name = `x_${index}.ts`;
      upload.add(
        { type: 'slice', name, playlist: 'x.m3u8', ...place, discontinuity: false, starts: [], rotations: [] },
        dir,
      );
      if (when === 'while they come') await new Promise((resolve) => setImmediate(resolve));
    }
    const { files } = await upload.finish();
    expect(files[0]?.bytes).toBe(2880 * '#EXTINF:15.000000\n.ts\n'.length + 2880 * 70);
    expect(versions).toBeGreaterThan(20);
    expect(bytes).toBeLessThan(10_000_000);
  });
});
