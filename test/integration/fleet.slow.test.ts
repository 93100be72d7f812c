/**
 * Three servers on one Postgres that answer as one: calls and publishers come to any of them, a recording is made once,
 * and what is told of it is told once and in order; what is asked of it afterwards may be asked of any, and outlives
 * it.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type MixReply, mixReplySchema } from '../../src/contract/rest/mix.ts';
import { nodesReplySchema } from '../../src/contract/rest/nodes.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { missingSeconds } from '../support/judge/offsets.ts';
import { judgeRecording } from '../support/judge/recording.ts';
import { see } from '../support/judge/user-streams.ts';
import { RED } from '../support/media/participants.ts';
import { PostgresServer } from '../support/postgres.ts';
import { type Publisher, publishWithFfmpeg, publishWithRtc } from '../support/publish/publisher.ts';
import { S3_KEYS, S3Server } from '../support/s3-server.ts';
import { refuse, S3Stub, STUB_KEYS } from '../support/s3-stub.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

const SOURCE = { width: 320, height: 180, fps: 15, bitrateKbps: 300 };
const CANVAS = { width: 320, height: 180, fps: 15 };
const MIX = '/cloud_recording/resourceid';

let folder: string;
let postgres: PostgresServer;
let receiver: WebhookReceiver;
let store: S3Server;
/** A recording of each of the crowd alone, in the store; its files are nowhere else once it has ended. */
let alone = '';
let servers: TestServer[] = [];
let publishers: Publisher[] = [];
let browser: Browser | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-fleet-'));
  postgres = await PostgresServer.start();
  receiver = await new WebhookReceiver().start();
  store = await S3Server.start();
  store.addBucket('alone');
  const first = new TestServer(join(folder, 'a'), {
    AIRCHECK_DATABASE_URL: postgres.url,
    AIRCHECK_FLEET_KEY: 'a key of a fleet that is long enough',
    AIRCHECK_NODE_NAME: 'a',
    AIRCHECK_NODE_PORT: '0',
    AIRCHECK_LOCAL_STORAGE_DIR: join(folder, 'stored'),
    AIRCHECK_NOTIFY_URL: receiver.url,
    AIRCHECK_NOTIFY_SECRET: receiver.secret,
    AIRCHECK_WARM_RECORDERS: '0',
    AIRCHECK_BACKUP_AFTER_S: '3',
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
  await Promise.all(servers.filter(({ isRunning }) => isRunning).map((server) => server.kill()));
  await receiver?.close();
  await store?.stop();
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function nodes(at = servers[0]!) {
  const { status, body } = await at.ask('GET', '/v1/aircheck/nodes');
  expect(status).toBe(200);
  return nodesReplySchema.parse(body);
}
async function nameOf(sql: string): Promise<string> {
  return String((await postgres.rows(sql))[0]?.['name']);
}
const homeOf = (cname: string) => nameOf(`select name from homes join owners using (owner) where cname = '${cname}'`);
const untilReceiving = (cname: string, count: number) =>
  until(
    `${count} send into ${cname}`,
    async () => {
      const people = await servers[0]!.participants(cname);
      return people.length === count && people.every(({ tracks }) => tracks.every(({ receiving }) => receiving));
    },
    40_000,
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
    30_000,
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
  await until('the publisher left', async () => (await c.participants(cname)).length === 0, 10_000);
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
    30_000,
  );
  const [a, b] = servers as [TestServer, TestServer];
  const recording = await a.record(
    cname,
    '900',
    {
      storageConfig: store.storage('alone'),
      recordingFileConfig: { avFileType: ['hls'] },
      recordingConfig: { maxIdleTime: 60, streamTypes: 2, streamMode: 'standard', subscribeUidGroup: 1 },
    },
    'individual',
  );
  alone = recording.sid;
  await until('6 s are recorded', () => Date.now() - recording.answeredAtMs > 6_000, 10_000);
  const stop = `${MIX}/${recording.resourceId}/sid/${alone}/mode/individual/stop`;
  expect(await b.call('POST', stop, { cname, uid: '900', clientRequest: {} })).toMatchObject({
    ...{ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } },
  });
});

test('a person is removed by a call at a server that did not record them', async () => {
  const owner = await nameOf(`select name from tasks join owners using (folder) where sid = '${alone}'`);
  const others = servers.filter((_, n) => 'abc'[n] !== owner) as [TestServer, TestServer];
  const removals = `/aircheck/recordings/${alone}/removals`;
  const names = () => store.objectFiles('alone').filter((name) => name.endsWith('_object'));
  const isOf = (uid: string) => (name: string) => name.includes(`__uid_s_${uid}__uid_e_`);
  const before = names();
  expect(before.filter(isOf('2')).length).toBeGreaterThan(1);
  const ordered = await others[0].call('POST', removals, { uid: '2', keys: S3_KEYS });
  expect([200, 202]).toContain(ordered.status);
  // The one that has the recording does it at once, and each says so.
  await until(
    'the person is removed',
    async () => {
      const [removal] = (await others[1].call('GET', removals)).body['removals'] as { state: string }[];
      return removal?.state === 'removed';
    },
    30_000,
  );
  expect(names().toSorted()).toEqual(before.filter((name) => !isOf('2')(name)).toSorted());
  const { body } = await others[1].call('GET', `/aircheck/recordings/${alone}`);
  const { participants } = body['quality'] as { participants: { uid: string }[] };
  expect(participants.map(({ uid }) => uid).toSorted()).toEqual(['1', '11', '12', '13', '3']);
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
    40_000,
  );
  expect((await publisher.stats()).state).toBe('connected');
  // It was at both for a moment, and missed nowhere.
  const count = (what: string) => publisher.page.evaluate(`window.aircheckPublisher.${what}`);
  await until('the page has moved by itself', async () => (await count('moves')) === 1, 30_000);
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

test('when a server dies the publish page comes back at another, and another makes the mix that it was to make', async () => {
  const cname = 'comes-back';
  browser = await startBrowser();
  const [a] = servers as [TestServer];
  const page = await browser.publish(a.baseUrl, {
    ...{ appid: a.appid, cname, uid: '1', token: a.token(cname, '1') },
    ...{ width: 320, height: 180, fps: 10, bitrate: 200_000 },
  });
  const home = await homeOf(cname);
  const dying = servers[['a', 'b', 'c'].indexOf(home)]!;
  const mixes = `/aircheck/recordings/${alone}/mixes`;
  const wanted = { users: ['1'], transcodingConfig: { ...CANVAS, bitrate: 300 }, keys: S3_KEYS };
  const { mixId } = mixReplySchema.parse((await dying.call('POST', mixes, wanted)).body);
  await dying.kill();
  expect(await nameOf(`select state as name from mixes where mix_id = '${mixId}'`)).toMatch(/queued|running/);
  const left = servers.filter((server) => server !== dying) as [TestServer, TestServer];
  servers = left;
  await until(
    'it sends to another',
    async () => (await left[0]!.participants(cname)).some(({ tracks }) => tracks.every(({ receiving }) => receiving)),
    40_000,
  );
  expect((await page.stats()).state).toBe('connected');
  expect((await nodes(left[0])).nodes.find(({ name }) => name === home)).toMatchObject({ state: 'gone' });

  let mix: MixReply | undefined;
  await until(
    'the mix is made',
    async () => {
      mix = mixReplySchema.parse((await left[0].call('GET', `${mixes}/${mixId}`)).body);
      return mix.state === 'done' || mix.state === 'failed';
    },
    120_000,
  );
  expect(mix).toMatchObject({ state: 'done', error: null, warnings: [] });
  // The server that has it, and one that has not.
  for (const [n, server] of left.entries()) {
    const { customerId, customerSecret } = server.running;
    const authorization = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
    const brought = await fetch(new URL(mix!.file!, server.baseUrl), { headers: { authorization } });
    const file = join(folder, `mix-${n}.mp4`);
    writeFileSync(file, Buffer.from(await brought.arrayBuffer()));
    const { flashes } = see(file, RED);
    expect([flashes.length >= 4, missingSeconds(flashes)]).toEqual([true, []]);
  }
});

test('what only a node has that is gone for a week is left to it, and deleted when it is back', async () => {
  const [a] = servers as [TestServer];
  const cname = 'left';
  const away = await S3Stub.start();
  onTestFinished(() => away.close());
  away.interfere = (_request, response) => {
    refuse(response, 503, 'ServiceUnavailable', 'It is away.');
    return true;
  };
  publishers.push(await publishWithRtc({ ...a.running.whip(cname, '1'), participant: RED, codec: 'h264', ...SOURCE }));
  await untilReceiving(cname, 1);
  const recording = await a.record(cname, '9', {
    storageConfig: away.storage(),
    recordingFileConfig: { avFileType: ['hls'] },
    recordingConfig: { channelType: 1, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
  });
  const { sid } = recording;
  await until('2 s are recorded', () => Date.now() - recording.answeredAtMs > 2_000, 10_000);
  await recording.stop({ async_stop: true });
  const ended = () =>
    postgres.rows(`select 1 from tasks t where sid = '${sid}' and ended_ms is not null
      and exists (select 1 from objects o where o.sid = t.sid and o.state = 'backup')`);
  await until('its files wait in the backup store', async () => (await ended()).length > 0, 40_000);
  const name = await nameOf(`select name from tasks join owners using (folder) where sid = '${sid}'`);
  const lost = servers.find(({ dataDir }) => basename(dataDir) === name)!;
  const other = servers.find((server) => server !== lost)!;
  const backup = join(lost.dataDir, 'backup', sid);
  const kept = readdirSync(backup);
  expect(kept.length).toBeGreaterThan(1);
  await lost.kill();
  away.interfere = undefined;

  const path = `/aircheck/recordings/${sid}`;
  const remove = () => other.call('POST', `${path}/deletion`, { keys: STUB_KEYS });
  expect((await remove()).status).toBe(409);
  await postgres.rows(`update owners set renewed_at = renewed_at - interval '8 days',
    lease_until = lease_until - interval '8 days' where name = '${name}'`);
  expect((await remove()).status).toBe(202);
  const told = async () => (await other.call('GET', `${path}/retention`)).body;
  await until('it is left', async () => (await told())['state'] === 'left', 30_000);
  expect(await told()).toMatchObject({ away: { server: name, files: kept.length, untilMs: null }, error: null });
  expect(readdirSync(backup)).toEqual(kept);

  await lost.start();
  await until('it is deleted', async () => (await told())['state'] === 'deleted', 30_000);
  expect(existsSync(backup) ? readdirSync(backup) : []).toEqual([]);
  expect(existsSync(join(lost.dataDir, 'spool', sid))).toBe(false);
  expect([...away.objects.keys()].filter((key) => key.includes(sid))).toEqual([]);
  expect(await told()).toMatchObject({ files: kept.length, away: null });
});
