/**
 * One output of a composite that the disk refuses: it costs that output what was refused, and the others nothing. The
 * files are judged.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import { completeSpool } from '../../src/pipeline/complete.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { reportName, sliceName } from '../../src/stages/mux/names.ts';
import { readSpool } from '../../src/stages/spool/journal.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, type Made, planOf, record } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-refused-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

const STOP_S = 9;
const USERS: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 60 }];
/** Where a folder stands no file can be written, as on a disk that fails. */
const recordWith = (plan: ReturnType<typeof planOf>, folder: string) =>
  record(dir, USERS, plan, STOP_S, 0, [], (spoolDir) => mkdirSync(join(spoolDir, folder), { recursive: true }));
const beepsOf = (path: string) => beepsIn(listen(path), { toneHz: RED.toneHz }).map(({ atS }) => atS);
const namesOf = ({ files }: Pick<Made, 'files'>, type: 'mp4' | 'slice') =>
  files.flatMap((file) => (file.type === type ? [file.name] : []));
/** The beeps of a playlist's slices, in seconds of the first of them. */
function beepsOfSlices(made: Made): number[] {
  const slices = made.files.filter((file) => file.type === 'slice');
  writeFileSync(join(made.dir, `${BASE}.m3u8`), renderPlaylist(slices, { extinfComma: false }));
  expect(judgePlaylist(made.dir, `${BASE}.m3u8`).problems).toEqual([]);
  return beepsOf(join(made.dir, `${BASE}.m3u8`));
}
const failures = ({ happenings }: Made) => happenings.flatMap((h) => (h.type === 'outputFailed' ? [h.what] : []));

test('a second MP4 that cannot be begun costs no slice, is told, and is made from the slices', async () => {
  const plan = planOf({ mp4Limit: { durationMs: 3000, bytes: 2_000_000_000 } });
  const made = await recordWith(plan, `${BASE}_1.mp4.part`);
  expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
  expect(failures(made)).toEqual([
    expect.stringMatching(
      /^the MP4 is made from the slices at the end, as it could not be written: creating .*_1\.mp4/,
    ),
  ]);
  const { degraded } = JSON.parse(readFileSync(join(made.dir, reportName(BASE)), 'utf8')) as QualityReport;
  expect(degraded.map(({ what }) => what)).toEqual(failures(made));
  expect(beepsOfSlices(made)).toHaveLength(STOP_S);
  expect(namesOf(made, 'mp4')).toEqual([`${BASE}_0.mp4`]);

  rmdirSync(join(made.dir, `${BASE}_1.mp4.part`));
  await completeSpool(made.dir, { mp4: plan.mp4Limit });
  const mp4s = namesOf(await readSpool(made.dir), 'mp4');
  expect(mp4s).toEqual([0, 1, 2].map((n) => `${BASE}_${n}.mp4`));
  expect(mp4s.flatMap((name) => beepsOf(join(made.dir, name)))).toHaveLength(STOP_S);
});

test('a slice that cannot be begun costs what was in it, and the MP4 nothing', async () => {
  const made = await recordWith(planOf(), `${sliceName(BASE, Date.UTC(2026, 0, 1, 0, 1))}.part`);
  expect(failures(made)).toEqual([expect.stringMatching(/^the slices lack something: creating /)]);
  expect(beepsOf(made.mp4)).toHaveLength(STOP_S);
  // They go on with the key frame at 3 s; the beep of that moment began before it.
  expect(beepsOfSlices(made)).toHaveLength(STOP_S - 4);
});

test('where there are no slices, an MP4 that cannot be finished costs itself, and the next are written', async () => {
  const plan = planOf({ files: { hls: false, mp4: true }, mp4Limit: { durationMs: 3000, bytes: 2_000_000_000 } });
  // Nothing can be renamed to a folder that is not empty.
  const made = await recordWith(plan, `${BASE}_0.mp4/full`);
  expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
  expect(failures(made)).toEqual([expect.stringMatching(/^the MP4 lacks something: .*_0\.mp4: /)]);
  expect(namesOf(made, 'mp4')).toEqual([1, 2].map((n) => `${BASE}_${n}.mp4`));
  expect(namesOf(made, 'mp4').flatMap((name) => beepsOf(join(made.dir, name)))).toHaveLength(STOP_S - 3);
});
