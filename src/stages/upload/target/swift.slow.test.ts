/**
 * S3 as others run it: what this server puts into OpenStack Swift, read back through Amazon's SDK.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { SWIFT_KEYS, SWIFT_REGION, SwiftServer } from '../../../../test/support/swift/swift-server.ts';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { testWrite } from '../test-write.ts';
import { openS3 } from './s3.ts';

/** The smallest that Swift takes. */
const PART = 5 * 1024 * 1024;

let server: SwiftServer;
let reader: S3Client;
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-swift-source-'));
  server = await SwiftServer.start();
  reader = new S3Client({
    endpoint: server.endpoint,
    region: SWIFT_REGION,
    forcePathStyle: true,
    credentials: { accessKeyId: SWIFT_KEYS.accessKey, secretAccessKey: SWIFT_KEYS.secretKey },
  });
  await reader.send(new CreateBucketCommand({ Bucket: 'recordings' }));
}, 60_000);
afterAll(async () => {
  reader?.destroy();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

function open(more: Partial<StorageConfig> = {}, clock: Clock = systemClock) {
  const warnings: string[] = [];
  const { bucket = 'recordings', ...rest } = more;
  const target = openS3(server.storage(bucket, rest), {
    ...{ clock, partBytes: PART },
    warn: (text) => void warnings.push(text),
  });
  onTestFinished(() => target.close());
  return { target, warnings };
}

function spooled(bytes: number) {
  const data = randomBytes(bytes);
  const path = join(dir, `source-${bytes}`);
  writeFileSync(path, data);
  return { data, source: { path, bytes } };
}

async function stored(Key: string) {
  const { Body, ContentType } = await reader.send(new GetObjectCommand({ Bucket: 'recordings', Key }));
  return { data: Buffer.from(await Body!.transformToByteArray()), type: ContentType };
}

test('a small file is there whole, proved by its digest, in the region that Swift names', async () => {
  const { target, warnings } = open();
  const { data, source } = spooled(300_000);
  const name = "a/x y+(é)!*'.ts";
  expect(await target.put(name, source, 'video/mp2t')).toMatchObject({
    ...{ bytes: 300_000, md5: createHash('md5').update(data).digest('hex'), evidence: 'digest' },
  });
  expect(await stored(name)).toEqual({ data, type: 'video/mp2t' });
  expect(warnings).toEqual([expect.stringMatching(`bucket is in region ${SWIFT_REGION}`)]);
});

test('a playlist is written over, and an empty file is one', async () => {
  const { target } = open();
  for (const text of ['one', 'two', '']) {
    await target.put('x.m3u8', { data: Buffer.from(text) }, 'application/vnd.apple.mpegurl');
    expect(await stored('x.m3u8')).toEqual({ data: Buffer.from(text), type: 'application/vnd.apple.mpegurl' });
  }
});

test('a large file comes together of its parts, and goes on at the last of them after a break', async () => {
  const { target } = open();
  const { data, source } = spooled(3 * PART + 7);
  const enough = new AbortController();
  let sofar: PartsSoFar | undefined;
  const broken = target.put('y.mp4', source, 'video/mp4', {
    signal: enough.signal,
    onParts(parts) {
      sofar = parts;
      if (parts?.parts.length === 2) enough.abort(new Error('enough'));
    },
  });
  await expect(broken).rejects.toThrow('enough');
  const told: (number | undefined)[] = [];
  const onParts = (parts: PartsSoFar | undefined) => void told.push(parts?.parts.length);
  const receipt = await target.put('y.mp4', source, 'video/mp4', { resume: sofar, onParts });
  expect(receipt).toMatchObject({ bytes: data.length, evidence: 'digest', etag: expect.stringMatching(/-4$/) });
  expect(told).toEqual([3, 4]);
  const { data: found, type } = await stored('y.mp4');
  expect(found.equals(data)).toBe(true);
  expect(type).toBe('video/mp4');
  const { Uploads = [] } = await reader.send(new ListMultipartUploadsCommand({ Bucket: 'recordings' }));
  expect(Uploads).toEqual([]);
});

test('what was begun under a key and noted by nobody is taken back, and nothing of other keys', async () => {
  const { target } = open();
  const begin = (Key: string) => reader.send(new CreateMultipartUploadCommand({ Bucket: 'recordings', Key }));
  for (const key of ['p/é & <z>.mp4', 'p/é & <z>.mp4', 'p/é & <z>.mp4.old', 'p/é']) await begin(key);
  await target.sweep('p/é & <z>.mp4', PART + 1);
  const { Uploads = [] } = await reader.send(new ListMultipartUploadsCommand({ Bucket: 'recordings' }));
  expect(Uploads.map(({ Key }) => Key).sort()).toEqual(['p/é', 'p/é & <z>.mp4.old']);
  for (const { Key = '' } of Uploads) await target.sweep(Key, PART + 1);
});

test('what goes into it can be had back and removed', async () => {
  const { target } = open();
  expect(await testWrite(target, 'p/x_test', systemClock)).toBeUndefined();
  await expect(target.fetch('p/x_test', join(dir, 'none'))).rejects.toMatchObject({ code: 'object-missing' });
});

test('tags, which it does not have, are left out with a warning', async () => {
  const { target, warnings } = open({ extensionParams: { tag: 'a=b' } });
  expect(await target.put('tagged', { data: Buffer.from('x') }, 'text/plain')).toMatchObject({ evidence: 'digest' });
  expect(warnings.at(-1)).toMatch(/tagging is not supported/i);
});

test.each<[string, Partial<StorageConfig>, RegExp]>([
  ['a wrong secret', { secretKey: 'not-for-logs' }, /SignatureDoesNotMatch.*check accessKey/],
  ['an unknown key', { accessKey: 'test:nobody' }, /check accessKey/],
  ['no such bucket', { bucket: 'nowhere' }, /NoSuchBucket.*create the bucket/],
  ['encryption, which it does not have', { extensionParams: { sse: 'aes256' } }, /NotImplemented.*lacks something/],
])('%s is told in words, without secrets, and does not heal by itself', async (_what, more, words) => {
  const { target } = open(more);
  const fault = await target.put('x', { data: Buffer.from('x') }, 'text/plain').catch((error) => error);
  expect(fault).toMatchObject({ code: 'store-failed', blame: 'destination', retryable: false });
  expect(fault.message).toMatch(words);
  expect(fault.message).not.toContain('not-for-logs');
});

test('a clock that is half an hour off is put right by the store’s', async () => {
  const late: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() - 30 * 60_000 };
  const { target } = open({}, late);
  expect(await target.put('late', { data: Buffer.from('x') }, 'text/plain')).toMatchObject({ evidence: 'digest' });
});
