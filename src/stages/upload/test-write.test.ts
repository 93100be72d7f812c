import { expect, onTestFinished, test } from 'vitest';
import { S3Stub } from '../../../test/support/s3-stub.ts';
import type { StorageConfig } from '../../contract/line/storage.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { openS3 } from './target/s3.ts';
import { testWrite } from './test-write.ts';

const quick: Clock = { ...systemClock, after: (delayMs, run) => systemClock.after(delayMs / 10, run) };

async function open(storage: Partial<StorageConfig> = {}) {
  const stub = await S3Stub.start();
  const target = openS3(stub.storage(storage));
  onTestFinished(async () => {
    target.close();
    await stub.close().catch(() => {});
  });
  return { stub, target };
}

test('a store that takes what is put has no trace of it', async () => {
  const { stub, target } = await open();
  expect(await testWrite(target, 'p/x', quick)).toBeUndefined();
  expect(stub.objects.size).toBe(0);
  expect(stub.actions()).toEqual(['PutObject p/x', 'HeadObject p/x', 'Delete p/x']);
});

test.each([
  ['a wrong key', { secretKey: 'wrong' }, false, /check accessKey/],
  ['a bucket that is not there', { bucket: 'nowhere' }, false, /create the bucket/],
  ['an address where nobody listens', { extensionParams: { endpoint: 'http://127.0.0.1:1' } }, true, /nobody listens/],
])('%s is known at once', async (_what, storage, retryable, message) => {
  const { target } = await open(storage);
  expect(await testWrite(target, 'x', systemClock)).toMatchObject({
    retryable,
    message: expect.stringMatching(message),
  });
});

test('a store that never answers is not waited for', async () => {
  const { stub, target } = await open();
  stub.interfere = () => true;
  expect(await testWrite(target, 'x', quick)).toMatchObject({ code: 'store-slow', retryable: true });
});
