import { expect, test } from 'vitest';
import { openS3Stub } from '../../test/support/s3-scene.ts';
import { S3Stub, STUB_KEYS, type StubDialect } from '../../test/support/s3-stub.ts';
import { placeOf, type StorageConfig } from '../contract/line/storage.ts';
import { systemClock } from '../kernel/clock.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import { openS3 } from '../stages/upload/target/s3.ts';
import { type FileLinksOptions, linkToFile } from './file-links.ts';

const SID = 'c'.repeat(32);
const FILE = { appid: 'app', sid: SID, name: 'a.mp4' };

/** A recording whose store has `dir/a.mp4`. */
async function scene({ dialect = {}, ended = true }: { dialect?: StubDialect; ended?: boolean } = {}) {
  const { stub, target } = await openS3Stub(dialect, dialect.sessionToken ? { storage: { stsToken: 'sts' } } : {});
  await target.put('dir/a.mp4', { data: Buffer.from('0123456789') }, 'video/mp4');
  const storage: StorageConfig = stub.storage(dialect.sessionToken ? { stsToken: 'sts' } : {});
  const options: FileLinksOptions = {
    find: async () => ({ place: placeOf(storage) }),
    fileOf: async (_appid, _sid, name) => (name === 'a.mp4' ? { key: 'dir/a.mp4', place: null } : undefined),
    storageOf: () => (ended ? undefined : storage),
    openTarget: async (given) => openS3(given),
    clock: systemClock,
  };
  return { stub, options };
}

const { accessKey, secretKey } = STUB_KEYS;

test.each([
  ['of a recording that goes on, whose keys are known', { ended: false }, {}],
  ['of one that has ended, with its keys', {}, { keys: { accessKey, secretKey } }],
  ['in a region that the store names', { dialect: { region: 'eu-fra' } }, { keys: { accessKey, secretKey } }],
  ['with keys for a while', { dialect: { sessionToken: 'sts' } }, { keys: { accessKey, secretKey, stsToken: 'sts' } }],
])('a file %s is downloaded by its link, also in parts', async (_, given, request) => {
  const { options } = await scene(given);
  const { url, expiresMs } = await linkToFile(options, FILE, request);
  const answer = await fetch(url);
  expect([answer.status, await answer.text()]).toEqual([200, '0123456789']);
  expect(answer.headers.get('content-disposition')).toBe('attachment; filename="a.mp4"');
  expect(url).not.toContain(secretKey);
  expect((expiresMs - Date.now()) / 1000).toBeCloseTo(300, -1);
});

test('a link expires, and opens nothing else', async () => {
  const { stub, options } = await scene({ ended: false });
  const { url } = await linkToFile(options, FILE, {});
  expect((await fetch(url, { method: 'DELETE' })).status).toBe(403);
  expect((await fetch(url.replace('a.mp4?', 'b.mp4?'))).status).toBe(403);
  stub.nowMs = () => Date.now() + 301_000;
  expect((await fetch(url)).status).toBe(403);
});

test('keys that are missing or wrong, and files that are gone, are told of in words', async () => {
  const { stub, options } = await scene();
  const ask = (name: string, keys?: typeof STUB_KEYS) => linkToFile(options, { ...FILE, name }, { keys });
  await expect(ask('a.mp4')).rejects.toMatchObject({ code: 'link-impossible', message: /keys .* are forgotten/ });
  const wrong = ask('a.mp4', { accessKey, secretKey: 'wrong' });
  await expect(wrong).rejects.toMatchObject({ code: 'link-impossible', message: /check accessKey/ });
  await expect(ask('b.mp4', STUB_KEYS)).rejects.toMatchObject({ code: 'file-unknown' });
  stub.objects.clear();
  await expect(ask('a.mp4', STUB_KEYS)).rejects.toMatchObject({ code: 'file-unknown', message: /any more/ });
});

test('what lies in a folder of the server has no link', async () => {
  const { options } = await scene();
  const local = { ...options, find: async () => ({ place: { vendor: 1000 as const, region: 0, bucket: 'b' } }) };
  await expect(linkToFile(local, FILE, {})).rejects.toMatchObject({ message: /folder of this server/ });
  const closed = { ...options, storageOf: () => S3Stub.prototype.storage.call({ bucket: 'b', url: 'http://x' }) };
  const other = { ...closed, openTarget: async () => openLocalFolder('b', '/nowhere') };
  await expect(linkToFile(other, FILE, {})).rejects.toMatchObject({ message: /gives no such links/ });
});
