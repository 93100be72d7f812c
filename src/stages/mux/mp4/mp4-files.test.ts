import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AVERROR_EOF } from 'node-av/constants';
import { FormatContext, Packet } from 'node-av/lib';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { interleave, type MadeSamples, makeAudio, makeVideo } from '../../../../test/support/encoded-samples.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment, WholeFile } from '../../../media/segment.ts';
import { TsSlices } from '../ts/ts-slices.ts';
import { Mp4Files, type Mp4FilesOptions } from './mp4-files.ts';
import { remuxSlices } from './remux-slices.ts';

const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const FPS = 15;
const SECONDS = 20;
const NO_LIMIT = { durationMs: 7_200_000, bytes: 2_000_000_000 };

let picture: MadeSamples;
let sound: MadeSamples;
let dir: string;

beforeAll(async () => {
  picture = await makeVideo({
    seconds: SECONDS,
    width: 160,
    height: 90,
    fps: FPS,
    keyIntervalFrames: 2 * FPS,
    bFrames: 2,
  });
  sound = await makeAudio({ seconds: SECONDS, channels: 2 });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-mp4-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const video = () => ({ width: 160, height: 90, fps: FPS, extradata: picture.extradata });
const audio = () => ({ sampleRate: 48_000, channels: 2 as const, extradata: sound.extradata });

async function record(samples: EncodedSample[], options: Partial<Mp4FilesOptions>): Promise<WholeFile[]> {
  const files: WholeFile[] = [];
  const base = {
    dir,
    baseName: 'x',
    zeroUtcMs: ZERO,
    limit: NO_LIMIT,
    onFile: (file: WholeFile) => void files.push(file),
  };
  const writer = new Mp4Files({ ...base, ...options });
  for (const sample of samples) writer.write(sample);
  await writer.finish();
  return files;
}

/** The types of the boxes at the top of a file. */
function boxesOf(path: string): string[] {
  const bytes = readFileSync(path);
  const types: string[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at))
    types.push(bytes.toString('latin1', at + 4, at + 8));
  return types;
}

type Found = { kind: 'video' | 'audio'; ptsS: number; keyFrame: boolean };

/** What a reader that heeds edit lists finds. */
async function read(path: string) {
  const context = new FormatContext();
  if ((await context.openInput(`file:${path}`)) < 0) throw new Error(`cannot open ${path}`);
  await context.findStreamInfo();
  const streams = context.streams.map((s) => ({
    isVideo: s.codecpar.width > 0,
    timeBase: s.timeBase,
    rate: s.rFrameRate,
  }));
  const packets: Found[] = [];
  using packet = new Packet();
  packet.alloc();
  for (;;) {
    const code = await context.readFrame(packet);
    if (code === AVERROR_EOF) break;
    if (code < 0) throw new Error(`reading failed with ${code}`);
    const { isVideo, timeBase } = streams[packet.streamIndex]!;
    packets.push({
      kind: isVideo ? 'video' : 'audio',
      ptsS: (Number(packet.pts) * timeBase.num) / timeBase.den,
      keyFrame: packet.isKeyframe,
    });
    packet.unref();
  }
  const durationS = Number(context.duration) / 1e6;
  const rate = streams.find((s) => s.isVideo)?.rate;
  await context.closeInput();
  return { durationS, rate, packets };
}

describe('one MP4', () => {
  test('has its index first, steady frames, and both kinds from zero', async () => {
    const files = await record(interleave(picture.samples, sound.samples), { video: video(), audio: audio() });
    const endUs = Math.max(...[...picture.samples, ...sound.samples].map((s) => s.ptsUs + s.durationUs));
    const path = join(dir, 'x_0.mp4');
    expect(files).toEqual([
      { type: 'mp4', name: 'x_0.mp4', index: 0, startUtcMs: ZERO, durationUs: endUs, bytes: readFileSync(path).length },
    ]);
    expect(readdirSync(dir)).toEqual(['x_0.mp4']);
    expect(boxesOf(path).filter((type) => type === 'moov' || type === 'mdat')).toEqual(['moov', 'mdat']);

    const found = await read(path);
    expect(found.durationS).toBeCloseTo(endUs / 1e6, 3);
    expect([found.rate?.num, found.rate?.den]).toEqual([FPS, 1]);
    const frames = found.packets.filter((p) => p.kind === 'video').map((p) => p.ptsS);
    expect([...frames].sort((a, b) => a - b)).toEqual(picture.samples.map((_, i) => i / FPS));
    // The priming lies before zero, where the edit list keeps it from being heard.
    const sounds = found.packets.filter((p) => p.kind === 'audio').map((p) => p.ptsS);
    expect(sounds.slice(0, 2)).toEqual([-1024 / 48_000, 0]);
    expect(sounds).toHaveLength(sound.samples.length);
  });

  test('of sound alone, and of picture alone', async () => {
    const [alone] = await record(sound.samples, { audio: audio() });
    expect(alone?.durationUs).toBe(Math.max(...sound.samples.map((s) => s.ptsUs + s.durationUs)));
    const [silent] = await record(picture.samples, { video: video(), baseName: 'y' });
    expect(silent?.durationUs).toBe(SECONDS * 1e6);
    expect((await read(join(dir, 'y_0.mp4'))).durationS).toBeCloseTo(SECONDS, 3);
  });
});

describe('MP4s past the limit', () => {
  test('are cut at a key frame, each from zero with both kinds in step', async () => {
    const samples = interleave(picture.samples, sound.samples);
    const files = await record(samples, { video: video(), audio: audio(), limit: { durationMs: 7000, bytes: 1e9 } });
    expect(files.map(({ name, index, startUtcMs }) => ({ name, index, startUtcMs }))).toEqual([
      { name: 'x_0.mp4', index: 0, startUtcMs: ZERO },
      { name: 'x_1.mp4', index: 1, startUtcMs: ZERO + 8000 },
      { name: 'x_2.mp4', index: 2, startUtcMs: ZERO + 16_000 },
    ]);
    expect(files.slice(0, 2).map((f) => f.durationUs)).toEqual([8e6, 8e6]);
    let frames = 0;
    /** The number of each sound on the recording's grid, file by file. */
    const heard: number[][] = [];
    for (const { name, startUtcMs, durationUs } of files) {
      const { packets, durationS } = await read(join(dir, name));
      expect(durationS).toBeCloseTo(durationUs / 1e6, 4);
      const pictures = packets.filter((p) => p.kind === 'video');
      frames += pictures.length;
      expect(pictures[0]).toEqual({ kind: 'video', ptsS: 0, keyFrame: true });
      // Sound keeps its place to the sample: each stands on the one grid of the recording.
      const startS = (startUtcMs - ZERO) / 1000;
      const places = packets.filter((p) => p.kind === 'audio').map(({ ptsS }) => ((ptsS + startS) * 48_000) / 1024);
      for (const place of places) expect(Math.abs(place - Math.round(place))).toBeLessThan(0.01);
      heard.push(places.map(Math.round));
      // Nothing is missing at the start: sound covers zero, and the one before it is there for the decoder.
      const sounds = packets.filter((p) => p.kind === 'audio').map((p) => p.ptsS);
      expect(sounds[0]).toBeLessThan(0);
      expect(sounds.some((s) => s <= 0 && s + 1024 / 48_000 > 0)).toBe(true);
    }
    expect(frames).toBe(picture.samples.length);
    // Each file has its sounds in a row, and no sound of the recording is in none of them.
    for (const row of heard) expect(row).toEqual(row.map((_, n) => row[0]! + n));
    expect(new Set(heard.flat()).size).toBe(sound.samples.length);
  });

  test('are cut by size too', async () => {
    const bytes = picture.samples.reduce((sum, s) => sum + s.data.length, 0);
    const files = await record(picture.samples, {
      video: video(),
      limit: { durationMs: 1e9, bytes: Math.ceil(bytes / 3) },
    });
    expect(files.length).toBeGreaterThanOrEqual(2);
    expect(files.reduce((sum, f) => sum + f.durationUs, 0)).toBe(SECONDS * 1e6);
  });
});

test('a failed write is told to the next caller, not lost', async () => {
  const onFile = () => Promise.reject(new Error('the journal is full'));
  await expect(record(picture.samples, { video: video(), onFile })).rejects.toThrow('the journal is full');
});

test('MP4s are made anew from slices after a crash, the same to the frame', async () => {
  const slices: Segment[] = [];
  const streams = { video: video(), audio: audio() };
  const ts = new TsSlices({
    dir,
    baseName: 'x',
    zeroUtcMs: ZERO,
    ...streams,
    onFile: (file) => void slices.push(file),
  });
  const samples = interleave(picture.samples, sound.samples);
  for (const sample of samples) ts.write(sample);
  await ts.finish();
  expect(slices.length).toBe(2);
  const [whole] = await record(samples, { ...streams, baseName: 'whole' });

  const [again] = await remuxSlices(
    slices.map((s) => join(dir, s.name)),
    { dir, baseName: 'again', zeroUtcMs: ZERO, limit: NO_LIMIT },
  );
  expect(again).toMatchObject({ name: 'again_0.mp4', index: 0, startUtcMs: ZERO });
  expect(Math.abs(again!.durationUs - whole!.durationUs)).toBeLessThanOrEqual(6);
  const [a, b] = [await read(join(dir, 'whole_0.mp4')), await read(join(dir, 'again_0.mp4'))];
  // Slices do not hold the priming.
  const visible = (found: typeof a) => found.packets.filter((p) => p.ptsS >= 0);
  const at = (kind: string) => (found: Found[]) => found.filter((p) => p.kind === kind).map((p) => p.ptsS);
  for (const kind of ['video', 'audio']) expect(at(kind)(visible(b))).toEqual(at(kind)(visible(a)));
  expect([b.rate?.num, b.rate?.den]).toEqual([FPS, 1]);
  await expect(remuxSlices([], { dir, baseName: 'n', zeroUtcMs: ZERO, limit: NO_LIMIT })).rejects.toThrow(/no slice/);
});
