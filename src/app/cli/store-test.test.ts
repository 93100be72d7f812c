import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { S3Stub, STUB_KEYS } from '../../../test/support/s3-stub.ts';
import { testStore } from './store-test.ts';

let stub: S3Stub;
let said: string;
beforeEach(async () => {
  stub = await S3Stub.start();
  said = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await stub.close();
});

test('a store that works is tried with a small file and one in parts, and nothing stays there', async () => {
  await testStore(JSON.stringify(stub.storage({ fileNamePrefix: ['p'] })));
  expect(said).toMatch(/ok {7}a small file: \d+ ms, the store told the digest/);
  expect(said).toMatch(/ok {7}a file in parts: \d+ ms, the store told the digest/);
  expect(stub.objects.size).toBe(0);
  expect(stub.actions().every((action) => action.includes(' p/aircheck-test-'))).toBe(true);
  expect(said).not.toContain(STUB_KEYS.secretKey);
});

test('as JSON, what was tried, how long it took, and by what it was proved', async () => {
  await testStore(JSON.stringify(stub.storage()), { json: true });
  const step = { tookMs: expect.any(Number), evidence: 'digest', removed: true };
  expect(JSON.parse(said)).toEqual({
    store: expect.stringContaining('bucket'),
    steps: ['a small file', 'a file in parts'].map((what) => ({ what, key: expect.any(String), ...step })),
    warnings: expect.any(Array),
  });
});

test.each([
  ['a wrong key', { secretKey: 'wrong' }, /SignatureDoesNotMatch.*check accessKey/],
  ['an address that the operator has not allowed', { extensionParams: { endpoint: 'http://10.1.2.3' } }, /private/],
  ['what is no storageConfig', { bucket: '' }, /^bucket: /],
])('%s is told in words', async (_what, storage, words) => {
  await expect(testStore(JSON.stringify(stub.storage(storage)))).rejects.toThrow(words);
});
