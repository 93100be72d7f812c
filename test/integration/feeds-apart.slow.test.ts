/**
 * Recordings whose channel's home is full are made on other nodes, which read the channel over the network. The
 * connection is cut, then the recorder's node dies, then the home. Judged by what is seen and heard in the files.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodesReplySchema } from '../../src/contract/rest/nodes.ts';
import { missingSeconds } from '../support/judge/offsets.ts';
import { readMedia } from '../support/judge/read-media.ts';
import { hear, see } from '../support/judge/user-streams.ts';
import { RED } from '../support/media/participants.ts';
import { PostgresServer } from '../support/postgres.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { freeTcpPort } from '../support/server-process.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { localStorage, type TestRecording, TestServer, until } from '../support/test-server.ts';

const CANVAS = { width: 320, height: 180, fps: 15 };
const SOURCE = { participant: RED, codec: 'h264', ...CANVAS, bitrateKbps: 300 } as const;
const CNAME = 'apart';

let folder: string;
let postgres: PostgresServer;
let cable: TcpProxy;
/** The home of the channel, which is full, and two others. */
let home: TestServer;
let others: TestServer[] = [];
let publisher: Publisher | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-apart-'));
  postgres = await PostgresServer.start();
  const port = await freeTcpPort();
  cable = await TcpProxy.open(port);
  const b = new TestServer(join(folder, 'b'), {
    AIRCHECK_DATABASE_URL: postgres.url,
    AIRCHECK_FLEET_KEY: 'a key of a fleet that is long enough',
    AIRCHECK_NODE_NAME: 'b',
    AIRCHECK_NODE_PORT: '0',
    AIRCHECK_LOCAL_STORAGE_DIR: join(folder, 'stored'),
    AIRCHECK_CALL_TIMEOUT_MS: '20000',
  });
  others = [b, b.another(join(folder, 'c'), { AIRCHECK_NODE_NAME: 'c' })];
  home = b.another(join(folder, 'a'), {
    ...{ AIRCHECK_NODE_NAME: 'a', AIRCHECK_NODE_PORT: String(port) },
    AIRCHECK_NODE_URL: `http://127.0.0.1:${cable.port}`,
    AIRCHECK_ADMISSION_CPU_PERCENT: '1',
  });
  // The only node there is: the channel is at home on it.
  await home.start();
  await publish(home);
  await Promise.all(others.map((server) => server.start()));
}, 120_000);
afterAll(async () => {
  publisher?.kill();
  await Promise.all([home, ...others].map((server) => server.isRunning && server.kill()));
  cable?.close();
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function publish(at: TestServer, cname = CNAME): Promise<void> {
  publisher?.kill();
  publisher = await publishWithRtc({ ...at.running.whip(cname, '1'), ...SOURCE });
  await until('the publisher sends', () => isReceived(at, cname), 40_000);
}
async function isReceived(at: TestServer, cname: string): Promise<boolean> {
  const people = await at.participants(cname);
  return people.length === 1 && people[0]!.tracks.every(({ receiving }) => receiving);
}
const REQUEST = { storageConfig: localStorage('b'), recordingFileConfig: { avFileType: ['hls', 'mp4'] } };
async function namesOf(sql: string): Promise<string> {
  return (await postgres.rows(sql)).map((row) => String(row['name'])).join();
}
const ownerOf = (sid: string) => namesOf(`select name from owners join tasks using (owner) where sid = '${sid}'`);
const homeOf = (cname = CNAME) =>
  namesOf(`select name from owners join homes using (owner) where cname = '${cname}' and lease_until > now()`);
async function nodes(at: TestServer) {
  return nodesReplySchema.parse((await at.ask('GET', '/v1/aircheck/nodes')).body).nodes;
}
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** What was stored of a recording, by the ends of the files' names. */
const stored = (sid: string, end: string) =>
  readdirSync(join(folder, 'stored', 'b'))
    .filter((name) => name.startsWith(sid) && name.endsWith(end))
    .map((name) => join(folder, 'stored', 'b', name))
    .sort();
const newestRun = async (sid: string) =>
  Number((await postgres.rows(`select max(generation) as n from runs where sid = '${sid}'`))[0]?.['n']);
/** When the first slice begins of the runs after this one, Unix milliseconds. */
async function beginAfter(sid: string, generation: number): Promise<number> {
  const [row] = await postgres.rows(
    `select min((file->>'startUtcMs')::float8) as ms from objects
     where sid = '${sid}' and kind = 'slice' and generation > ${generation}`,
  );
  return Number(row?.['ms']);
}
/** Seconds of a file at which a flash or a beep is missing between its first and its last. */
const missingIn = (file: string) => [see(file, RED).flashes, hear(file, RED).beeps].map(missingSeconds);

/** The seconds from each picture, or block of sound, of slices to the next, by the files' own time stamps. */
function stepsIn(slices: readonly string[], wanted: 'video' | 'audio'): number[] {
  const at: number[] = [];
  for (const slice of slices) {
    const own: number[] = [];
    const { zeroS } = readMedia(slice, { onPacket: ({ kind, ptsS }) => kind === wanted && own.push(ptsS) });
    at.push(...own.map((ptsS) => zeroS + ptsS));
  }
  return at.slice(1).map((s, n) => s - at[n]!);
}

test('a channel of a full home is recorded elsewhere, and outlives a cut, its recorder, and its home', {
  timeout: 180_000,
}, async () => {
  await until('all three are known', async () => (await nodes(home)).length === 3, 30_000);
  const [caller] = others as [TestServer];
  const composite = await caller.record(CNAME, '901', {
    ...REQUEST,
    recordingConfig: { maxIdleTime: 60, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
  });
  const passedOn: TestRecording = await home.record(
    CNAME,
    '902',
    { ...REQUEST, recordingConfig: { subscribeUidGroup: 0, maxIdleTime: 60, streamMode: 'standard' } },
    'individual',
  );
  const owner = await ownerOf(composite.sid);
  expect(['b', 'c']).toContain(owner);
  expect(['b', 'c']).toContain(await ownerOf(passedOn.sid));
  const apart = await nodes(home);
  expect(apart.find(({ name }) => name === 'a')).toMatchObject({ readElsewhere: 0, readByOthers: 2 });
  expect(apart.reduce((sum, { readElsewhere = 0 }) => sum + readElsewhere, 0)).toBe(2);
  // Every node answers for both.
  for (const server of [home, ...others]) {
    const path = `/cloud_recording/resourceid/${composite.resourceId}/sid/${composite.sid}/mode/mix/query`;
    expect((await server.call('GET', path)).status).toBe(200);
  }

  await wait(3_000);
  cable.cut();
  await wait(5_000);
  cable.mend();
  await wait(3_000);
  const ended = await passedOn.stop();
  expect(ended).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  const [own] = stored(passedOn.sid, '.mp4');
  expect(missingIn(own!)).toEqual([[], []]);
  expect(see(own!, RED).flashes.length).toBeGreaterThan(8);
  const told = await home.events(composite.sid);
  expect(told.filter(({ eventType }) => eventType === 12)).toEqual([]);

  // The recorder's node dies. Its home has what was not safe, and another goes on from there.
  const [lost, left] = owner === 'b' ? (others as [TestServer, TestServer]) : [others[1]!, others[0]!];
  const lostRun = await newestRun(composite.sid);
  const lostAtMs = Date.now();
  await lost.kill();
  await until('another node has it', async () => (await ownerOf(composite.sid)) !== owner, 40_000);
  const next = await ownerOf(composite.sid);
  expect(await homeOf()).toBe('a');
  await wait(6_000);

  // The home dies. The recorder's node is the channel's home from then on, or whichever node is left.
  await home.kill();
  await until('the channel has another home', async () => !['', 'a'].includes(await homeOf()), 40_000);
  expect([next, await homeOf()]).toEqual([owner === 'b' ? 'c' : 'b', next]);
  await publish(left);
  const live = Date.now();
  await wait(6_000);
  const path = `/cloud_recording/resourceid/${composite.resourceId}/sid/${composite.sid}/mode/mix/stop`;
  const stopped = await left.call('POST', path, { cname: CNAME, uid: '901', clientRequest: {} });
  expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  expect(Date.now() - live).toBeLessThan(60_000);
  // The second node's part begins with what the first had not said to be safe, from before its death.
  expect(await beginAfter(composite.sid, lostRun)).toBeLessThan(lostAtMs);
  const [part] = stored(composite.sid, '.mp4');
  const [flashes, beeps] = [see(part!, RED).flashes, hear(part!, RED).beeps];
  // Whole until the home died and from then on, with one gap.
  const gaps = (marks: readonly number[]) => marks.slice(1).filter((mark, n) => mark - marks[n]! > 1.5);
  expect([gaps(flashes).length, gaps(beeps).length]).toEqual([1, 1]);
  const gapAt = gaps(flashes)[0]!;
  expect(flashes.filter((at) => at < gapAt).length).toBeGreaterThan(5);
  expect(flashes.filter((at) => at >= gapAt).length).toBeGreaterThan(3);
  const events = await left.events(composite.sid);
  expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, n) => n));
});

test('a home that drains has its channel go to the node that records it, and nothing is lost', {
  timeout: 120_000,
}, async () => {
  const cname = 'leaves';
  const live = others.filter(({ isRunning }) => isRunning);
  const drain = (server: TestServer, how: 'drain' | 'undrain') => server.ask('POST', `/v1/aircheck/${how}`);
  if (!home.isRunning) await home.start();
  // Only the home takes a channel for the moment.
  for (const each of live) await drain(each, 'drain');
  const areLive = async (count: number) => (await nodes(home)).filter(({ state }) => state === 'live').length === count;
  await until('the home knows that it is alone', () => areLive(1), 30_000);
  await publish(home, cname);
  for (const each of live) await drain(each, 'undrain');
  await until('all take recordings', () => areLive(live.length + 1), 30_000);
  // What nodes know of each other is up to a second old.
  await wait(1_500);
  const recording = await live[0]!.record(cname, '903', {
    ...REQUEST,
    recordingConfig: { maxIdleTime: 60, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
  });
  const owner = await ownerOf(recording.sid);
  expect(['b', 'c']).toContain(owner);
  expect(await homeOf(cname)).toBe('a');
  const recorder = others[owner === 'b' ? 0 : 1]!;
  await wait(3_000);

  const former = publisher!;
  publisher = await publishWithRtc({ ...recorder.running.whip(cname, '1'), ...SOURCE, waits: true });
  await drain(home, 'drain');
  await until('the channel is at home where it is recorded', async () => (await homeOf(cname)) === owner, 30_000);
  // As the publish page does: it is at the new home before it leaves the former.
  await publisher.join();
  await until('the publisher is there', () => isReceived(recorder, cname), 30_000);
  await former.stop();
  await wait(4_000);
  expect(await ownerOf(recording.sid)).toBe(owner);
  expect(await recording.stop()).toMatchObject({ body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  const files = stored(recording.sid, '.mp4');
  expect(files.flatMap(missingIn)).toEqual(files.flatMap(() => [[], []]));
  // One run read the former home, and one the new; in what they made each picture and sound follows on the one before.
  const runs = await postgres.rows(
    `select distinct generation from objects where sid = '${recording.sid}' and kind = 'slice'`,
  );
  expect(runs).toHaveLength(2);
  const slices = stored(recording.sid, '.ts').sort();
  for (const [kind, stepS] of [
    ['video', 1 / CANVAS.fps],
    ['audio', 1024 / 48_000],
  ] as const) {
    const steps = stepsIn(slices, kind);
    process.stdout.write(`between two of ${kind}: ${Math.min(...steps)} to ${Math.max(...steps)} s\n`);
    expect(Math.max(...steps)).toBeLessThan(1.5 * stepS);
    expect(Math.min(...steps)).toBeGreaterThan(0.5 * stepS);
  }
});
