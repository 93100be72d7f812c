/**
 * Azure Blob Storage for real: its own library against Azurite, Microsoft's emulator, in a process of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { openAzure } from './azure.ts';

/** The account that every Azurite has. */
const ACCOUNT = 'devstoreaccount1';
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';
const BLOCK = 256 * 1024;

let azurite: ChildProcess;
let dir: string;
let endpoint: string;
let service: BlobServiceClient;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address ? address.port : 0;
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-azure-'));
  const port = await freePort();
  const script = join(import.meta.dirname, '../../../../node_modules/azurite/dist/src/blob/main.js');
  const args = ['--blobPort', String(port), '--location', dir, '--silent', '--skipApiVersionCheck'];
  azurite = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    let said = '';
    azurite.stdout?.on('data', (chunk) => {
      said += chunk;
      if (said.includes('successfully listens')) resolve();
    });
    azurite.once('exit', (code) => reject(new Error(`Azurite ended with ${code}: ${said}`)));
  });
  endpoint = `http://127.0.0.1:${port}`;
  service = new BlobServiceClient(`${endpoint}/${ACCOUNT}`, new StorageSharedKeyCredential(ACCOUNT, KEY));
  await service.getContainerClient('recordings').create();
}, 60_000);
afterAll(async () => {
  if (azurite?.exitCode === null) {
    const ended = once(azurite, 'exit');
    // Asked to end it waits for connections that are kept open, and nobody needs what it has any more.
    azurite.kill('SIGKILL');
    await ended;
  }
  rmSync(dir, { recursive: true, force: true });
});

function open(more: Partial<StorageConfig> = {}, guard?: EndpointGuard) {
  const storage: StorageConfig = {
    vendor: 5,
    region: 0,
    bucket: 'recordings',
    accessKey: ACCOUNT,
    secretKey: KEY,
    fileNamePrefix: [],
    // An emulator has the account in its path.
    extensionParams: { endpoint: `${endpoint}/${ACCOUNT}`, tag: 'k=v' },
    ...more,
  };
  return openAzure(storage, { guard, blockBytes: BLOCK });
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
    const blob = service.getContainerClient('recordings').getBlockBlobClient('a/x.ts');
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
  const blob = service.getContainerClient('recordings').getBlockBlobClient('y.mp4');
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
  expect(fault.message).not.toContain(KEY);
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
  await target.put('a/erased.ts', { data: Buffer.from('text') }, 'video/mp2t');
  const blob = service.getContainerClient('recordings').getBlockBlobClient('a/erased.ts');
  await blob.createSnapshot();
  await target.erase('a/erased.ts');
  expect(await blob.exists()).toBe(false);
  await target.erase('a/erased.ts');
});
