import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTarget } from './create-target.ts';
import { openLocalFolder } from './local-folder.ts';
import { contentTypeOf } from './target.ts';

let home: string;
let storage: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'aircheck-local-'));
  storage = join(home, 'recordings');
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const spooled = (name: string, text: string) => {
  const path = join(home, name);
  writeFileSync(path, text);
  return { path, bytes: text.length };
};

describe('a local folder', () => {
  test('stores files and bytes under their keys, replaces, and leaves nothing else', async () => {
    const target = openLocalFolder('bucket', storage);
    expect(await target.put('a/b/x.ts', spooled('x.ts', 'media'), 'video/mp2t')).toEqual({
      key: 'a/b/x.ts',
      bytes: 5,
      sha256: createHash('sha256').update('media').digest('hex'),
      evidence: 'size',
    });
    for (const text of ['one', 'three'])
      expect(await target.put('a/b/x.m3u8', { data: Buffer.from(text) }, 'text')).toMatchObject({ bytes: text.length });
    const dir = join(storage, 'bucket', 'a', 'b');
    expect(readdirSync(dir).sort()).toEqual(['x.m3u8', 'x.ts']);
    expect(readFileSync(join(dir, 'x.ts'), 'utf8')).toBe('media');
    expect(readFileSync(join(dir, 'x.m3u8'), 'utf8')).toBe('three');
    // Stored files outlive the spool.
    rmSync(join(home, 'x.ts'));
    expect(readFileSync(join(dir, 'x.ts'), 'utf8')).toBe('media');
  });

  test('tells a file that is gone from a folder that is not there', async () => {
    const target = openLocalFolder('bucket', storage);
    const absent = { code: 'store-absent', blame: 'destination', retryable: true };
    const path = join(home, 'fetched');
    await expect(target.erase('a/x.ts')).rejects.toMatchObject(absent);
    await expect(target.has('a/x.ts')).rejects.toMatchObject(absent);
    await expect(target.fetch('a/x.ts', path)).rejects.toMatchObject(absent);
    await target.put('a/x.ts', spooled('x.ts', 'media'), 'video/mp2t');
    await target.fetch('a/x.ts', path);
    expect(readFileSync(path, 'utf8')).toBe('media');
    expect(await target.has('a/x.ts')).toBe(true);
    await target.erase('a/x.ts');
    expect(await target.has('a/x.ts')).toBe(false);
    await target.erase('a/x.ts');
    await expect(target.fetch('a/x.ts', join(home, 'again'))).rejects.toMatchObject({ code: 'object-missing' });
  });

  test('moves no bytes when the spool is on the same disk', async () => {
    const source = spooled('x.ts', 'media');
    await openLocalFolder('bucket', storage).put('x.ts', source, 'video/mp2t');
    expect(statSync(join(storage, 'bucket', 'x.ts')).ino).toBe(statSync(source.path).ino);
  });

  test('forgets what a server that was killed had begun to put under a key, and only that', async () => {
    const target = openLocalFolder('bucket', storage);
    await target.sweep('a/x.ts', 5);
    await target.put('a/y.ts', spooled('y.ts', 'media'), 'video/mp2t');
    const dir = join(storage, 'bucket', 'a');
    const seen = new Set<string>();
    const watcher = watch(dir, (_event, name) => seen.add(String(name)));
    await target.put('a/x.ts', spooled('x.ts', 'media'), 'video/mp2t');
    await target.put('a/y.ts', spooled('y.ts', 'media'), 'video/mp2t');
    const begun = () => [...seen].filter((name) => name.endsWith('.tmp'));
    await expect.poll(() => begun().length).toBe(2);
    watcher.close();
    const [ofX = '', ofY = ''] = begun();
    for (const name of [ofX, ofY]) writeFileSync(join(dir, name), 'med');
    await target.sweep('a/x.ts', 5);
    expect(readdirSync(dir).sort()).toEqual([ofY, 'x.ts', 'y.ts']);
  });

  test('keeps to its folder, whatever the key', async () => {
    const target = openLocalFolder('bucket', storage);
    const nasty = fc.array(fc.oneof(fc.constantFrom('..', '.', '', 'a', '\0', '\\'), fc.string()), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(nasty, async (parts) => {
        await target.put(parts.join('/'), { data: Buffer.from('x') }, 'text').catch((error: unknown) => {
          // A name can be too long for the disk, or name a folder that is there.
          expect(error).toMatchObject({ name: 'Fault' });
        });
        expect(readdirSync(home).filter((name) => name !== 'recordings')).toEqual([]);
        expect(readdirSync(home).length === 0 || readdirSync(storage).every((name) => name === 'bucket')).toBe(true);
      }),
      { numRuns: 60 },
    );
    for (const bucket of ['..', '.', 'a/b', '', '.hidden'])
      expect(() => openLocalFolder(bucket, storage)).toThrow(/not a folder name/);
  });

  test('follows no link out, but may itself stand behind one', async () => {
    mkdirSync(join(storage, 'bucket'), { recursive: true });
    mkdirSync(join(home, 'outside'));
    symlinkSync(join(home, 'outside'), join(storage, 'bucket', 'a'));
    const target = openLocalFolder('bucket', storage);
    await expect(target.put('a/x', { data: Buffer.from('x') }, 'text')).rejects.toMatchObject({
      code: 'path-leaves-storage',
      blame: 'destination',
    });
    expect(readdirSync(join(home, 'outside'))).toEqual([]);

    symlinkSync(storage, join(home, 'linked'));
    const linked = openLocalFolder('bucket', join(home, 'linked'));
    await linked.put('x', { data: Buffer.from('x') }, 'text');
    expect(readFileSync(join(storage, 'bucket', 'x'), 'utf8')).toBe('x');
  });

  test('says what is wrong with the source, and what with the store', async () => {
    const target = openLocalFolder('bucket', storage);
    await expect(target.put('x', { path: join(home, 'gone'), bytes: 1 }, 'text')).rejects.toMatchObject({
      code: 'source-missing',
      blame: 'self',
    });
    const source = spooled('x', 'text');
    await expect(target.put('x', { ...source, bytes: 9 }, 'text')).rejects.toMatchObject({ code: 'source-changed' });
    writeFileSync(join(storage, 'bucket', 'file'), '');
    await expect(target.put('file/x', source, 'text')).rejects.toMatchObject({
      code: 'store-failed',
      retryable: false,
    });
    await expect(target.put('x', source, 'text', { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
    expect(readdirSync(join(storage, 'bucket'))).toEqual(['file']);
  });
});

test('createTarget opens the folder that the storage config names', async () => {
  const target = await createTarget(
    { vendor: 1000, region: 0, bucket: 'b', accessKey: '', secretKey: '', fileNamePrefix: [] },
    { localStorageDir: storage },
  );
  expect(target.description).toBe(`local folder ${join(storage, 'b')}`);
  target.close();
});

test('media types go by the extension', () => {
  expect(['a.m3u8', 'a.ts', 'a.mp4', 'a'].map(contentTypeOf)).toEqual([
    'application/vnd.apple.mpegurl',
    'video/mp2t',
    'video/mp4',
    'application/octet-stream',
  ]);
});
