/**
 * An encoder whose effort changes while it runs: one stream for every reader, whatever was chosen and when.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Picture } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { liveFrames } from './native-frames.ts';
import { PicturePool } from './picture-pool.ts';
import { VideoDecoder } from './video-decoder.ts';
import { VideoEncoder } from './video-encoder.ts';
import type { Effort } from './x264.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

const OPTIONS = { width: 320, height: 180, fps: 30, bitrateKbps: 400, keyIntervalFrames: 90, threads: 1 };
const VERYFAST: Effort = { preset: 'veryfast', detail: 1 };
const SUPERFAST: Effort = { preset: 'superfast', detail: 1 };
const ULTRAFAST: Effort = { preset: 'ultrafast', detail: 1 };
const COARSE: Effort = { preset: 'ultrafast', detail: 0.3 };

/** Noise that moves, in a grey whose brightness tells the number. */
function paint({ planes, strides }: Picture, n: number): void {
  planes[1].fill(90);
  planes[2].fill(200);
  let seed = n + 1;
  for (let y = 0; y < 180; y++)
    for (let x = 0; x < 320; x++) {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      const isMark = x < 32 && y < 32;
      planes[0][y * strides[0] + x] = isMark ? markOf(n) : 100 + ((seed >> 16) & 31) + ((x + n) & 31);
    }
}
const markOf = (n: number) => 16 + 3 * (n % 70);

/** @param efforts by the frame from which on they are asked for */
async function encode(
  indexes: readonly number[],
  efforts: Readonly<Record<number, Effort>>,
): Promise<{ samples: EncodedSample[]; extradata: Buffer }> {
  const pool = new PicturePool();
  const encoder = new VideoEncoder({ ...OPTIONS, ...(efforts[-1] && { effort: efforts[-1] }) });
  const samples: EncodedSample[] = [];
  for (const index of indexes) {
    const effort = efforts[index];
    if (effort) encoder.setEffort(effort);
    const canvas = pool.allocate(320, 180);
    paint(canvas, index);
    samples.push(...(await encoder.encode(canvas, index)));
    canvas.free();
  }
  samples.push(...(await encoder.flush()));
  const { extradata } = encoder;
  encoder.close();
  pool.close();
  return { samples, extradata };
}

const range = (count: number, step = 1) => Array.from({ length: count }, (_, i) => i * step);
const indexOf = ({ ptsUs }: EncodedSample) => Math.round((ptsUs * OPTIONS.fps) / 1e6);
const keysOf = (samples: readonly EncodedSample[]) => samples.filter(({ keyFrame }) => keyFrame).map(indexOf);

/** Of each unit the type, of all its NAL units. */
function nalUnits(data: Buffer): Buffer[] {
  const starts: number[] = [];
  for (let at = data.indexOf('000001', 0, 'hex'); at >= 0; at = data.indexOf('000001', at + 3, 'hex')) starts.push(at);
  return starts.map((from, n) => data.subarray(from + 3, starts[n + 1])).map((unit) => trimmed(unit));
}
function trimmed(unit: Buffer): Buffer {
  let end = unit.length;
  while (end > 0 && unit[end - 1] === 0) end--;
  return unit.subarray(0, end);
}

test('every frame is there, at its time, whatever was chosen when', async () => {
  const { samples } = await encode(range(150), {
    20: SUPERFAST,
    50: ULTRAFAST,
    70: COARSE,
    110: SUPERFAST,
    130: VERYFAST,
  });
  expect(samples.map(indexOf)).toEqual(range(150));
  const decoder = new VideoDecoder('h264');
  let at = 0;
  for (const sample of samples)
    for (const { picture, ptsUs, damaged } of decoder.decode(sample)) {
      expect(damaged).toBe(false);
      expect(ptsUs).toBe(samples[at]!.ptsUs);
      const mark = picture.planes[0][10 * picture.strides[0] + 10]!;
      expect(Math.abs(mark - markOf(at)), `frame ${at}`).toBeLessThanOrEqual(8);
      picture.free();
      at++;
    }
  for (const { picture } of decoder.flush()) {
    picture.free();
    at++;
  }
  decoder.close();
  expect(at).toBe(150);
});

test('another preset begins with a key frame at once, other detail without one, and the grid stays', async () => {
  const { samples } = await encode(range(200), { 20: SUPERFAST, 50: COARSE, 70: ULTRAFAST, 100: VERYFAST });
  expect(keysOf(samples)).toEqual([0, 20, 50, 90, 100, 180]);
});

test('what an encoder began with before its first frame costs no key frame', async () => {
  expect(keysOf((await encode(range(60), { [-1]: ULTRAFAST })).samples)).toEqual([0]);
  expect(keysOf((await encode(range(60), { 0: ULTRAFAST })).samples)).toEqual([0]);
});

test('the sets of parameters are the same throughout, and those that were given up front', async () => {
  const { samples, extradata } = await encode(range(120), { 20: SUPERFAST, 40: ULTRAFAST, 60: COARSE, 80: VERYFAST });
  const sets = nalUnits(extradata).map((unit) => unit.toString('hex'));
  expect(sets).toHaveLength(2);
  for (const { data } of samples.filter(({ keyFrame }) => keyFrame)) {
    const found = nalUnits(data).filter((unit) => [7, 8].includes(unit[0]! & 0x1f));
    expect(found.map((unit) => unit.toString('hex'))).toEqual(sets);
  }
});

test('no two key frames follow each other right away, as both could have one number', async () => {
  const { samples } = await encode(range(100), { 1: ULTRAFAST, 91: VERYFAST });
  expect(keysOf(samples)).toEqual([0, 2, 90, 92]);
});

test('less detail takes fewer bits, and all of it as many as before', async () => {
  const { samples } = await encode(range(360), { [-1]: ULTRAFAST, 90: COARSE, 240: ULTRAFAST });
  const kbps = (from: number, to: number) => {
    const within = samples.filter((sample) => indexOf(sample) >= from && indexOf(sample) < to);
    return within.reduce((sum, { data }) => sum + data.length * 8, 0) / ((to - from) / OPTIONS.fps) / 1000;
  };
  expect(kbps(30, 90)).toBeGreaterThan(300);
  expect(kbps(150, 240)).toBeLessThan(0.65 * kbps(30, 90));
  expect(kbps(300, 360)).toBeGreaterThan(300);
});

test('a strict reader finds nothing wrong with it, at a third of the frames either', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-effort-'));
  try {
    const path = join(dir, 'out.h264');
    const indexes = [...range(40), ...range(40, 3).map((n) => n + 42)];
    const { samples } = await encode(indexes, { 20: SUPERFAST, 30: ULTRAFAST, 60: COARSE, 120: VERYFAST });
    writeFileSync(path, Buffer.concat(samples.map(({ data }) => data)));
    const strict = ['-hide_banner', '-nostdin', '-v', 'warning', '-err_detect', 'explode', '-xerror'];
    const { status, stderr, stdout } = spawnSync(
      'ffmpeg',
      [...strict, '-f', 'h264', '-i', path, '-f', 'framehash', '-'],
      { encoding: 'utf8', timeout: 600_000 },
    );
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.split('\n').filter((line) => /^0,/.test(line))).toHaveLength(indexes.length);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
