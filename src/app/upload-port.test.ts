import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { refuse, S3Stub } from '../../test/support/s3-stub.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import { systemClock } from '../kernel/clock.ts';
import { EndpointGuard } from '../kernel/endpoint-guard.ts';
import { createLog } from '../observe/log.ts';
import type { UploadEvent } from '../session/ports.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { memoryLedger } from '../stages/upload/ledger.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import { uploadPort } from './upload-port.ts';

const SID = 'a'.repeat(32);
const dir = mkdtempSync(join(tmpdir(), 'aircheck-upload-port-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Begins an upload into `storage`, and has what it tells the session. */
async function begin(storage: (stub: S3Stub) => StorageConfig, testWrites = true) {
  const stub = await S3Stub.start();
  const uploads = uploadPort({
    localStorageDir: dir,
    guard: new EndpointGuard({ networks: ['loopback'], plainHttp: false }),
    testWrites,
    backup: { store: new BackupStore(openLocalFolder('backup', dir)), afterMs: 5_000 },
    ledgerOf: async () => memoryLedger(),
    moves: { add: async () => {}, renew: async () => {} },
    clock: systemClock,
    log: createLog('silent'),
  });
  const events: UploadEvent[] = [];
  const begun = performance.now();
  const hold = { sid: SID, owner: 'me', epoch: 1 };
  const { signal } = new AbortController();
  const upload = await uploads.begin(
    { hold, appid: 'a', storage: storage(stub), extinfComma: false, stretches: [], signal },
    (event) => events.push(event),
  );
  onTestFinished(async () => {
    upload.abort();
    await stub.close().catch(() => {});
  });
  return { stub, upload, events, tookMs: () => performance.now() - begun };
}

test.each<[string, Partial<StorageConfig>, boolean, RegExp]>([
  ['a wrong key', { secretKey: 'wrong' }, true, /SignatureDoesNotMatch.*check accessKey/],
  ['a bucket that is not there', { bucket: 'nowhere' }, true, /There is no such bucket.*create the bucket/],
  ['an endpoint nobody listens at', { extensionParams: { endpoint: 'http://127.0.0.1:1' } }, false, /nobody listens/],
])('%s is told within three seconds, with what the store said', async (_what, storage, forGood, words) => {
  const { upload, events, tookMs } = await begin((stub) => stub.storage(storage));
  expect(await upload.tested).toMatch(words);
  expect(events).toEqual([{ type: 'storeRefused', message: expect.stringMatching(words), forGood }]);
  expect(tookMs()).toBeLessThan(3_000);
});

test('a clock that is off for the store’s taste is told within three seconds', async () => {
  const { stub, upload, events, tookMs } = await begin((each) => {
    each.interfere = (_request, response) => {
      refuse(response, 403, 'RequestTimeTooSkewed', 'The difference is too large.');
      return true;
    };
    return each.storage();
  });
  expect(await upload.tested).toMatch(/set this server’s clock/);
  expect(events).toMatchObject([{ type: 'storeRefused', forGood: false }]);
  expect(tookMs()).toBeLessThan(3_000);
  expect(stub.objects.size).toBe(0);
});

test('a store that takes the test object is told nothing of, and one that is not to be tested is not asked', async () => {
  const good = await begin((stub) => stub.storage());
  expect(await good.upload.tested).toBeUndefined();
  expect(good.stub.requests.length).toBeGreaterThan(0);
  const untested = await begin((stub) => stub.storage({ bucket: 'nowhere' }), false);
  expect(await untested.upload.tested).toBeUndefined();
  expect(untested.stub.requests).toEqual([]);
  expect([...good.events, ...untested.events]).toEqual([]);
});

describe('a database that is away', () => {
  /** An upload whose database answers no question before the `answered`th, by a clock that is held. */
  function beginLate(answered: number) {
    const clock = new ManualClock();
    let asked = 0;
    const uploads = uploadPort({
      localStorageDir: dir,
      guard: new EndpointGuard({ networks: [], plainHttp: false }),
      testWrites: true,
      backup: { store: new BackupStore(openLocalFolder('backup', dir)), afterMs: 5_000 },
      ledgerOf: async () => {
        if (++asked < answered) throw new Error('connect ECONNREFUSED');
        return memoryLedger();
      },
      moves: { add: async () => {}, renew: async () => {} },
      clock,
      log: createLog('silent'),
    });
    const off = new AbortController();
    const events: UploadEvent[] = [];
    const place = { vendor: 1000, region: 0, bucket: 'late' } as const;
    const storage: StorageConfig = { ...place, accessKey: '', secretKey: '', fileNamePrefix: [] };
    const hold = { sid: SID, owner: 'me', epoch: 1 };
    const beginning = uploads.begin(
      { hold, appid: 'a', storage, extinfComma: false, stretches: [], signal: off.signal },
      (event) => events.push(event),
    );
    return { clock, off, events, beginning, asked: () => asked };
  }

  test('is waited for, and nothing is said against the store', async () => {
    const { clock, beginning, events, asked } = beginLate(61);
    for (let second = 0; second < 60; second++) {
      await vi.waitUntil(() => asked() === second + 1);
      await settle();
      clock.advance(1_000);
    }
    (await beginning).abort();
    expect(events).toEqual([]);
  });

  test('is waited for no longer once the upload is called off', async () => {
    const { off, beginning, asked } = beginLate(Number.POSITIVE_INFINITY);
    await vi.waitUntil(() => asked() === 1);
    off.abort(new Error('called off'));
    await expect(beginning).rejects.toThrow('called off');
  });
});
