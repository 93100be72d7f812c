/**
 * A disk that becomes full in the middle of a write: what was written before is stored, and whatever cannot be written
 * costs nothing of it. Judged by the files.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Plan } from '../../src/contract/line/plan.ts';
import { isOutOfRoom } from '../../src/kernel/fault.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { JOURNAL_NAME, readSpool } from '../../src/stages/spool/journal.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { lastWritten, slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, planOf, record } from '../support/scripted-recording.ts';
import { SmallDisk } from '../support/small-disk.ts';

let dir: string;
let disk: SmallDisk | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-full-'));
  // Once there is room, it holds all that is recorded however little was lost before.
  disk = SmallDisk.mount(join(dir, 'disk'), 16_000_000);
});
afterEach(() => {
  disk?.unmount();
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

/** Wall time of the recordings' zero, Unix milliseconds: a minute after a held clock begins. */
const ZERO_UTC_MS = new ManualClock().nowMs() + 60_000;
const USERS: ScriptedUser[] = [
  { uid: '1', participant: RED, fromS: -1, toS: 60 },
  { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60 },
  { uid: '3', participant: BLUE, fromS: -1, toS: 60, video: false },
];

/**
 * What a full disk leaves of the slice that was being written: half of its last picture, and more than is known of;
 * where sound and pictures share a file, pictures wait for a key frame before they go on.
 */
function isOfFullDisk(problem: string): boolean {
  return /declares .* and lasts|^EXTINF adds up to|has no picture$|^a player meets \d damaged/.test(problem);
}

/** Records until this room is full and beyond. */
async function recordUntilFull(small: SmallDisk, roomBytes: number, plan: Plan, stopS: number) {
  const { path } = small;
  small.fill(roomBytes);
  let failure: unknown;
  await record(path, USERS, plan, stopS).catch((error) => {
    failure = error;
  });
  return { spool: spoolOf(small), failure };
}

function spoolOf({ path }: SmallDisk): string {
  const name = readdirSync(path).find((each) => each.startsWith('spool-'));
  if (name === undefined) throw new Error('nothing was recorded');
  return join(path, name);
}

/** Seconds of the recording that each slice reaches to, whether it was finished or not; by its name. */
function reached(dir: string): Map<string, number> {
  const names = readdirSync(dir).filter((name) => /\.(ts|webm|m4s)(\.part)?$/.test(name));
  return new Map(names.map((name) => [name.replace(/\.part$/, ''), lastWritten(join(dir, name))]));
}

const { mp4Limit } = planOf();
test.each<[string, Plan, number]>([
  ['a composite with its MP4', planOf(), 1_000_000],
  ['users alone', individualPlanOf(), 500_000],
  ['users alone, merged', individualPlanOf({ streamMode: 'standard' }), 500_000],
])('%s: nothing that was written is lost, and it goes on once there is room', async (_mode, plan, roomBytes) => {
  if (!disk) return;
  const small = disk;
  let before: Map<string, number> | undefined;
  // For as long as some seconds of the recording, by its held clock.
  let looksWhileFull = 0;
  const room = setInterval(() => {
    if (before || small.freeBytes > 8_192 || ++looksWhileFull < 200) return;
    before = reached(spoolOf(small));
    small.makeRoom();
  }, 5);
  const { spool, failure } = await recordUntilFull(small, roomBytes, plan, 40);
  clearInterval(room);
  expect(failure).toBeUndefined();
  if (!before) throw new Error('the disk was never full');
  const next = join(small.path, '2');
  mkdirSync(next);
  const mp4 = plan.mode === 'mix' ? mp4Limit : undefined;
  await completeRecording({ spoolDir: next, earlierDirs: [spool], mp4, extras: undefined });
  const { files, problems, leftovers } = await readSpool(next);
  expect({ problems, leftovers }).toEqual({ problems: [], leftovers: [] });
  const after = reached(next);
  for (const [name, lastS] of before) {
    if (lastS === Number.NEGATIVE_INFINITY) continue;
    expect(after.get(name), name).toBeGreaterThanOrEqual(lastS - 0.001);
  }
  for (const name of writePlaylists(next, files)) {
    const isMerged = name.includes('uid_e_av') || plan.mode === 'mix';
    const kinds = {
      video: isMerged || name.includes('uid_e_video'),
      audio: isMerged || name.includes('uid_e_audio'),
    };
    const verdict = judgePlaylist(next, name, kinds);
    expect(
      verdict.problems.filter((problem) => !isOfFullDisk(problem)),
      name,
    ).toEqual([]);
    expect(verdict.realS, name).toBeGreaterThan(verdict.declaredS - 0.3);
    const slices = slicesOf(files, name);
    expect(slices.map(({ startUtcMs }) => startUtcMs)).toEqual(slices.map(({ startUtcMs }) => startUtcMs).sort());
    const last = slices.at(-1);
    expect((last?.startUtcMs ?? 0) + (last?.durationUs ?? 0) / 1000 - ZERO_UTC_MS, name).toBeGreaterThan(38_000);
  }
  if (plan.mode === 'mix') expect(lastWritten(join(next, `${BASE}_0.mp4`))).toBeGreaterThan(20);
});

/** Takes a recording's MP4 away, as where it could not be written, or leaves it as a recorder that was killed does. */
function loseMp4(spool: string, how: 'torn' | 'gone'): number {
  const mp4 = join(spool, `${BASE}_0.mp4`);
  const { size } = statSync(mp4);
  // No index, and no line in the journal.
  if (how === 'torn') renameSync(mp4, `${mp4}.part`);
  else rmSync(mp4);
  const lines = readFileSync(join(spool, JOURNAL_NAME), 'utf8').split('\n');
  writeFileSync(join(spool, JOURNAL_NAME), lines.filter((line) => !line.includes('"type":"mp4"')).join('\n'));
  return size;
}

test('what finds no room leaves nothing that takes some, and the next run makes it', async () => {
  if (!disk) return;
  const made = await record(disk.path, USERS, planOf(), 6);
  const size = loseMp4(made.dir, 'gone');
  const [full, next] = ['2', '3'].map((name) => join(disk?.path ?? '', name)) as [string, string];
  for (const each of [full, next]) mkdirSync(each);
  disk.fill(size / 2);
  const freeBytes = disk.freeBytes;
  const failure = await completeRecording({ spoolDir: full, earlierDirs: [made.dir], mp4: mp4Limit }).catch((e) => e);
  expect(isOutOfRoom(failure)).toBe(true);
  // A page or two for the names of the files.
  expect(disk.freeBytes).toBeGreaterThan(freeBytes - 20_000);
  disk.makeRoom();
  await completeRecording({ spoolDir: next, earlierDirs: [made.dir, full], mp4: mp4Limit });
  const { problems, leftovers } = await readSpool(next);
  expect({ problems, leftovers }).toEqual({ problems: [], leftovers: [] });
  expect(probeFile(join(next, `${BASE}_0.mp4`)).durationS).toBeGreaterThan(5.5);
});

test('what is made after the end has the room of a torn MP4 where there is no other', async () => {
  if (!disk) return;
  const made = await record(disk.path, USERS, planOf(), 12);
  const size = loseMp4(made.dir, 'torn');
  const next = join(disk.path, '2');
  mkdirSync(next);
  disk.fill(size / 2);
  await completeRecording({ spoolDir: next, earlierDirs: [made.dir], mp4: mp4Limit, extras: undefined });
  const { files, problems, leftovers } = await readSpool(next);
  expect({ problems, leftovers }).toEqual({ problems: [], leftovers: [] });
  expect(files.map(({ type }) => type)).toContain('mp4');
  expect(probeFile(join(next, `${BASE}_0.mp4`)).durationS).toBeGreaterThan(11.5);
});
