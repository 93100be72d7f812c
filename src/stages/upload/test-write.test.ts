import { expect, onTestFinished, test } from 'vitest';
import { refuse, S3Stub } from '../../../test/support/s3-stub.ts';
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
  expect(await testWrite(target, 'p/x', systemClock)).toBeUndefined();
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

test.each([
  ['goes on refusing is told', Number.POSITIVE_INFINITY, /request time.*set this server’s clock/],
  ['takes what is signed by its own clock is of no matter', 1, undefined],
])('a clock that is off for a store that %s', async (_what, refusals, message) => {
  const { stub, target } = await open();
  let left = refusals;
  stub.interfere = (_request, response) => {
    response.setHeader('Date', new Date(Date.now() + 20 * 60_000).toUTCString());
    if (left-- <= 0) return false;
    refuse(response, 403, 'RequestTimeTooSkewed', 'The difference between the request time and ours is too large.');
    return true;
  };
  const fault = await testWrite(target, 'x', systemClock);
  if (message) expect(fault?.message).toMatch(message);
  else expect(fault).toBeUndefined();
  expect(stub.actions().filter((action) => action === 'PutObject x')).toHaveLength(2);
});

test('a store that never answers is not waited for', async () => {
  const { stub, target } = await open();
  stub.interfere = () => true;
  expect(await testWrite(target, 'x', quick)).toMatchObject({ code: 'store-slow', retryable: true });
});
