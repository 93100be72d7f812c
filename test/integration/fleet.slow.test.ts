/**
 * Three servers on one Postgres that answer as one: calls and publishers come to any of them, a recording is made once,
 * and what is told of it is told once and in order.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { nodesReplySchema } from '../../src/contract/rest/nodes.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { judgeRecording } from '../support/judge/recording.ts';
import { RED } from '../support/media/participants.ts';
import { PostgresServer } from '../support/postgres.ts';
import { type Publisher, publishWithFfmpeg, publishWithRtc } from '../support/publish/publisher.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

const SOURCE = { width: 320, height: 180, fps: 15, bitrateKbps: 300 };
const CANVAS = { width: 320, height: 180, fps: 15 };
const MIX = '/cloud_recording/resourceid';

let folder: string;
let postgres: PostgresServer;
let receiver: WebhookReceiver;
let servers: TestServer[] = [];
let publishers: Publisher[] = [];
let browser: Browser | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-fleet-'));
  postgres = await PostgresServer.start();
  receiver = await new WebhookReceiver().start();
  const first = new TestServer(join(folder, 'a'), {
    AIRCHECK_DATABASE_URL: postgres.url,
    AIRCHECK_FLEET_KEY: 'a key of a fleet that is long enough',
    AIRCHECK_NODE_NAME: 'a',
    AIRCHECK_NODE_PORT: '0',
    AIRCHECK_LOCAL_STORAGE_DIR: join(folder, 'stored'),
    AIRCHECK_NOTIFY_URL: receiver.url,
    AIRCHECK_NOTIFY_SECRET: receiver.secret,
    AIRCHECK_WARM_RECORDERS: '0',
    // A busy machine may be late with a lease.
    AIRCHECK_CALL_TIMEOUT_MS: '20000',
  });
  servers = [
    first,
    first.another(join(folder, 'b'), { AIRCHECK_NODE_NAME: 'b' }),
    first.another(join(folder, 'c'), { AIRCHECK_NODE_NAME: 'c', AIRCHECK_WHIP_ELSEWHERE: 'proxy' }),
  ];
  for (const server of servers) await server.start();
});
afterEach(async () => {
  for (const publisher of publishers) publisher.kill();
  publishers = [];
  await browser?.close();
  browser = undefined;
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.kill()));
  await receiver?.close();
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function nodes(at = servers[0]!) {
  const { status, body } = await at.ask('GET', '/v1/aircheck/nodes');
  expect(status).toBe(200);
  return nodesReplySchema.parse(body);
}
async function homeOf(cname: string): Promise<string> {
  const [row] = await postgres.rows(`select name from homes join owners using (owner) where cname = '${cname}'`);
  return String(row?.['name']);
}
const untilReceiving = (cname: string, count: number) =>
  until(
    `${count} send into ${cname}`,
    async () => {
      const people = await servers[0]!.participants(cname);
      return people.length === count && people.every(({ tracks }) => tracks.every(({ receiving }) => receiving));
    },
    20_000,
  );

test('a recording is acquired, started, published to, queried and stopped at different servers', async () => {
  const [a, b, c] = servers as [TestServer, TestServer, TestServer];
  const cname = 'fleet';
  const publisher = await publishWithRtc({ ...c.running.whip(cname, '1'), participant: RED, codec: 'h264', ...SOURCE });
  publishers.push(publisher);
  await untilReceiving(cname, 1);
  const acquired = await a.call('POST', '/cloud_recording/acquire', { cname, uid: '9', clientRequest: {} });
  const resourceId = String(acquired.body['resourceId']);
  const started = await b.call('POST', `${MIX}/${resourceId}/mode/mix/start`, {
    ...{ cname, uid: '9' },
    clientRequest: {
      token: b.token(cname, '9'),
      recordingConfig: { channelType: 1, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
      storageConfig: localStorage('bucket'),
    },
  });
  expect(started.status).toBe(200);
  const sid = String(started.body['sid']);
  const path = `${MIX}/${resourceId}/sid/${sid}/mode/mix`;
  const beganAt = Date.now();
  // Each knows of it at once, and says the same.
  for (const server of servers) {
    const { status, body } = await server.call('GET', `${path}/query`);
    expect([status, body['sid'], body['cname']]).toEqual([200, sid, cname]);
  }
  await until(
    'all three are listed',
    async () => (await nodes()).nodes.map(({ name, state }) => `${name} ${state}`).join() === 'a live,b live,c live',
    10_000,
  );
  await until('6 s are recorded', () => Date.now() - beganAt > 6_000, 10_000);
  const carrying = (await nodes()).nodes.filter(({ recordings }) => recordings > 0);
  expect(carrying).toHaveLength(1);
  expect(carrying[0]!.load.cores).toBeGreaterThan(0.05);
  const stopped = await b.call('POST', `${path}/stop`, { cname, uid: '9', clientRequest: {} });
  expect(stopped.status).toBe(200);
  const { fileList, uploadingStatus } = stopped.body['serverResponse'] as {
    fileList: { fileName: string }[];
    uploadingStatus: string;
  };
  expect(uploadingStatus).toBe('uploaded');
  const mp4 = fileList.find(({ fileName }) => fileName.endsWith('.mp4'))!;
  const verdict = judgeRecording(join(folder, 'stored', 'bucket', mp4.fileName), {
    ...{ participants: [RED], ...CANVAS, seconds: { from: 5, to: 20 }, presentFromS: 1 },
  });
  expect(verdict.problems).toEqual([]);
  // Its end was told by one server, once, after all else.
  await receiver.until(() => receiver.taken(sid).some(({ notice }) => notice.eventType === 11));
  const told = receiver.taken(sid).map(({ notice }) => (notice.payload as { sequence: number }).sequence);
  expect(told).toEqual(told.map((_, i) => told[0]! + i));
  for (const server of servers) expect((await server.call('GET', `${path}/query`)).status).toBe(404);
  await publisher.stop();
  await until('the publisher left', async () => (await c.participants(cname)).length === 0, 5_000);
});

test('FFmpeg and Chromium come in through any server, sent on or carried', async () => {
  const cname = 'crowd';
  for (const [i, server] of servers.entries())
    publishers.push(
      await publishWithFfmpeg({ ...server.running.whip(cname, String(i + 1)), participant: RED, ...SOURCE }),
    );
  browser = await startBrowser();
  for (const [i, server] of servers.entries())
    await browser.publish(server.baseUrl, {
      ...{ appid: server.appid, cname, uid: String(i + 11), token: server.token(cname, String(i + 11)) },
      ...{ width: 320, height: 180, fps: 10, bitrate: 200_000 },
    });
  await untilReceiving(cname, 6);
  // Each tells what it carries once a second.
  await until(
    'one node is said to have all six',
    async () => {
      const counts = (await nodes()).nodes.map(({ publishers: count }) => count);
      return counts.sort().join() === '0,0,6';
    },
    5_000,
  );
});

test('a draining server takes nothing new, and the channels that it does not record go to another', async () => {
  const cname = 'drained';
  browser = await startBrowser();
  const [a] = servers as [TestServer];
  const publisher = await browser.publish(a.baseUrl, {
    ...{ appid: a.appid, cname, uid: '1', token: a.token(cname, '1') },
    ...{ width: 320, height: 180, fps: 10, bitrate: 200_000 },
  });
  const home = await homeOf(cname);
  const drained = servers[['a', 'b', 'c'].indexOf(home)]!;
  expect((await drained.ask('POST', '/v1/aircheck/drain')).body).toEqual({ draining: true });
  expect((await nodes()).nodes.find(({ name }) => name === home)).toMatchObject({ state: 'draining' });
  await until(
    'the page publishes at another',
    async () => {
      const people = await a.participants(cname);
      return (
        people.length > 0 && people[0]!.tracks.every(({ receiving }) => receiving) && (await homeOf(cname)) !== home
      );
    },
    20_000,
  );
  expect((await publisher.stats()).state).toBe('connected');
  // It was at both for a moment, and missed nowhere.
  const count = (what: string) => publisher.page.evaluate(`window.aircheckPublisher.${what}`);
  await until('the page has moved by itself', async () => (await count('moves')) === 1, 10_000);
  expect(await count('reconnects')).toBe(0);
  for (let i = 0; i < 4; i++) {
    const { status } = await drained.call('POST', '/cloud_recording/acquire', {
      ...{ cname: `${cname}-${i}`, uid: '9', clientRequest: {} },
    });
    expect([status, (await homeOf(`${cname}-${i}`)) === home]).toEqual([200, false]);
  }
  expect((await drained.ask('POST', '/v1/aircheck/undrain')).body).toEqual({ draining: false });
  expect((await nodes()).nodes.find(({ name }) => name === home)).toMatchObject({ state: 'live' });
});

test('the publish page comes back at another server when its own dies', async () => {
  const cname = 'comes-back';
  browser = await startBrowser();
  const [a] = servers as [TestServer];
  const page = await browser.publish(a.baseUrl, {
    ...{ appid: a.appid, cname, uid: '1', token: a.token(cname, '1') },
    ...{ width: 320, height: 180, fps: 10, bitrate: 200_000 },
  });
  const home = await homeOf(cname);
  const dying = servers[['a', 'b', 'c'].indexOf(home)]!;
  await dying.kill();
  const left = servers.filter((server) => server !== dying);
  servers = left;
  await until(
    'it sends to another',
    async () => (await left[0]!.participants(cname)).some(({ tracks }) => tracks.every(({ receiving }) => receiving)),
    20_000,
  );
  expect((await page.stats()).state).toBe('connected');
  expect((await nodes(left[0])).nodes.find(({ name }) => name === home)).toMatchObject({ state: 'gone' });
});
