/**
 * A recording into a bucket that is not there: gone for its callers within seconds after event 1, and its files are
 * brought there once there is a bucket, also after a restart of the server (contract §6.11).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RED } from '../support/media/participants.ts';
import { Publisher } from '../support/publish/publisher.ts';
import { S3Server } from '../support/s3-server.ts';
import { TestServer, until } from '../support/test-server.ts';

let folder: string;
let server: TestServer;
let s3: S3Server;
let publisher: Publisher | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-refused-'));
  server = new TestServer(join(folder, 'data'));
  await server.start();
  s3 = await S3Server.start();
});
afterAll(async () => {
  await publisher?.stop();
  await server.kill();
  await s3.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

test('a bucket that is not there ends a recording for its callers', { timeout: 90_000 }, async () => {
  const picture = { width: 320, height: 180, fps: 15, bitrateKbps: 200 };
  const who = { ...server.running.whip('refused', '11'), participant: RED, codec: 'h264' as const };
  publisher = await Publisher.start({ client: 'rtc', options: { ...who, ...picture } });
  await until('somebody is there', async () => (await server.participants('refused')).length === 1, 10_000);
  const recording = await server.record('refused', '9000', {
    recordingConfig: { channelType: 1, maxIdleTime: 10 },
    storageConfig: s3.storage('absent'),
  });
  const told = async () => (await recording.events()).find(({ eventType }) => eventType === 1);
  // A wrong store is known at once: within 3 s of the start.
  await until('event 1', async () => (await told()) !== undefined, 3000);
  expect((await told())?.payload.details).toMatchObject({ module: 1, errorLevel: 5, errorCode: 32 });
  const gone = { status: 404, body: { code: 404, reason: 'failed to find worker' } };
  expect(await recording.query()).toMatchObject(gone);
  expect(await recording.stop()).toMatchObject(gone);
  await until('event 11', async () => (await recording.events()).some(({ eventType }) => eventType === 11), 20_000);

  // Somebody makes the bucket. It would be found within a minute; the next start of the server looks at once.
  s3.addBucket('absent');
  await server.kill();
  await server.start();
  await until('event 31', async () => (await recording.events()).some(({ eventType }) => eventType === 31), 30_000);
  expect(s3.objectFiles('absent').some((name) => name.includes(`${recording.sid}_refused.m3u8`))).toBe(true);
});
