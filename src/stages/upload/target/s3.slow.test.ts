/**
 * S3 for real: the SDK against a server process, and against a port that never answers.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HangingServer, S3_KEYS, S3Server } from '../../../../test/support/s3-server.ts';
import { systemClock } from '../../../kernel/clock.ts';
import type { Segment } from '../../../media/segment.ts';
import { RecordingUpload, type UploadEvent } from '../recording-upload.ts';
import { createTarget } from './create-target.ts';
import { openS3 } from './s3.ts';

let server: S3Server;
let reader: S3Client;
let dir: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-s3-source-'));
  server = await S3Server.start();
  server.addBucket('recordings');
  reader = new S3Client({
    endpoint: `http://127.0.0.1:${server.port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: S3_KEYS.accessKey, secretAccessKey: S3_KEYS.secretKey },
  });
});
afterAll(async () => {
  reader?.destroy();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const open = (more: Parameters<S3Server['storage']>[1] = {}, bucket = 'recordings') =>
  createTarget(server.storage(bucket, more), { localStorageDir: dir });

function spool(name: string, bytes: number) {
  const data = randomBytes(bytes);
  writeFileSync(join(dir, name), data);
  return { data, source: { path: join(dir, name), bytes } };
}

async function stored(key: string) {
  const answer = await reader.send(new GetObjectCommand({ Bucket: 'recordings', Key: key }));
  return { data: Buffer.from(await answer.Body!.transformToByteArray()), contentType: answer.ContentType };
}

describe('an S3-compatible store', () => {
  test('gets files small and in parts, and bytes, whole and with their type', async () => {
    const target = await open();
    const small = spool('small.ts', 300_000);
    const large = spool('large.mp4', 21_000_001);
    expect(await target.put('a/small.ts', small.source, 'video/mp2t')).toMatchObject({
      key: 'a/small.ts',
      bytes: 300_000,
    });
    const put = await target.put('a/large.mp4', large.source, 'video/mp4');
    expect(put.bytes).toBe(21_000_001);
    await target.put('a/x.m3u8', { data: Buffer.from('one') }, 'application/vnd.apple.mpegurl');
    await target.put('a/x.m3u8', { data: Buffer.from('two') }, 'application/vnd.apple.mpegurl');
    expect(await stored('a/small.ts')).toEqual({ data: small.data, contentType: 'video/mp2t' });
    expect((await stored('a/large.mp4')).data.equals(large.data)).toBe(true);
    expect(await stored('a/x.m3u8')).toEqual({
      data: Buffer.from('two'),
      contentType: 'application/vnd.apple.mpegurl',
    });
    target.close();
  });

  test('that has no such bucket, or refuses the keys, is a fault that trying again does not heal', async () => {
    const nowhere = await open({}, 'nowhere');
    await expect(nowhere.put('x', { data: Buffer.from('x') }, 'text/plain')).rejects.toMatchObject({
      blame: 'destination',
      retryable: false,
      message: expect.stringMatching(/bucket nowhere at http.*NoSuchBucket.*create the bucket/),
    });
    const stranger = await open({ accessKey: 'nobody', secretKey: 'not-for-logs' });
    const fault = await stranger.put('x', { data: Buffer.from('x') }, 'text/plain').catch((error) => error);
    expect(fault).toMatchObject({ blame: 'destination', retryable: false });
    expect(fault.message).toMatch(/InvalidAccessKeyId.*check accessKey/);
    expect(JSON.stringify([fault.message, stranger.description])).not.toContain('not-for-logs');
    for (const target of [nowhere, stranger]) target.close();
  });

  test('a file that is gone from the spool is not the store’s fault', async () => {
    const target = await open();
    await expect(target.put('x', { path: join(dir, 'gone'), bytes: 3 }, 'text')).rejects.toMatchObject({
      code: 'source-missing',
      blame: 'self',
    });
    target.close();
  });

  test('a put that is broken off stores nothing', async () => {
    const target = await open();
    const enough = new AbortController();
    const { source } = spool('broken.mp4', 60_000_000);
    const put = target.put('broken.mp4', source, 'video/mp4', { signal: enough.signal });
    setTimeout(() => enough.abort(new Error('enough')), 30);
    await expect(put).rejects.toThrow('enough');
    await expect(stored('broken.mp4')).rejects.toThrow();
    target.close();
  });
});

test('a store that accepts and never answers is given up, and tried again', async () => {
  const hanging = await HangingServer.start();
  const storage = server.storage('recordings', { extensionParams: { endpoint: `http://127.0.0.1:${hanging.port}` } });
  const target = openS3(storage, { idleTimeoutMs: 300 });
  try {
    await expect(target.put('x', { data: Buffer.from('x') }, 'text/plain')).rejects.toMatchObject({
      blame: 'destination',
      retryable: true,
    });
  } finally {
    target.close();
    await hanging.stop();
  }
});

test('a store that nobody answers for is tried again', async () => {
  const gone = await HangingServer.start();
  await gone.stop();
  const storage = server.storage('recordings', { extensionParams: { endpoint: `http://127.0.0.1:${gone.port}` } });
  const target = openS3(storage);
  await expect(target.put('x', { data: Buffer.from('x') }, 'text/plain')).rejects.toMatchObject({
    retryable: true,
    message: expect.stringMatching(/ECONNREFUSED/),
  });
  target.close();
});

test('a recording goes up whole, playlist last, after the bucket was made late', async () => {
  const target = await open({ fileNamePrefix: ['late'] }, 'late-bucket');
  const events: UploadEvent[] = [];
  const failed = Promise.withResolvers<void>();
  const waiting: (() => void)[] = [];
  let isBucketThere = false;
  const upload = new RecordingUpload({
    target,
    prefix: ['late'],
    renderIndex: (_name, rows) =>
      rows
        .flat()
        .map((s) => s.name)
        .join('\n'),
    // Real but for the pauses, which end once the bucket is there.
    clock: {
      ...systemClock,
      after(delayMs, run) {
        if (delayMs !== 60_000) return systemClock.after(delayMs, run);
        if (isBucketThere) setImmediate(run);
        else waiting.push(run);
        return { cancel() {} };
      },
    },
    log: { info() {}, warn() {} },
    onEvent(event) {
      events.push(event);
      if (event.type === 'uploadFailed') failed.resolve();
    },
  });
  const slices = Array.from({ length: 5 }, (_, index): Segment => {
    const name = `r_${index}.ts`;
    const { bytes } = spool(name, 50_000 + index).source;
    const place = { index, startUtcMs: index, durationUs: 15_000_000, bytes };
    return { type: 'slice', name, playlist: 'r.m3u8', ...place, discontinuity: false, starts: [], rotations: [] };
  });
  for (const slice of slices) upload.add(slice, dir);
  await failed.promise;
  server.addBucket('late-bucket');
  const ending = upload.finish();
  isBucketThere = true;
  for (const run of waiting) run();
  const { files } = await ending;
  expect(files.map((f) => f.key)).toEqual(['late/r.m3u8', ...slices.map((s) => `late/${s.name}`)]);
  expect(events.filter((e) => e.type === 'uploadFailed')).toMatchObject([{ fault: { retryable: false }, attempt: 1 }]);
  expect(events.at(-1)).toMatchObject({ type: 'playlistStored', slices: 5 });
  const list = await reader.send(new GetObjectCommand({ Bucket: 'late-bucket', Key: 'late/r.m3u8' }));
  expect(await list.Body!.transformToString()).toBe(slices.map((s) => s.name).join('\n'));
  target.close();
});
