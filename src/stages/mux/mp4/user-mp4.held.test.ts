/**
 * MP4s of single users, judged second by second: every flash and beep at its place after the user's first sample.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ALL_FORMATS, FilePathSource, Input } from 'mediabunny';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findFlashes } from '../../../../test/support/judge/picture.ts';
import { readBoxes } from '../../../../test/support/judge/probe.ts';
import { findBeeps } from '../../../../test/support/judge/sound.ts';
import { makeAacSamples, makeOpusSamples, makeVideoSamples } from '../../../../test/support/media/made-samples.ts';
import { RED } from '../../../../test/support/media/participants.ts';
import { SLICES_ZERO_MS, type SliceRun, writeSlices } from '../../../../test/support/media/user-slices.ts';
import type { Segment } from '../../../media/segment.ts';
import type { VideoCodec } from '../../../media/track.ts';
import type { SliceContainer } from '../slice-container.ts';
import { TsContainer } from '../ts/ts-slices.ts';
import { WebmContainer } from '../webm/webm-container.ts';
import { countUserMp4s, makeUserMp4 } from './user-mp4.ts';

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

const make = (slices: Segment[]) => makeUserMp4({ dir, baseName: 'x_av', uid: '7', zeroUtcMs: SLICES_ZERO_MS, slices });

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
  expect(countUserMp4s(slices)).toBe(4);
  const files = await make(slices);
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
  const options = { dir, baseName: 'x_av', uid: '7', zeroUtcMs: SLICES_ZERO_MS, slices };
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
