/**
 * Azure Blob Storage for real: its own library against Azurite, Microsoft's emulator, in a process of its own.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AZURITE_KEYS, type Azurite, startAzurite } from '../../../../test/support/azurite.ts';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { openAzure } from './azure.ts';

const BLOCK = 256 * 1024;

let azurite: Azurite;
let dir: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-azure-'));
  azurite = await startAzurite();
}, 60_000);
afterAll(async () => {
  await azurite?.close();
  rmSync(dir, { recursive: true, force: true });
});

function open(more: Partial<StorageConfig> = {}, guard?: EndpointGuard) {
  const { storage } = azurite;
  const extensionParams = { ...storage.extensionParams, tag: 'k=v' };
  return openAzure({ ...storage, extensionParams, ...more }, { guard, blockBytes: BLOCK });
}
function spooled(bytes: number) {
  const data = randomBytes(bytes);
  const path = join(dir, `source-${bytes}`);
  writeFileSync(path, data);
  return { data, source: { path, bytes } };
}

test.each([0, 1000, BLOCK, 3 * BLOCK + 5])(
  'a file of %s bytes is there whole, with its type, digest and tags',
  async (bytes) => {
    const { data, source } = spooled(bytes);
    const md5 = createHash('md5').update(data).digest();
    const target = open();
    expect(await target.put('a/x.ts', source, 'video/mp2t')).toMatchObject({
      bytes,
      md5: md5.toString('hex'),
      evidence: 'digest',
    });
    const blob = azurite.container.getBlockBlobClient('a/x.ts');
    expect((await blob.downloadToBuffer()).equals(data)).toBe(true);
    const { contentType, contentMD5 } = await blob.getProperties();
    expect(contentType).toBe('video/mp2t');
    expect(Buffer.from(contentMD5 ?? []).equals(md5)).toBe(true);
    expect((await blob.getTags()).tags).toEqual({ k: 'v' });
    target.close();
  },
);

test('a large file goes on at the block where it was interrupted', async () => {
  const { data, source } = spooled(4 * BLOCK);
  const target = open();
  const interrupted = new AbortController();
  let sofar: PartsSoFar | undefined;
  const onParts = (parts: PartsSoFar | undefined) => {
    sofar = parts;
    if (parts?.parts.length === 2) interrupted.abort(new Error('enough'));
  };
  await expect(target.put('y.mp4', source, 'video/mp4', { signal: interrupted.signal, onParts })).rejects.toThrow(
    'enough',
  );
  const told: number[] = [];
  await target.put('y.mp4', source, 'video/mp4', {
    resume: sofar,
    onParts: (parts) => told.push(parts?.parts.length ?? 0),
  });
  expect(told).toEqual([3, 4]);
  const blob = azurite.container.getBlockBlobClient('y.mp4');
  expect((await blob.downloadToBuffer()).equals(data)).toBe(true);
  target.close();
});

test.each([
  ['a wrong key', { secretKey: Buffer.from('wrong').toString('base64') }, /check accessKey/],
  ['no such container', { bucket: 'nowhere' }, /ContainerNotFound.*create the container/],
])('%s is told in words, without secrets', async (_what, more, words) => {
  const target = open(more);
  const fault = await target.put('x', { data: Buffer.from('x') }, 'text/plain').catch((error) => error);
  expect(fault).toMatchObject({ code: 'store-failed', blame: 'destination', retryable: false });
  expect(fault.message).toMatch(words);
  expect(fault.message).not.toContain(AZURITE_KEYS.secretKey);
  target.close();
});

test('the guard holds for its connections too', async () => {
  const refusing = open({}, new EndpointGuard({ networks: [], plainHttp: true }));
  await expect(refusing.put('x', { data: Buffer.from('x') }, 'text/plain')).rejects.toThrow(/loopback address/);
  const allowing = open({}, new EndpointGuard({ networks: ['loopback'], plainHttp: true }));
  expect(await allowing.put('x', { data: Buffer.from('x') }, 'text/plain')).toMatchObject({ evidence: 'digest' });
  for (const target of [refusing, allowing]) target.close();
});

test('an object is erased with its snapshots, and once more without harm', async () => {
  const target = open();
  expect(await target.has('a/erased.ts')).toBe(false);
  await target.put('a/erased.ts', { data: Buffer.from('text') }, 'video/mp2t');
  expect(await target.has('a/erased.ts')).toBe(true);
  const blob = azurite.container.getBlockBlobClient('a/erased.ts');
  await blob.createSnapshot();
  await target.erase('a/erased.ts');
  expect(await blob.exists()).toBe(false);
  await target.erase('a/erased.ts');
});

test.each([0, 1000, 3 * BLOCK + 5])('a file of %s bytes is fetched as it was put', async (bytes) => {
  const { data, source } = spooled(bytes);
  const target = open();
  await target.put('a/of “7” & all.mka', source, 'audio/x-matroska');
  const path = join(dir, `fetched-${bytes}`);
  await target.fetch('a/of “7” & all.mka', path);
  expect(readFileSync(path).equals(data)).toBe(true);
  // What is there is never written over.
  await expect(target.fetch('a/of “7” & all.mka', path)).rejects.toThrow(/EEXIST/);
  expect(readFileSync(path).equals(data)).toBe(true);
  target.close();
});

test('what is not there is told apart from a container that is not there, and an abort from both', async () => {
  const [target, elsewhere] = [open(), open({ bucket: 'nowhere' })];
  const path = join(dir, 'never');
  await expect(target.fetch('a/never', path)).rejects.toMatchObject({ code: 'object-missing' });
  await expect(target.link('a/never', { lifeS: 60, fileName: 'x' })).rejects.toMatchObject({ code: 'object-missing' });
  await expect(elsewhere.fetch('a/never', path)).rejects.toMatchObject({
    ...{ code: 'store-failed', message: expect.stringContaining('create the container') },
  });
  await expect(target.fetch('a/never', path, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  for (const each of [target, elsewhere]) each.close();
});

test('a link brings its own file alone, in parts too, as one to save, and only for a while', async () => {
  const target = open();
  const key = 'a/of “7” & all.mp4';
  const data = randomBytes(5000);
  for (const each of [key, 'a/other.mp4']) await target.put(each, { data }, 'video/mp4');
  const url = await target.link(key, { lifeS: 60, fileName: 'all.mp4' });
  expect(url).not.toContain(AZURITE_KEYS.secretKey);
  const whole = await fetch(url);
  expect(Buffer.from(await whole.arrayBuffer()).equals(data)).toBe(true);
  expect(whole.headers.get('content-disposition')).toBe('attachment; filename="all.mp4"');
  expect(whole.headers.get('content-type')).toBe('video/mp4');
  const part = await fetch(url, { headers: { range: 'bytes=100-299' } });
  expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, data.subarray(100, 300)]);
  const { search } = new URL(url);
  const refused = [
    fetch(new URL(`other.mp4${search}`, url)),
    fetch(url, { method: 'DELETE' }),
    fetch(await target.link(key, { lifeS: -60, fileName: 'all.mp4' })),
  ];
  expect((await Promise.all(refused)).map(({ status }) => status)).toEqual([403, 403, 403]);
  target.close();
});
