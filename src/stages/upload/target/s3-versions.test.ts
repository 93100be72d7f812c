import { expect, test } from 'vitest';
import { openS3Stub } from '../../../../test/support/s3-scene.ts';

const text = { data: Buffer.from('text') };

test('an object is erased by one request, and once more without harm', async () => {
  const { stub, target } = await openS3Stub();
  await target.put('a/x.ts', text, 'video/mp2t');
  stub.requests.length = 0;
  expect(await target.erase('a/x.ts')).toBe(undefined);
  await target.erase('a/x.ts');
  expect(stub.objects.size).toBe(0);
  expect(stub.actions()).toEqual(['Delete a/x.ts', 'Delete a/x.ts']);
});

test('in a bucket that keeps versions all of them go, and those of no other key', async () => {
  const { stub, target } = await openS3Stub({ versions: true });
  for (const key of ['x.ts', 'x.ts', 'x.ts', 'x.ts.old']) await target.put(key, text, 'video/mp2t');
  expect(await target.erase('x.ts')).toBe(3);
  expect([...stub.versions.values()]).toEqual([{ key: 'x.ts.old', isMarker: false }]);
});

test('a locked version is a refusal that does not pass by itself', async () => {
  const { stub, target } = await openS3Stub({ versions: true });
  await target.put('x.ts', text, 'video/mp2t');
  for (const version of stub.versions.values()) version.isLocked = true;
  await expect(target.erase('x.ts')).rejects.toMatchObject({ blame: 'destination', retryable: false });
  expect([...stub.versions.values()].filter(({ isMarker }) => !isMarker)).toHaveLength(1);
});
