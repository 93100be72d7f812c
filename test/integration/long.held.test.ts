/**
 * Twelve hours of a composite through writers and upload: nothing moves, nothing is lost between files, and neither
 * memory nor what each slice costs grows with the recording.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EncodedSample } from '../../src/media/sample.ts';
import type { Segment, WholeFile } from '../../src/media/segment.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { Mp4Files } from '../../src/stages/mux/mp4/mp4-files.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import { TsSlices } from '../../src/stages/mux/ts/ts-slices.ts';
import { RecordingUpload, type UploadSummary } from '../../src/stages/upload/recording-upload.ts';
import type { Source } from '../../src/stages/upload/target/source.ts';
import type { Receipt, Target } from '../../src/stages/upload/target/target.ts';
import { makeAudio, makeVideo } from '../support/encoded-samples.ts';
import { probeFile } from '../support/judge/probe.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MEMORY = '/dev/shm';
const HOURS = 12;
const HOUR_S = 3600;
const PART_S = 2 * HOUR_S;
const SLICE_S = 15;
/** One picture and eight blocks of sound a second: what is judged is where they lie, not how many they are. */
const FPS = 1;
const RATE = 8000;
const BLOCK = 1024;
const SIZE = { width: 64, height: 36 };
const ZERO_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** Takes everything at once, and notes how many bytes of playlists it was sent in each hour of the recording. */
class NotingTarget implements Target {
  readonly description = 'a store that takes everything';
  readonly playlistBytes: number[] = Array.from({ length: HOURS }, () => 0);
  hour = 0;
  newest = '';

  async put(key: string, source: Source): Promise<Receipt> {
    if ('data' in source) {
      this.newest = source.data.toString();
      this.playlistBytes[this.hour]! += source.data.length;
      return { key, bytes: source.data.length, evidence: 'digest' };
    }
    return { key, bytes: source.bytes, evidence: 'digest' };
  }

  async abandon(): Promise<void> {}
  async sweep(): Promise<void> {}
  async fetch(): Promise<void> {}
  async remove(): Promise<void> {}
  async has(): Promise<boolean> {
    return false;
  }
  async erase(): Promise<undefined> {
    return undefined;
  }
  close(): void {}
}

let dir: string;
let slices: Segment[];
let mp4s: WholeFile[];
let target: NotingTarget;
let summary: UploadSummary;
/** Bytes in use when an hour was over. */
const usedBytes: number[] = [];
const counts = { video: 0, audio: 0 };

function usedNow(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

beforeAll(async () => {
  // Thousands of files are synced, which takes a busy disk minutes.
  dir = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'aircheck-long-'));
  const picture = await makeVideo({ seconds: SLICE_S, ...SIZE, fps: FPS, keyIntervalFrames: 3 * FPS, bFrames: 0 });
  const sound = await makeAudio({ seconds: 8, channels: 1, sampleRate: RATE });
  [slices, mp4s, target] = [[], [], new NotingTarget()];
  const upload = new RecordingUpload({
    ...{ target, prefix: [], clock: new ManualClock(), log: { warn: () => {}, info: () => {} } },
    renderIndex: (_, rows) => renderPlaylist(rows.flat(), { extinfComma: false }),
    onEvent: () => {},
  });
  const streams = {
    ...{ dir, baseName: 'x', zeroUtcMs: ZERO_MS },
    video: { ...SIZE, fps: FPS, extradata: picture.extradata },
    audio: { sampleRate: RATE, channels: 1 as const, extradata: sound.extradata },
  };
  const keep =
    <T extends Segment | WholeFile>(kept: T[]) =>
    (file: T) => {
      kept.push(file);
      upload.add(file, dir);
    };
  const keepSlice = keep(slices);
  const ts = new TsSlices({
    ...streams,
    onFile(file) {
      keepSlice(file);
      // Only the last ones are looked into.
      const old = slices.at(-10);
      if (old) rmSync(join(dir, old.name));
    },
  });
  const mp4 = new Mp4Files({ ...streams, limit: { durationMs: PART_S * 1000, bytes: 2e9 }, onFile: keep(mp4s) });
  const write = (sample: EncodedSample) => {
    ts.write(sample);
    mp4.write(sample);
    counts[sample.kind]++;
  };
  const pictures = picture.samples.map(({ data, keyFrame }) => ({ data, keyFrame }));
  const blocks = sound.samples.slice(1).map(({ data }) => data);
  for (let s = 0; s < HOURS * HOUR_S; s++) {
    const at = (us: number, durationUs: number) => ({ ptsUs: us, dtsUs: us, durationUs });
    write({ kind: 'video', ...at(s * 1e6, 1e6), ...pictures[s % pictures.length]! });
    for (let n = Math.ceil((s * RATE) / BLOCK); n * BLOCK < (s + 1) * RATE; n++) {
      const [us, nextUs] = [n, n + 1].map((block) => Math.round((block * BLOCK * 1e6) / RATE)) as [number, number];
      write({ kind: 'audio', ...at(us, nextUs - us), keyFrame: true, data: blocks[n % blocks.length]! });
    }
    if ((s + 1) % (10 * SLICE_S) === 0) await new Promise((resolve) => setImmediate(resolve));
    if ((s + 1) % HOUR_S > 0) continue;
    // The slice that is being written is the next hour's.
    const finished = (s + 1) / SLICE_S - 1;
    await vi.waitUntil(() => slices.length >= finished, { timeout: 300_000 });
    target.hour = Math.min(HOURS - 1, Math.floor((s + 1) / HOUR_S));
    usedBytes.push(usedNow());
  }
  await Promise.all([ts.finish(), mp4.finish()]);
  summary = await upload.finish();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('slices are numbered and named on, and none is longer than the next', () => {
  expect(slices).toHaveLength((HOURS * HOUR_S) / SLICE_S);
  for (const [n, slice] of slices.entries()) {
    expect(slice).toMatchObject({ index: n, durationUs: SLICE_S * 1e6, startUtcMs: ZERO_MS + n * SLICE_S * 1000 });
    expect(slice.discontinuity).toBe(n === 0);
  }
});

test('in the last slice sound and picture lie where they were made', async () => {
  const last = slices.at(-1)!;
  const fromUs = (HOURS * HOUR_S - SLICE_S) * 1e6;
  const found = { video: [] as number[], audio: [] as number[] };
  for await (const { kind, ptsUs } of readSamples(join(dir, last.name), fromUs)) found[kind].push(ptsUs);
  expect(found.video).toEqual(Array.from({ length: SLICE_S }, (_, n) => fromUs + n * 1e6));
  const first = Math.ceil((fromUs * RATE) / (BLOCK * 1e6));
  expect(found.audio.length).toBeGreaterThan((SLICE_S * RATE) / BLOCK - 1);
  for (const [n, us] of found.audio.entries())
    expect(Math.abs(us - ((first + n) * BLOCK * 1e6) / RATE)).toBeLessThan(12);
});

test('MP4s follow each other every two hours, with all of both in them, and are in step to their ends', () => {
  expect(mp4s).toHaveLength((HOURS * HOUR_S) / PART_S);
  const sums = { video: 0, audio: 0 };
  for (const [n, { name, startUtcMs, durationUs }] of mp4s.entries()) {
    expect([startUtcMs, durationUs]).toEqual([ZERO_MS + n * PART_S * 1000, PART_S * 1e6]);
    const { video, audio, durationS, moovFirst } = probeFile(join(dir, name));
    expect(moovFirst).toBe(true);
    expect(Math.abs(durationS - PART_S)).toBeLessThan(0.01);
    expect([video!.startS, video!.endS]).toEqual([expect.closeTo(0, 4), expect.closeTo(PART_S, 4)]);
    expect(audio!.endS).toBeCloseTo(PART_S, 2);
    expect(audio!.maxStepS).toBeLessThan((BLOCK / RATE) * 1.01);
    sums.video += video!.packets;
    sums.audio += audio!.packets;
  }
  expect(sums.video).toBe(counts.video);
  // A part that begins within a block of sound has that one, and the one before it, as well.
  expect(sums.audio).toBeGreaterThanOrEqual(counts.audio);
  expect(sums.audio).toBeLessThanOrEqual(counts.audio + 2 * mp4s.length);
});

test('the playlist holds all of it, and a slice adds no more to what is sent of it in the last hour than in the middle', () => {
  const lines = target.newest.split('\n');
  const sums = lines.filter((line) => line.startsWith('#EXTINF:')).map((line) => Number(line.slice(8)));
  expect(sums.reduce((sum, s) => sum + s, 0)).toBeCloseTo(HOURS * HOUR_S, 3);
  expect(lines.filter((line) => line.endsWith('.ts'))).toEqual(slices.map(({ name }) => name));
  expect(lines.at(-2)).toBe('#EXT-X-ENDLIST');
  expect(summary.files).toHaveLength(slices.length + mp4s.length + 1);
  const perSlice = target.playlistBytes.map((bytes) => bytes / (HOUR_S / SLICE_S));
  // An entry has about 60 bytes, and is sent some 25 times.
  for (const bytes of perSlice) expect(bytes).toBeLessThan(30 * 60);
  // The last version of all is sent whatever it adds.
  const last = perSlice.at(-1)! - target.newest.length / (HOUR_S / SLICE_S);
  expect([last < 1.3 * perSlice[HOURS / 2]!, ...perSlice.map(Math.round)]).toEqual([true, ...perSlice.map(Math.round)]);
});

test('memory does not grow but for what is known of each file', () => {
  const [after, atEnd] = [usedBytes[1]!, usedBytes.at(-1)!];
  const files = (slices.length * (HOURS - 2)) / HOURS;
  // Some kilobytes for the name, place and state of each.
  expect((atEnd - after) / files, `${usedBytes.map((bytes) => Math.round(bytes / 1e5) / 10)} MB`).toBeLessThan(4000);
});
