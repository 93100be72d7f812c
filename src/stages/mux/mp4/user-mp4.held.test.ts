/**
 * MP4s of single users, judged second by second: every flash and beep at its place after the user's first sample.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ALL_FORMATS, FilePathSource, Input } from 'mediabunny';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findFlashes } from '../../../../test/support/judge/picture.ts';
import { probeFile, readBoxes } from '../../../../test/support/judge/probe.ts';
import { findBeeps } from '../../../../test/support/judge/sound.ts';
import { makeAacSamples, makeOpusSamples, makeVideoSamples } from '../../../../test/support/media/made-samples.ts';
import { RED } from '../../../../test/support/media/participants.ts';
import { SLICES_ZERO_MS, type SliceRun, writeSlices } from '../../../../test/support/media/user-slices.ts';
import type { Segment, WholeFile } from '../../../media/segment.ts';
import type { VideoCodec } from '../../../media/track.ts';
import type { SliceContainer } from '../slice-container.ts';
import { TsContainer } from '../ts/ts-slices.ts';
import { WebmContainer } from '../webm/webm-container.ts';
import { hasAllMp4s, makeUserMp4, type UserMp4Options } from './user-mp4.ts';

const run = promisify(execFile);
const SIZE = { width: 320, height: 180 };
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-user-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function pictures(codec: VideoCodec, fromS: number, seconds: number, without?: readonly [number, number]): SliceRun {
  const container: SliceContainer = codec === 'h264' ? new TsContainer({ video: SIZE }) : new WebmContainer(codec);
  const made = { codec, ...SIZE, fromS, seconds, gopS: 3, unsteady: true, ...(without && { without }) };
  const shapes = [{ fromS, shape: { ...SIZE, rotate: 0 as const } }];
  return { samples: makeVideoSamples(made), container, codecs: { video: codec }, shapes };
}

function sounds(codec: 'aac' | 'opus', fromS: number, seconds: number): SliceRun {
  if (codec === 'opus')
    return {
      samples: makeOpusSamples({ fromS, seconds, channels: 1 }),
      container: new TsContainer({ audio: { codec, sampleRate: 48_000, channels: 1 } }),
      codecs: { audio: codec },
    };
  const { samples, config } = makeAacSamples({ fromS, seconds, channels: 1 });
  const container = new TsContainer({ audio: { sampleRate: 48_000, channels: 1, extradata: config } });
  return { samples, container, codecs: { audio: codec } };
}

async function record(videoRuns: SliceRun[], audioRuns: SliceRun[]): Promise<Segment[]> {
  const owner = (trackType: 'audio' | 'video') => ({ uid: '7', trackType });
  return [
    ...(await writeSlices({ dir, baseName: 'x_audio', kinds: ['audio'], owner: owner('audio'), runs: audioRuns })),
    ...(await writeSlices({ dir, baseName: 'x_video', kinds: ['video'], owner: owner('video'), runs: videoRuns })),
  ];
}

const LIMIT = { durationMs: 7_200_000, bytes: 2_000_000_000 };
const optionsOf = (slices: Segment[], over: Partial<UserMp4Options> = {}): UserMp4Options => ({
  ...{ dir, baseName: 'x_av', uid: '7', zeroUtcMs: SLICES_ZERO_MS, limit: LIMIT, slices, ...over },
});
const make = (slices: Segment[], over?: Partial<UserMp4Options>) => makeUserMp4(optionsOf(slices, over));

/** Whole seconds at which marks stand, and none elsewhere. */
function secondsOf(marks: { atS: number }[], withinS: number): number[] {
  for (const { atS } of marks) expect(Math.abs(atS - Math.round(atS)), `mark at ${atS}`).toBeLessThan(withinS);
  return marks.map(({ atS }) => Math.round(atS));
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test.each([
  ['h264', 'aac'],
  ['vp9', 'aac'],
  ['av1', 'aac'],
  ['h264', 'opus'],
] as const)('%s and %s, sound first, both with holes', async (video, audio) => {
  const slices = await record(
    [pictures(video, 48, 17, [5, 9]), pictures(video, 75, 6)],
    [sounds(audio, 45, 20), sounds(audio, 74, 7)],
  );
  const files = await make(slices);
  expect(files).toMatchObject([
    { type: 'mp4', name: 'x_av_0.mp4', index: 0, owner: { uid: '7', trackType: 'audio_and_video' } },
  ]);
  const path = join(dir, 'x_av_0.mp4');
  expect(Math.abs(files[0]!.startUtcMs - (SLICES_ZERO_MS + 45_000))).toBeLessThan(25);
  expect(files[0]!.durationUs / 1e6).toBeCloseTo(36, 0);
  const boxes = readBoxes(path).map(({ type }) => type);
  expect(boxes.indexOf('moov')).toBeLessThan(boxes.indexOf('mdat'));
  const { stderr } = await run('/usr/bin/ffmpeg', ['-v', 'error', '-xerror', '-i', path, '-f', 'null', '-']);
  expect(stderr).toBe('');
  const whole = { x: 0, y: 0, width: SIZE.width, height: SIZE.height };
  // Zero is the user's first sample, at 45 s; AAC's priming makes that 21 ms earlier.
  expect(secondsOf(findFlashes(path, whole), 0.06)).toEqual([...range(4, 8), ...range(12, 20), ...range(30, 36)]);
  const heard = secondsOf(findBeeps(path, { toneHz: RED.toneHz }), 0.06);
  expect([...range(1, 20), ...range(30, 36)].filter((s) => !heard.includes(s))).toEqual([]);
});

test('a picture alone, a sound alone, and nothing', async () => {
  expect(await make(await record([pictures('vp9', 3, 4)], []))).toMatchObject([{ owner: { trackType: 'video' } }]);
  expect(await make(await record([], [sounds('aac', 30, 4)]))).toMatchObject([{ owner: { trackType: 'audio' } }]);
  expect(await make([])).toEqual([]);
});

test('another codec begins another file', async () => {
  const slices = await record([pictures('h264', 1, 5), pictures('vp9', 6, 5)], [sounds('aac', 1, 10)]);
  const files = await make(slices);
  expect(files.map(({ name, durationUs }) => [name, Math.round(durationUs / 1e6)])).toEqual([
    ['x_av_0.mp4', 5],
    ['x_av_1.mp4', 5],
  ]);
});

test('pictures of a phone are turned upright by players; each turn of it begins another file', async () => {
  const phone = pictures('h264', 1, 9);
  phone.shapes = [
    { fromS: 1, shape: { ...SIZE, rotate: 90 } },
    { fromS: 4, shape: { ...SIZE, rotate: 180 } },
    { fromS: 7, shape: { ...SIZE, rotate: 270 } },
  ];
  const slices = await record([phone, pictures('vp9', 11, 3)], [sounds('aac', 1, 12)]);
  const files = await make(slices);
  expect([3, 4].map((count) => hasAllMp4s(files.slice(0, count), optionsOf(slices)))).toEqual([false, true]);
  expect(files.map(({ durationUs }) => Math.round(durationUs / 1e6))).toEqual([3, 3, 4, 3]);
  const turns: unknown[] = [];
  for (const { name } of files) {
    const input = new Input({ source: new FilePathSource(join(dir, name)), formats: ALL_FORMATS });
    const track = await input.getPrimaryVideoTrack();
    // How far a player turns it, clockwise, and what of it the ffmpeg program makes.
    const png = join(dir, 'turned.png');
    await run('ffmpeg', ['-y', '-v', 'error', '-i', join(dir, name), '-frames:v', '1', png]);
    const { stdout } = await run('ffprobe', [
      '-v',
      'error',
      '-show_entries',
      'stream=width,height',
      '-of',
      'csv=p=0',
      png,
    ]);
    turns.push([track?.rotation, stdout.trim()]);
    input.dispose();
  }
  expect(turns).toEqual([
    [270, '180,320'],
    [180, '320,180'],
    [90, '180,320'],
    [0, '320,180'],
  ]);
});

test('samples that the muxer refuses are left out and told of, and cost nothing else', async () => {
  // What the second row of each kind holds of the time of the first goes back in time.
  const slices = await record(
    [pictures('h264', 40, 9), pictures('h264', 47, 12)],
    [sounds('aac', 40, 9), sounds('aac', 47, 12)],
  );
  const refused: string[] = [];
  const options = optionsOf(slices);
  await expect(makeUserMp4(options)).rejects.toMatchObject({ code: 'sample-refused' });
  const [file] = await makeUserMp4({ ...options, onRefused: (what) => refused.push(what) });
  expect(file).toMatchObject({ name: 'x_av_0.mp4' });
  expect(refused.length).toBeGreaterThan(50);
  const path = join(dir, 'x_av_0.mp4');
  const { stderr } = await run('/usr/bin/ffmpeg', ['-v', 'error', '-xerror', '-i', path, '-f', 'null', '-']);
  expect(stderr).toBe('');
  const whole = { x: 0, y: 0, width: SIZE.width, height: SIZE.height };
  // Pictures go on with the next key frame, three seconds after the row's first.
  expect(secondsOf(findFlashes(path, whole), 0.06)).toEqual([...range(1, 9), ...range(10, 19)]);
  const heard = secondsOf(findBeeps(path, { toneHz: RED.toneHz }), 0.06);
  expect(range(1, 19).filter((s) => !heard.includes(s))).toEqual([]);
});

test('VP8 is refused before anything is written', async () => {
  const slices = await record([pictures('vp8', 1, 2)], []);
  await expect(make(slices)).rejects.toMatchObject({ code: 'mp4-codec' });
});

/** Full seconds of flashes and beeps in files that follow each other, by the recording, which begins at `fromS`. */
function marksIn(files: WholeFile[], fromS: number): { flashes: number[]; beeps: number[] } {
  const whole = { x: 0, y: 0, width: SIZE.width, height: SIZE.height };
  let atS = fromS;
  const marks = { flashes: [] as number[], beeps: [] as number[] };
  for (const { name, durationUs } of files) {
    const path = join(dir, name);
    const placed = (found: { atS: number }[]) =>
      secondsOf(
        found.map((mark) => ({ atS: mark.atS + atS })),
        0.07,
      );
    marks.flashes.push(...placed(findFlashes(path, whole)));
    marks.beeps.push(...placed(findBeeps(path, { toneHz: RED.toneHz })));
    atS += durationUs / 1e6;
  }
  return marks;
}

describe('at its limit a file ends, and the next goes on', () => {
  test('with a key frame after so many seconds; every picture and every sound is in one of them', async () => {
    const slices = await record([pictures('h264', 40.5, 25)], [sounds('aac', 40.5, 25)]);
    const files = await make(slices, { limit: { ...LIMIT, durationMs: 8000 } });
    // Key frames stand three seconds apart.
    expect(files.map(({ name, durationUs }) => [name, Math.round(durationUs / 1e6)])).toEqual([
      ['x_av_0.mp4', 9],
      ['x_av_1.mp4', 9],
      ['x_av_2.mp4', 7],
    ]);
    const startsMs = files.map(({ startUtcMs }) => startUtcMs - SLICES_ZERO_MS);
    for (const [n, ms] of startsMs.entries()) expect(Math.abs(ms - 40_500 - n * 9000)).toBeLessThan(30);
    const { flashes, beeps } = marksIn(files, 40.5);
    expect(flashes).toEqual(range(41, 66));
    expect(beeps).toEqual(range(41, 66));
    const counts = files.map(({ name }) => probeFile(join(dir, name)));
    const pictureCount = counts.reduce((sum, { video }) => sum + video!.packets, 0);
    const whole = await make(slices, { baseName: 'whole' });
    expect(pictureCount).toBe(probeFile(join(dir, 'whole_0.mp4')).video!.packets);
    expect(counts.every(({ moovFirst, video }) => moovFirst && video!.keyFrames[0]! < 0.03)).toBe(true);
    // What a killed run had made of it is known to lack the rest.
    expect([1, 2, 3].map((count) => hasAllMp4s(files.slice(0, count), optionsOf(slices)))).toEqual([
      false,
      false,
      true,
    ]);
    expect(hasAllMp4s(whole, optionsOf(slices))).toBe(true);
  });

  test('by its size', async () => {
    const slices = await record([pictures('vp9', 1.5, 24)], [sounds('opus', 1.5, 24)]);
    const [all] = await make(slices, { baseName: 'whole' });
    const files = await make(slices, { limit: { ...LIMIT, bytes: Math.round(all!.bytes / 3) } });
    expect(files.length).toBeGreaterThanOrEqual(2);
    for (const { bytes } of files.slice(0, -1)) expect(bytes).toBeLessThan(0.6 * all!.bytes);
    expect(marksIn(files, 1.5).flashes).toEqual(range(2, 26));
  });

  test('with a sound where no picture has come for long', async () => {
    const slices = await record([pictures('h264', 1.5, 4), pictures('h264', 52.5, 6)], [sounds('aac', 1.5, 57)]);
    const files = await make(slices, { limit: { ...LIMIT, durationMs: 25_000 } });
    expect(files.map(({ durationUs }) => Math.round(durationUs / 1e6))).toEqual([25, 25, 7]);
    expect(marksIn(files, 1.5).beeps).toEqual(range(2, 59));
    expect(marksIn(files, 1.5).flashes).toEqual([...range(2, 6), ...range(53, 59)]);
  });

  test('of a recording that was on hold each begins at its own time', async () => {
    const holds = [{ fromUs: 10_000_000, untilUs: 3_610_000_000 }];
    const slices = await record(
      [pictures('h264', 1, 9), pictures('h264', 3610, 12)],
      [sounds('aac', 1, 9), sounds('aac', 3610, 12)],
    );
    const files = await make(slices, { holds, limit: { ...LIMIT, durationMs: 8000 } });
    const starts = files.map(({ startUtcMs }) => Math.round((startUtcMs - SLICES_ZERO_MS) / 1000));
    // What is cut out belongs to no file's length.
    expect(starts).toEqual([1, 3610, 3619]);
    expect(files.map(({ durationUs }) => Math.round(durationUs / 1e6))).toEqual([9, 9, 3]);
    expect([2, 3].map((count) => hasAllMp4s(files.slice(0, count), optionsOf(slices, { holds })))).toEqual([
      false,
      true,
    ]);
  });
});
