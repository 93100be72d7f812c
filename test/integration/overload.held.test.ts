/**
 * Composites on a machine that is too slow for them for a while: what is taken from the picture, in which order, that
 * it comes back, and that the sound is whole throughout. Judged in the files.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import type { Segment } from '../../src/media/segment.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { readSpool } from '../../src/stages/spool/journal.ts';
import { readRuns } from '../../src/stages/spool/recording-spool.ts';
import { avOffsets, missingSeconds } from '../support/judge/offsets.ts';
import { flashesIn, isColour } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { beepsIn, dropoutsIn, listen } from '../support/judge/sound.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { joinRuns } from '../support/killed-recording.ts';
import { RED, yuvOf } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, planOf } from '../support/scripted-recording.ts';
import { type MadeSlowly, recordSlowly } from '../support/slow-machine.ts';

const FPS = 30;
/** As long as one frame may take on a machine that is just fast enough. */
const FRAME_MS = 1000 / FPS;
const user: ScriptedUser = { uid: '1', participant: RED, fromS: -1, toS: 300 };
const layout = {
  kind: 'custom' as const,
  regions: [{ uid: '1', x: 0.25, y: 0, width: 0.75, height: 1, alpha: 1, render: 'crop' as const }],
};
/** Red on the right, and a background that can be changed beside it. */
const plan = planOf({
  video: { width: 320, height: 180, fps: FPS, bitrateKbps: 400, backgroundColor: '#000000', layout },
});
const CAMERA = { x: 0.25, y: 0, width: 0.75, height: 1 };
const BACKGROUND = { x: 0.02, y: 0.1, width: 0.2, height: 0.8 };
const BLUE_BACKGROUND = yuvOf({ r: 0, g: 0, b: 255 });

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-overload-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const stepsOf = ({ happenings }: MadeSlowly) =>
  happenings.flatMap((each) => (each.type === 'rungChanged' ? [{ rung: each.rung, atS: each.atS }] : []));
const rungsOf = (made: MadeSlowly) => stepsOf(made).map(({ rung }) => rung);
const reportOf = (made: MadeSlowly) =>
  JSON.parse(readFileSync(join(made.dirs.at(-1)!, `${BASE}_report.json`), 'utf8')) as QualityReport;

/** How many frames each second of a file has. */
function ratesOf(readings: readonly Reading[], seconds: number): number[] {
  const rates = Array.from({ length: seconds }, () => 0);
  for (const { atS } of readings) rates[Math.floor(atS + 0.001)]!++;
  return rates;
}

/**
 * Fails unless the sound of a file has each beep, at its second, and no gap, and the picture goes with it from its
 * first to its last moment.
 * @param offMs how far a flash may be from its beep: one that was left out is seen with the next frame
 */
function judgeWhole(path: string, seconds: number, offMs: number): { camera: Reading[]; background: Reading[] } {
  const heard = listen(path);
  expect(dropoutsIn(heard, RED.toneHz)).toEqual([]);
  const beeps = beepsIn(heard, { toneHz: RED.toneHz }).map(({ atS }) => atS);
  expect(missingSeconds(beeps)).toEqual([]);
  expect(beeps.length).toBeGreaterThanOrEqual(seconds - 1);
  const { views, damaged, sizes } = watch(path, [{ rect: CAMERA }, { rect: BACKGROUND }]);
  expect([damaged, sizes]).toEqual([0, ['320x180']]);
  const offsets = avOffsets(
    flashesIn(views[0]!).map(({ atS }) => atS),
    beeps,
  );
  expect(Math.abs(offsets.worstMs)).toBeLessThan(offMs);
  expect(offsets.missing).toEqual([]);
  const { video, audio, durationS } = probeFile(path);
  expect(Math.abs(video!.endS - audio!.endS)).toBeLessThan(0.05);
  expect(Math.abs(durationS - seconds)).toBeLessThan(0.05);
  return { camera: views[0]!, background: views[1]! };
}

/** Fails unless slices and MP4 have the same frames, and slices are as long as their playlist says. */
async function judgeSlices(runDir: string, frames: number, seconds: number): Promise<void> {
  const { files } = await readSpool(runDir);
  const slices = files.filter((file): file is Segment => file.type === 'slice');
  writeFileSync(join(runDir, 'x.m3u8'), renderPlaylist(slices, { extinfComma: false }));
  // A transport stream does not say how long its last frame is shown; the judge takes the frame rate's word for it.
  const shownLonger = /^[\d.]+ ms of video missing before /;
  expect(judgePlaylist(runDir, 'x.m3u8').problems.filter((problem) => !shownLonger.test(problem))).toEqual([]);
  expect(Math.abs(slices.reduce((sum, { durationUs }) => sum + durationUs, 0) / 1e6 - seconds)).toBeLessThan(0.05);
  expect(slices.slice(0, -1).every(({ durationUs }) => durationUs === 15_000_000)).toBe(true);
  expect(probeFile(join(runDir, 'x.m3u8')).video!.packets).toBe(frames);
  expect(liveFrames()).toBe(0);
}

test('a machine that is too slow for a while costs pictures and no sound, and they come back', async () => {
  const made = await recordSlowly(dir, [user], plan, {
    // From 3 to 12 s somebody else has more than half of the machine.
    pictureMs: (atS) => (atS >= 3 && atS < 12 ? 2.2 * FRAME_MS : 4),
    stopS: 28,
    changes: [{ atS: 10.5, change: { type: 'changeLayout', layout, backgroundColor: '#0000ff' } }],
  });
  expect(rungsOf(made)).toEqual(['fastCoding', 'fastestCoding', 'halfRate', 'fastestCoding']);
  const [first, , half, up] = stepsOf(made);
  // Late for two seconds before the first step, and in time for ten before one up.
  expect(first!.atS).toBeLessThan(8);
  expect(up!.atS).toBeGreaterThan(22);
  const path = join(made.dirs[0]!, `${BASE}_0.mp4`);
  const { camera, background } = judgeWhole(path, 28, 90);

  const rates = ratesOf(camera, 28);
  // What is made at a moment lies a second or more before it in the file.
  const [halfS, upS] = [Math.ceil(half!.atS), Math.floor(up!.atS) - 2];
  expect(rates.slice(0, first!.atS - 4)).toEqual(rates.slice(0, first!.atS - 4).map(() => FPS));
  expect(rates.slice(halfS, upS)).toEqual(rates.slice(halfS, upS).map(() => FPS / 2));
  expect(rates.slice(upS + 3)).toEqual(rates.slice(upS + 3).map(() => FPS));

  const changedS = background.find((reading) => isColour(reading, BLUE_BACKGROUND))!.atS;
  expect(changedS - 10.5).toBeGreaterThan(-0.04);
  expect(changedS - 10.5).toBeLessThan(0.14);

  const { overload } = reportOf(made);
  expect(overload).toMatchObject({ rung: 'fastestCoding', leftOutFrames: 28 * FPS - camera.length, moreSteps: 0 });
  expect(overload!.steps.map(({ rung }) => rung)).toEqual(rungsOf(made));
  for (const [n, { atMs }] of overload!.steps.entries()) expect(atMs).toBeCloseTo(stepsOf(made)[n]!.atS * 1000, -2);
  await judgeSlices(made.dirs[0]!, camera.length, 28);
});

test('a machine that is hopelessly slow still records every sound, and a picture each second', async () => {
  const made = await recordSlowly(dir, [user], plan, {
    pictureMs: (atS) => (atS >= 2 ? 20 * FRAME_MS : 4),
    stopS: 20.5,
  });
  expect(rungsOf(made).slice(0, 6)).toEqual([
    ...['fastCoding', 'fastestCoding', 'halfRate', 'thirdRate', 'lessDetail', 'oneASecond'],
  ]);
  const path = join(made.dirs[0]!, `${BASE}_0.mp4`);
  const { camera } = judgeWhole(path, 20.5, 1000);
  const rates = ratesOf(camera, 21);
  expect(rates[0]).toBe(FPS);
  expect(rates.slice(15, 20)).toEqual(rates.slice(15, 20).map(() => 1));
  // The last frame is made whatever the rung is.
  expect(rates.at(-1)).toBe(2);
  await judgeSlices(made.dirs[0]!, camera.length, 20.5);
});

test('nothing is taken where nothing may be', async () => {
  const made = await recordSlowly(dir, [user], plan, {
    pictureMs: (atS) => (atS >= 1 && atS < 6 ? 2 * FRAME_MS : 4),
    ...{ stopS: 8, lowestRung: 'full' },
  });
  expect(rungsOf(made)).toEqual([]);
  expect(made.worstLagS).toBeGreaterThan(2);
  expect(reportOf(made).overload).toBeUndefined();
  const { camera } = judgeWhole(join(made.dirs[0]!, `${BASE}_0.mp4`), 8, 80);
  expect(camera).toHaveLength(8 * FPS);
});

test('no second lacks a picture where a recorder that makes one a second is lost', async () => {
  const made = await recordSlowly(dir, [user], plan, {
    pictureMs: (atS) => (atS >= 2 ? 20 * FRAME_MS : 4),
    ...{ stopS: 40, kill: { atS: 26, downS: 1 } },
  });
  expect(made.dirs).toHaveLength(2);
  const { playlist } = joinRuns({ spool: await readRuns(made.dirs) }, join(dir, 'all'));
  const [readings] = watch(playlist, [{ rect: CAMERA }]).views;
  expect(ratesOf(readings!, 40).every((rate) => rate > 0)).toBe(true);
});

test('the run after a lost one begins on its rung, and catching up is no overload', async () => {
  const made = await recordSlowly(dir, [user], plan, {
    // Too slow for the whole, fast enough one rung down.
    pictureMs: () => 1.25 * FRAME_MS,
    ...{ stopS: 20, kill: { atS: 10, downS: 3 } },
  });
  expect(rungsOf(made)[0]).toBe('fastCoding');
  const again = stepsOf(made).filter(({ atS }) => atS >= 13);
  expect(again[0]).toMatchObject({ rung: 'fastCoding' });
  expect(again[0]!.atS).toBeLessThan(13.1);
  // It had five seconds to catch up with, and did so in the time that one rung down leaves.
  expect(again[1]?.rung).not.toBe('fastestCoding');
  expect(made.happenings.some(({ type }) => type === 'outputFailed')).toBe(false);
  const { overload } = reportOf(made);
  expect(overload!.steps[0]!.rung).toBe('fastCoding');
  expect(overload!.leftOutFrames).toBe(0);
});
