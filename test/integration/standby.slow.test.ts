/**
 * Hot standby (ADR 0037, 0042): the channel is at home on one node, its recorders on another, of a composite and of
 * single users, and a second recorder of each on a third. The layout is changed by a call at that third, then the
 * recorders' node dies, and nothing is lost. Another channel is at home on that node too: its recording is there until
 * the last two seconds. A recording of a fourth node goes to its standby because that node drains. Judged by the files.
 */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { missingSeconds } from '../support/judge/offsets.ts';
import { differenceOf } from '../support/judge/sameness.ts';
import { hear, see } from '../support/judge/user-streams.ts';
import { watch } from '../support/judge/watch.ts';
import { RED } from '../support/media/participants.ts';
import { PostgresServer } from '../support/postgres.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';

const CANVAS = { width: 320, height: 180, fps: 15 };
const CNAME = 'standby';
/** A channel that is at home on the node of its recorder. */
const OWN = 'own';

let folder: string;
let postgres: PostgresServer;
let home: TestServer;
/**
 * The node of the recorders, which has more room, the one that stands by for it, and one that is there before both, and
 * drains.
 */
const [lost, kept, drained] = ['b', 'c', 'd'].map((name) => {
  return { name, server: undefined as unknown as TestServer, dir: '' };
}) as [Node, Node, Node];
type Node = { name: string; server: TestServer; dir: string };
const publishers: Publisher[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-standby-'));
  postgres = await PostgresServer.start();
  home = new TestServer(join(folder, 'a'), {
    AIRCHECK_DATABASE_URL: postgres.url,
    AIRCHECK_FLEET_KEY: 'a key of a fleet that is long enough',
    AIRCHECK_NODE_NAME: 'a',
    AIRCHECK_NODE_PORT: '0',
    AIRCHECK_LOCAL_STORAGE_DIR: join(folder, 'stored'),
    AIRCHECK_CALL_TIMEOUT_MS: '20000',
    AIRCHECK_ADMISSION_CPU_PERCENT: '1',
  });
  // The only node there is: the channel is at home on it.
  await home.start();
  await publish(home, CNAME);
  for (const [node, percent] of [
    [lost, 800],
    [kept, 300],
    // A recording is made there, and no standby besides.
    [drained, Math.max(1, Math.floor(8 / availableParallelism()))],
  ] as const) {
    node.dir = join(folder, node.name);
    const own = { AIRCHECK_NODE_NAME: node.name, AIRCHECK_ADMISSION_CPU_PERCENT: String(percent) };
    node.server = home.another(node.dir, own);
  }
  await drained.server.start();
  await untilSending(home, CNAME);
}, 120_000);
afterAll(async () => {
  for (const publisher of publishers) publisher.kill();
  await Promise.all([home, lost.server, kept.server, drained.server].map((s) => s?.isRunning && s.kill()));
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function publish(at: TestServer, cname: string): Promise<void> {
  publishers.push(
    await publishWithRtc({
      ...at.running.whip(cname, '1'),
      ...{ participant: RED, codec: 'h264', width: 320, height: 180, fps: 15, bitrateKbps: 300 },
    }),
  );
}
async function untilSending(at: TestServer, cname: string): Promise<void> {
  const isSending = async () => (await at.participants(cname))[0]?.tracks.every(({ receiving }) => receiving) === true;
  await until('the publisher sends', isSending, 40_000);
}
async function nameOf(sql: string): Promise<string | undefined> {
  const [row] = await postgres.rows(sql);
  return row && String(row['name']);
}
const homeOf = (cname: string) =>
  nameOf(`select name from homes join owners using (owner) where cname = '${cname}' and lease_until > now()`);
const ownerOf = (sid: string) => nameOf(`select name from owners join tasks using (owner) where sid = '${sid}'`);
const standbyOf = (sid: string) => nameOf(`select name from owners join standbys using (owner) where sid = '${sid}'`);
const isProtected = async (sid: string) =>
  (await postgres.rows(`select 1 from standbys where sid = '${sid}' and protected_at is not null`)).length > 0;
const stored = (end: string, of = 'mix') =>
  existsSync(join(folder, 'stored', of)) ? readdirSync(join(folder, 'stored', of)).filter((n) => n.endsWith(end)) : [];

/** How long a playlist says that its slices last, seconds. */
const lengthOf = (playlist: string) =>
  [...playlist.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, length]) => sum + Number(length), 0);

/** Played in the playlist's order, nothing is missing and nothing is there twice. */
function judge(of: string, list: string, kinds: readonly ('flashes' | 'beeps')[]): void {
  const playlist = join(folder, 'stored', of, list);
  const text = readFileSync(playlist, 'utf8');
  const slices = text.split('\n').filter((line) => line.endsWith('.ts'));
  expect(new Set(slices).size).toBe(slices.length);
  for (const kind of kinds) {
    // Slices of both nodes count from the same zero.
    const marks = kind === 'flashes' ? see(playlist, RED).flashes : hear(playlist, RED).beeps;
    expect([list, kind, missingSeconds(marks)]).toEqual([list, kind, []]);
    expect(Math.min(...marks.slice(1).map((at, n) => at - marks[n]!)), `${list} ${kind}`).toBeGreaterThan(0.8);
    expect(marks.length, `${list} ${kind}`).toBeGreaterThanOrEqual(Math.floor(lengthOf(text)) - 1);
  }
}

const untilKnown = (nodes: number) =>
  until(
    `${nodes} nodes are known`,
    async () => (await postgres.rows('select 1 from owners where node_url is not null')).length === nodes,
    30_000,
  );

test('nodes of recorders drain and die, and standbys have every flash and beep', { timeout: 180_000 }, async () => {
  const mixed = (bucket: string) => ({
    storageConfig: localStorage(bucket),
    recordingFileConfig: { avFileType: ['hls'] },
    recordingConfig: { maxIdleTime: 60, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
    aircheck: { standby: true },
  });
  await untilKnown(2);
  const moved = await home.record(CNAME, '904', mixed('moved'));
  expect(await ownerOf(moved.sid)).toBe(drained.name);
  await Promise.all([lost, kept].map(({ server }) => server.start()));
  await untilKnown(4);
  const caller = lost.server;
  const composite = await caller.record(CNAME, '901', mixed('mix'));
  const single = await caller.record(
    CNAME,
    '902',
    {
      storageConfig: localStorage('single'),
      recordingFileConfig: { avFileType: ['hls'] },
      recordingConfig: { maxIdleTime: 60, streamTypes: 2, streamMode: 'standard', subscribeUidGroup: 0 },
      aircheck: { standby: true },
    },
    'individual',
  );
  // A new channel is at home where there is most room.
  await publish(caller, OWN);
  await untilSending(caller, OWN);
  expect(await homeOf(OWN)).toBe(lost.name);
  const own = await caller.record(OWN, '903', mixed('own'));
  const { sid } = composite;
  const sids = [sid, single.sid, own.sid];
  for (const each of sids) {
    await until('another node stands by', async () => (await standbyOf(each)) !== undefined, 40_000);
    expect([await ownerOf(each), await standbyOf(each)]).toEqual([lost.name, kept.name]);
  }
  const { dir } = kept;
  const spooled = (end: string) => {
    const at = join(dir, 'standby', sid, '2');
    const names = existsSync(at) ? readdirSync(at) : [];
    return names.filter((name) => name.endsWith(end)).map((name) => join(at, name));
  };
  // The layout is changed in the middle of a slice, by a call at a node that has to pass it on.
  await until('the standby makes a slice', () => spooled('.ts.part').some((path) => statSync(path).size > 0), 60_000);
  const layout = {
    layoutConfig: [{ uid: '1', x_axis: 0, y_axis: 0, width: 0.9, height: 1, alpha: 1, render_mode: 0 }],
  };
  const path = (mode: string, of: typeof composite, call: string) =>
    `/cloud_recording/resourceid/${of.resourceId}/sid/${of.sid}/mode/${mode}/${call}`;
  const changed = await kept.server.call('POST', path('mix', composite, 'updateLayout'), {
    ...{ cname: CNAME, uid: '901' },
    clientRequest: { mixedVideoLayout: 3, backgroundColor: '#00FF00', ...layout },
  });
  expect(changed.status).toBe(200);
  // Both have made the same slice, whole.
  let twin = '';
  let twinName = '';
  await until(
    'both have made a slice',
    async () => {
      const both = spooled('.ts').find((path) => stored('.ts').some((name) => path.endsWith(name)));
      if (both === undefined) return false;
      twin = join(folder, 'twin.ts');
      copyFileSync(both, twin);
      twinName = basename(both);
      return true;
    },
    60_000,
  );
  for (const each of [...sids, moved.sid])
    await until('it has what the store has not', () => isProtected(each), 30_000);

  const next = await standbyOf(moved.sid);
  expect([lost.name, kept.name]).toContain(next);
  expect((await drained.server.ask('POST', '/v1/aircheck/drain')).status).toBe(200);
  await until('the node that stood by has it', async () => (await ownerOf(moved.sid)) === next, 30_000);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const stop = { cname: CNAME, uid: '904', clientRequest: {} };
  expect(await home.call('POST', path('mix', moved, 'stop'), stop)).toMatchObject({ status: 200 });

  const zeroMs = Number(await nameOf(`select state->>'zeroUtcMs' as name from tasks where sid = '${own.sid}'`));
  const lostS = (Date.now() - zeroMs) / 1000;
  await lost.server.kill();
  for (const each of sids)
    await until('the node that stood by has it', async () => (await ownerOf(each)) === kept.name, 40_000);
  publishers.pop()!.kill();
  await publish(kept.server, OWN);
  await untilSending(kept.server, OWN);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  for (const [recording, mode, cname, uid] of [
    [composite, 'mix', CNAME, '901'],
    [single, 'individual', CNAME, '902'],
    [own, 'mix', OWN, '903'],
  ] as const) {
    // Passed on as well.
    const stopped = await home.call('POST', path(mode, recording, 'stop'), { cname, uid, clientRequest: {} });
    expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  }

  // What the drained node recorded on is in its place, which is none.
  await until(
    'what strayed is mended',
    async () =>
      (await postgres.rows(`select 1 from strays where sid = '${moved.sid}' and storage is not null`)).length === 0,
    60_000,
  );
  judge('moved', stored('.m3u8', 'moved')[0]!, ['flashes', 'beeps']);
  const [list] = stored('.m3u8');
  judge('mix', list!, ['flashes', 'beeps']);
  const lists = stored('.m3u8', 'single');
  const listOf = (type: string) => lists.find((name) => name.endsWith(`__uid_s_1__uid_e_${type}.m3u8`))!;
  judge('single', listOf('video'), ['flashes']);
  judge('single', listOf('audio'), ['beeps']);
  judge('single', listOf('av'), ['flashes', 'beeps']);
  // What was recorded by whoever was both its home and its recorder is there until its death, and goes on afterwards.
  const [listOfOwn] = stored('.m3u8', 'own');
  const ownList = join(folder, 'stored', 'own', listOfOwn!);
  for (const marks of [see(ownList, RED).flashes, hear(ownList, RED).beeps]) {
    const gaps = marks.flatMap((at, n) =>
      n > 0 && at - marks[n - 1]! > 1.5 ? [{ fromS: marks[n - 1]!, toS: at }] : [],
    );
    expect(gaps).toHaveLength(1);
    process.stdout.write(
      `lost at ${lostS.toFixed(2)} s, there until ${gaps[0]!.fromS} s, again from ${gaps[0]!.toS} s\n`,
    );
    // A recorder draws up to two seconds behind the present, and marks are a second apart.
    expect(gaps[0]!.fromS).toBeGreaterThan(lostS - 3);
    expect(marks.filter((at) => at >= gaps[0]!.toS).length).toBeGreaterThan(2);
  }
  // The same slice of both: one by one the pictures are the same, but for what two encoders add. Sound of each is
  // placed by itself (ADR 0037), up to 20 ms from its picture as in any recording (docs/reference/fidelity.md).
  const storedTwin = join(folder, 'stored', 'mix', twinName);
  const { pictures, unlike } = differenceOf(storedTwin, twin, { tolerance: 6 });
  expect(pictures).toEqual([15 * CANVAS.fps, 15 * CANVAS.fps]);
  expect(unlike).toEqual([]);
  // The change is at the same picture of both, and was kept by who went on.
  const isGreen = (file: string) =>
    watch(file, [{ rect: { x: 0.93, y: 0, width: 0.07, height: 1 } }]).views[0]!.map(({ v }) => v < 80);
  expect(isGreen(twin)).toEqual(isGreen(storedTwin));
  const green = isGreen(join(folder, 'stored', 'mix', list!));
  expect([isGreen(twin).at(0), green.indexOf(true) > 0, green.slice(green.indexOf(true)).includes(false)]).toEqual([
    ...[false, true, false],
  ]);
  const [beeps, twinBeeps] = [hear(storedTwin, RED).beeps, hear(twin, RED).beeps];
  const apart = beeps.map((at, n) => Math.abs(at - twinBeeps[n]!));
  expect(Math.max(...apart)).toBeLessThan(0.04);
  for (const [each, node] of [...sids.map((each) => [each, kept.name]), [moved.sid, next]] as const) {
    const events = await kept.server.events(each);
    expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, n) => n));
    const changes = events.filter(({ eventType }) => eventType === 12).length;
    process.stdout.write(`recorders were changed ${changes} times\n`);
    // Once more where the channel had to find another home.
    expect(changes).toBeGreaterThan(0);
    expect(changes).toBeLessThanOrEqual(each === own.sid ? 2 : 1);
    // The report says who filled the gap.
    const { body } = await kept.server.call('GET', `/aircheck/recordings/${each}`);
    expect(body).toMatchObject({
      standby: null,
      quality: { takeovers: [{ node, protectedMs: expect.any(Number) }] },
    });
  }
});
