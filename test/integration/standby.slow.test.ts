/**
 * Hot standby (ADR 0037): the channel is at home on one node, its recorder on another, and a second recorder on a
 * third. Both make the same pictures. The recorder's node dies, and nothing is lost: judged by the files.
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
/** Each node with its data folder, by name. */
const others = new Map<string, { server: TestServer; dir: string }>();
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
  for (const name of ['b', 'c']) {
    const dir = join(folder, name);
    const own = { AIRCHECK_NODE_NAME: name, AIRCHECK_ADMISSION_CPU_PERCENT: '400' };
    others.set(name, { dir, server: home.another(dir, own) });
  }
  await Promise.all([...others.values()].map(({ server }) => server.start()));
  await until(
    'the publisher sends',
    async () => (await home.participants(CNAME))[0]?.tracks.every(({ receiving }) => receiving) === true,
    20_000,
  );
}, 120_000);
afterAll(async () => {
  publisher?.kill();
  await Promise.all([home, ...[...others.values()].map(({ server }) => server)].map((s) => s.isRunning && s.kill()));
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function nameOf(sql: string): Promise<string | undefined> {
  const [row] = await postgres.rows(sql);
  return row && String(row['name']);
}
const ownerOf = (sid: string) => nameOf(`select name from owners join tasks using (owner) where sid = '${sid}'`);
const standbyOf = (sid: string) => nameOf(`select name from owners join standbys using (owner) where sid = '${sid}'`);
const stored = (end: string) =>
  existsSync(join(folder, 'stored', 'b'))
    ? readdirSync(join(folder, 'stored', 'b')).filter((n) => n.endsWith(end))
    : [];

/** How long a playlist says that its slices last, seconds. */
const lengthOf = (playlist: string) =>
  [...playlist.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, length]) => sum + Number(length), 0);
test('the node of a recorder dies, and its standby has every flash and beep', { timeout: 150_000 }, async () => {
  await until(
    'all three are known',
    async () => (await postgres.rows('select 1 from owners where node_url is not null')).length === 3,
    10_000,
  );
  const caller = others.get('b')!.server;
  const recording = await caller.record(CNAME, '901', {
    storageConfig: localStorage('b'),
    recordingFileConfig: { avFileType: ['hls'] },
    recordingConfig: { maxIdleTime: 60, transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 } },
    aircheck: { standby: true },
  });
  const { sid } = recording;
  await until('another node stands by', async () => (await standbyOf(sid)) !== undefined, 20_000);
  const [owner, standby] = [await ownerOf(sid), await standbyOf(sid)];
  expect([owner, standby].sort()).toEqual(['b', 'c']);
  const { dir } = others.get(standby!)!;
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
  const lost = others.get(owner!)!.server;
  const kept = others.get(standby!)!.server;
  await lost.kill();
  await until('the node that stood by has it', async () => (await ownerOf(sid)) === standby, 20_000);
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  const path = `/cloud_recording/resourceid/${recording.resourceId}/sid/${sid}/mode/mix/stop`;
  const stopped = await kept.call('POST', path, { cname: CNAME, uid: '901', clientRequest: {} });
  expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });

  // Played in the playlist's order, nothing is missing and nothing is there twice.
  const [list] = stored('.m3u8');
  const text = readFileSync(join(folder, 'stored', 'b', list!), 'utf8');
  const slices = text.split('\n').filter((line) => line.endsWith('.ts'));
  expect(new Set(slices).size).toBe(slices.length);
  // Slices of both nodes count from the same zero.
  const playlist = join(folder, 'stored', 'b', list!);
  const marks = [see(playlist, RED).flashes, hear(playlist, RED).beeps];
  expect(marks.map(missingSeconds)).toEqual([[], []]);
  for (const each of marks) {
    expect(Math.min(...each.slice(1).map((at, n) => at - each[n]!))).toBeGreaterThan(0.8);
    expect(each.length).toBeGreaterThanOrEqual(Math.floor(lengthOf(text)) - 1);
  }
  // The same slice of both: one by one the pictures are the same, but for what two encoders add. Sound of each is
  // placed by itself (ADR 0037), up to 20 ms from its picture as in any recording (docs/reference/fidelity.md).
  const storedTwin = join(folder, 'stored', 'b', twinName);
  const { pictures, unlike } = differenceOf(storedTwin, twin, { tolerance: 6 });
  expect(pictures).toEqual([15 * CANVAS.fps, 15 * CANVAS.fps]);
  expect(unlike).toEqual([]);
  const [beeps, twinBeeps] = [hear(storedTwin, RED).beeps, hear(twin, RED).beeps];
  const apart = beeps.map((at, n) => Math.abs(at - twinBeeps[n]!));
  expect(Math.max(...apart)).toBeLessThan(0.04);
  const events = await kept.events(sid);
  expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, n) => n));
  expect(events.filter(({ eventType }) => eventType === 12)).toHaveLength(1);
});
