/**
 * Transport streams over the moment at which their times start over (ISO/IEC 13818-1 §2.4.3.7: 33 bits of 90 kHz, 26.5
 * hours): written, read back, mended after a crash, and made an MP4, which never starts over.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { interleave, makeAudio, makeVideo } from '../../../../test/support/encoded-samples.ts';
import { judgePlaylist } from '../../../../test/support/judge/playlist.ts';
import { probeFile } from '../../../../test/support/judge/probe.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment } from '../../../media/segment.ts';
import { renderPlaylist } from '../hls/playlist.ts';
import { mendSlice } from '../mend-slice.ts';
import { remuxSlices } from '../mp4/remux-slices.ts';
import { readSlices, type SliceSample } from '../read-slices.ts';
import { partPath } from '../spool-file.ts';
import { TS_ZERO_US, TsSlices } from './ts-slices.ts';
import { cutUnits, readTsUnits } from './ts-units.ts';

const run = promisify(execFile);
const FPS = 15;
const SECONDS = 36;
const SIZE = { width: 160, height: 90 };
const WRAP_US = (2 ** 33 / 90_000) * 1e6 - TS_ZERO_US;
/** Where the recording's samples begin: the second of its three slices holds the moment. */
const FROM_US = Math.round(WRAP_US) - 20_000_000;
const ZERO_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const BASE = 'x';

let dir: string;
let samples: EncodedSample[];
let slices: Segment[];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-wrap-'));
  const picture = await makeVideo({ seconds: SECONDS, ...SIZE, fps: FPS, keyIntervalFrames: 2 * FPS, bFrames: 2 });
  const sound = await makeAudio({ seconds: SECONDS, channels: 1 });
  samples = interleave(picture.samples, sound.samples.slice(1)).map((sample) => ({
    ...sample,
    ptsUs: sample.ptsUs + FROM_US,
    dtsUs: sample.dtsUs + FROM_US,
  }));
  slices = [];
  const writer = new TsSlices({
    ...{ dir, baseName: BASE, zeroUtcMs: ZERO_MS, onFile: (file) => void slices.push(file) },
    video: { ...SIZE, fps: FPS, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 1, extradata: sound.extradata },
  });
  for (const sample of samples) writer.write(sample);
  await writer.finish();
  writeFileSync(join(dir, `${BASE}.m3u8`), renderPlaylist(slices, { extinfComma: false }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const paths = () => slices.map(({ name }) => join(dir, name));
const of = (kind: string, all: readonly EncodedSample[]) => all.filter((sample) => sample.kind === kind);

/** The first 33-bit decode time, or presentation time where there is none, of each unit of picture, ticks. */
async function timesIn(path: string): Promise<number[]> {
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v', '-show_entries', 'packet=dts', '-of', 'csv=p=0', path],
  ]);
  return stdout.split('\n').flatMap((line) => (line ? [Number.parseInt(line, 10)] : []));
}

test('the second slice holds the moment, and goes on over it', async () => {
  expect(slices).toHaveLength(3);
  const raw = readTsUnits(readFileSync(paths()[1]!), 0).map(({ pts }) => pts);
  // Near zero, what was before is before it.
  expect(Math.min(...raw)).toBeLessThan(-FPS);
  expect(Math.max(...raw)).toBeGreaterThan(FPS);
  const times = await timesIn(paths()[1]!);
  expect(times.length).toBe(16 * FPS);
  for (const [n, time] of times.slice(1).entries()) expect(Math.round((time - times[n]!) / 6000)).toBe(1);
});

test('are read back at the times they were written with', async () => {
  const found: SliceSample[] = [];
  for await (const sample of readSlices(paths(), FROM_US)) found.push(sample);
  for (const kind of ['video', 'audio']) {
    const [before, after] = [of(kind, samples), of(kind, found)];
    expect(after).toHaveLength(before.length);
    for (const [n, { ptsUs, dtsUs }] of after.entries()) {
      expect(Math.abs(ptsUs - before[n]!.ptsUs)).toBeLessThan(12);
      expect(Math.abs(dtsUs - before[n]!.dtsUs)).toBeLessThan(12);
    }
  }
});

test('are one recording for players of playlists', async () => {
  expect(judgePlaylist(dir, `${BASE}.m3u8`).problems).toEqual([]);
  const playlist = join(dir, `${BASE}.m3u8`);
  const { stderr } = await run('ffmpeg', ['-v', 'warning', '-i', playlist, '-f', 'null', '-']);
  expect(stderr).toBe('');
  const { video } = probeFile(playlist);
  expect(video?.packets).toBe(SECONDS * FPS);
  expect(video?.maxStepS).toBeLessThan(1.1 / FPS);
});

test('make MP4s that go on over it, also where one is cut', async () => {
  for (const [name, durationMs, frames] of [
    ['one', 7_200_000, [SECONDS * FPS]],
    // Key frames stand two seconds apart.
    ['cut', 19_000, [20 * FPS, 16 * FPS]],
  ] as const) {
    const made = await remuxSlices(paths(), {
      ...{ dir, baseName: name, zeroUtcMs: ZERO_MS, limit: { durationMs, bytes: 1e9 }, nearUs: FROM_US },
    });
    const probes = made.map((file) => probeFile(join(dir, file.name)));
    expect(probes.map(({ video }) => video?.packets)).toEqual(frames);
    for (const [n, { video, audio, moovFirst, durationS }] of probes.entries()) {
      expect(moovFirst).toBe(true);
      expect(durationS).toBeCloseTo(frames[n]! / FPS, 1);
      expect(video?.startS).toBeCloseTo(0, 3);
      expect(video?.maxStepS).toBeLessThan(1.1 / FPS);
      expect(audio?.maxStepS).toBeLessThan(0.0225);
    }
    const [first] = made;
    expect(Math.abs(first!.startUtcMs - (ZERO_MS + FROM_US / 1000))).toBeLessThan(1);
  }
});

test('torn behind the moment, a slice is mended and cut as any other', async () => {
  const whole = readFileSync(paths()[1]!);
  const torn = whole.subarray(0, Math.floor(whole.length * 0.8));
  const near = Math.round((FROM_US + TS_ZERO_US + 16e6) * 0.09);
  const options = { isTorn: true, pictureTicks: 90_000 / FPS, soundTo: undefined };
  const cut = cutUnits(readTsUnits(torn, near), options);
  const lengthS = (cut.videoEnd! - cut.videoStart!) / 90_000;
  expect(cut.videoEnd).toBeGreaterThan(2 ** 33);
  expect(lengthS).toBeGreaterThan(8);
  expect(lengthS).toBeLessThan(16);
  const name = `${BASE}_20260103053513000.ts`;
  writeFileSync(partPath(join(dir, name)), torn);
  const mended = await mendSlice(dir, name);
  expect((mended!.endUs - mended!.startUs) / 1e6).toBeGreaterThan(lengthS);
  expect((mended!.endUs - mended!.startUs) / 1e6).toBeLessThan(16);
});
