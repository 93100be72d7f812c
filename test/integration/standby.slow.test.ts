/**
 * Hot standby (ADR 0037, 0042): the channel is at home on one node, its recorders on another, of a composite and of
 * single users, and a second recorder of each on a third. The recorders' node dies, and nothing is lost: judged by the
 * files.
 */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { missingSeconds } from '../support/judge/offsets.ts';
import { differenceOf } from '../support/judge/sameness.ts';
import { hear, see } from '../support/judge/user-streams.ts';
import { RED } from '../support/media/participants.ts';
import { PostgresServer } from '../support/postgres.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';

const CANVAS = { width: 320, height: 180, fps: 15 };
const CNAME = 'standby';

let folder: string;
let postgres: PostgresServer;
let home: TestServer;
/** The node of the recorders, which has more room, and the one that stands by for it. */
const [lost, kept] = ['b', 'c'].map((name) => {
  return { name, server: undefined as unknown as TestServer, dir: '' };
}) as [Node, Node];
type Node = { name: string; server: TestServer; dir: string };
let publisher: Publisher | undefined;

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
  publisher = await publishWithRtc({
    ...home.running.whip(CNAME, '1'),
    ...{ participant: RED, codec: 'h264', width: 320, height: 180, fps: 15, bitrateKbps: 300 },
  });
  for (const node of [lost, kept]) {
    node.dir = join(folder, node.name);
    const own = { AIRCHECK_NODE_NAME: node.name, AIRCHECK_ADMISSION_CPU_PERCENT: node === lost ? '800' : '300' };
    node.server = home.another(node.dir, own);
  }
  await Promise.all([lost, kept].map(({ server }) => server.start()));
  await until(
    'the publisher sends',
    async () => (await home.participants(CNAME))[0]?.tracks.every(({ receiving }) => receiving) === true,
    20_000,
  );
}, 120_000);
afterAll(async () => {
  publisher?.kill();
  await Promise.all([home, lost.server, kept.server].map((s) => s?.isRunning && s.kill()));
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function nameOf(sql: string): Promise<string | undefined> {
  const [row] = await postgres.rows(sql);
  return row && String(row['name']);
}
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

test('the node of recorders dies, and their standbys have every flash and beep', { timeout: 150_000 }, async () => {
  await until(
    'all three are known',
    async () => (await postgres.rows('select 1 from owners where node_url is not null')).length === 3,
    10_000,
  );
  const caller = lost.server;
  const composite = await caller.record(CNAME, '901', {
    storageConfig: localStorage('mix'),
    recordingFileConfig: { avFileType: ['hls'] },
    recordingConfig: { maxIdleTime: 60, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
    aircheck: { standby: true },
  });
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
  const { sid } = composite;
  const sids = [sid, single.sid];
  for (const each of sids) {
    await until('another node stands by', async () => (await standbyOf(each)) !== undefined, 20_000);
    expect([await ownerOf(each), await standbyOf(each)]).toEqual([lost.name, kept.name]);
  }
  const { dir } = kept;
  // Both have made the same slice, whole.
  const spooled = () => {
    const at = join(dir, 'standby', sid, '2');
    const names = existsSync(at) ? readdirSync(at) : [];
    return names.filter((name) => name.endsWith('.ts')).map((name) => join(at, name));
  };
  let twin = '';
  let twinName = '';
  await until(
    'both have made a slice',
    async () => {
      const both = spooled().find((path) => stored('.ts').some((name) => path.endsWith(name)));
      if (both === undefined) return false;
      twin = join(folder, 'twin.ts');
      copyFileSync(both, twin);
      twinName = basename(both);
      return true;
    },
    60_000,
  );
  for (const each of sids) await until('it has what the store has not', () => isProtected(each), 30_000);
  await lost.server.kill();
  for (const each of sids)
    await until('the node that stood by has it', async () => (await ownerOf(each)) === kept.name, 20_000);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  for (const [recording, mode, uid] of [
    [composite, 'mix', '901'],
    [single, 'individual', '902'],
  ] as const) {
    const path = `/cloud_recording/resourceid/${recording.resourceId}/sid/${recording.sid}/mode/${mode}/stop`;
    const stopped = await kept.server.call('POST', path, { cname: CNAME, uid, clientRequest: {} });
    expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  }

  const [list] = stored('.m3u8');
  judge('mix', list!, ['flashes', 'beeps']);
  const lists = stored('.m3u8', 'single');
  const listOf = (type: string) => lists.find((name) => name.endsWith(`__uid_s_1__uid_e_${type}.m3u8`))!;
  judge('single', listOf('video'), ['flashes']);
  judge('single', listOf('audio'), ['beeps']);
  judge('single', listOf('av'), ['flashes', 'beeps']);
  // The same slice of both: one by one the pictures are the same, but for what two encoders add. Sound of each is
  // placed by itself (ADR 0037), up to 20 ms from its picture as in any recording (docs/reference/fidelity.md).
  const storedTwin = join(folder, 'stored', 'mix', twinName);
  const { pictures, unlike } = differenceOf(storedTwin, twin, { tolerance: 6 });
  expect(pictures).toEqual([15 * CANVAS.fps, 15 * CANVAS.fps]);
  expect(unlike).toEqual([]);
  const [beeps, twinBeeps] = [hear(storedTwin, RED).beeps, hear(twin, RED).beeps];
  const apart = beeps.map((at, n) => Math.abs(at - twinBeeps[n]!));
  expect(Math.max(...apart)).toBeLessThan(0.04);
  for (const each of sids) {
    const events = await kept.server.events(each);
    expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, n) => n));
    expect(events.filter(({ eventType }) => eventType === 12)).toHaveLength(1);
    // The report says who filled the gap.
    const { body } = await kept.server.call('GET', `/aircheck/recordings/${each}`);
    expect(body).toMatchObject({
      standby: null,
      quality: { takeovers: [{ node: kept.name, protectedMs: expect.any(Number) }] },
    });
  }
});
