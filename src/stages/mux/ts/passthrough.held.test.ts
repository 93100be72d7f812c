/**
 * Slices of what is passed on as it came: pictures at no steady rate with parameter sets in-band only, Opus, and AAC
 * beside them, judged by strangers' readers (the ffmpeg and ffprobe programs) and read back.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeAacSamples, makeOpusSamples, makeVideoSamples } from '../../../../test/support/media/made-samples.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment } from '../../../media/segment.ts';
import { readSamples, type SliceSample } from '../read-slices.ts';
import { Slices } from '../slices.ts';
import { kindsOf, type Streams } from '../stream.ts';
import { TS_ZERO_US, TsContainer } from './ts-slices.ts';

const run = promisify(execFile);
const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const SIZE = { width: 320, height: 180 };
/** The user's stream begins here. */
const FROM_S = 45.25;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-pass-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function record(samples: EncodedSample[], streams: Streams): Promise<Segment[]> {
  const files: Segment[] = [];
  const slices = new Slices(
    { dir, baseName: 'x', kinds: kindsOf(streams), zeroUtcMs: ZERO, onFile: (file) => void files.push(file) },
    () => new TsContainer(streams),
  );
  for (const sample of samples) slices.write(sample);
  await slices.finish();
  return files;
}

async function readBack(files: Segment[]): Promise<SliceSample[]> {
  const found: SliceSample[] = [];
  for (const { name, startUtcMs } of files)
    for await (const sample of readSamples(join(dir, name), (startUtcMs - ZERO) * 1000)) found.push(sample);
  return found;
}

async function probe(name: string) {
  const { stdout, stderr } = await run('/usr/bin/ffprobe', [
    ...['-v', 'error', '-show_entries', 'format=start_time,duration:stream=codec_name,start_time,channels'],
    ...['-of', 'json', join(dir, name)],
  ]);
  expect(stderr).toBe('');
  return JSON.parse(stdout) as {
    format: { start_time: string; duration: string };
    streams: { codec_name: string; start_time: string; channels?: number }[];
  };
}

async function complaints(name: string): Promise<string> {
  const { stderr } = await run('/usr/bin/ffmpeg', [
    '-v',
    'warning',
    '-xerror',
    '-i',
    join(dir, name),
    '-f',
    'null',
    '-',
  ]);
  return stderr;
}

/** Each file decodes without complaint, begins at its absolute time, and is as long as it is said to be. */
async function expectSound(files: Segment[], codecs: string[]): Promise<void> {
  for (const { name, startUtcMs, durationUs } of files) {
    expect(await complaints(name), name).toBe('');
    const { format, streams } = await probe(name);
    expect(streams.map((s) => s.codec_name).sort()).toEqual(codecs);
    const startS = (startUtcMs - ZERO) / 1000 + TS_ZERO_US / 1e6;
    expect(Math.abs(Number(format.start_time) - startS), `${name} start`).toBeLessThan(0.002);
    // The last picture's length stands nowhere in a transport stream, and ffprobe counts the last sounds of one PES
    // packet as one.
    expect(Math.abs(Number(format.duration) - durationUs / 1e6), `${name} length`).toBeLessThan(0.36);
  }
}

function expectSame(found: SliceSample[], sent: EncodedSample[]): void {
  expect(found.length).toBe(sent.length);
  found.forEach((sample, i) => {
    expect(Math.abs(sample.ptsUs - sent[i]!.ptsUs)).toBeLessThanOrEqual(6);
    expect(sample.keyFrame).toBe(sent[i]!.keyFrame);
  });
}

test('pictures of an unsteady rate, with parameter sets in-band only', async () => {
  const sent = makeVideoSamples({ codec: 'h264', ...SIZE, fromS: FROM_S, seconds: 40, gopS: 4, unsteady: true });
  const files = await record(sent, { video: SIZE });
  expect(files.map(({ durationUs }) => Math.floor(durationUs / 1e6))).toEqual([16, 16, 8]);
  await expectSound(files, ['h264']);
  const found = await readBack(files);
  expectSame(found, sent);
  found.slice(0, -1).forEach((sample, i) => {
    // A slice's last picture is followed by none.
    if (!sent[i + 1]!.keyFrame) expect(Math.abs(sample.durationUs - sent[i]!.durationUs)).toBeLessThan(30);
  });
});

test('sound alone as AAC', async () => {
  const { samples, config } = makeAacSamples({ fromS: FROM_S, seconds: 20, channels: 2 });
  const files = await record(samples, { audio: { sampleRate: 48_000, channels: 2, extradata: config } });
  expect(files.length).toBe(2);
  await expectSound(files, ['aac']);
  const found = await readBack(files);
  expectSame(found, samples);
  expect(found.every(({ data }, i) => data.equals(samples[i]!.data))).toBe(true);
  expect(found[0]?.codec).toBe('aac');
  // What FFmpeg's encoder gives has a needless extension behind it.
  expect(found[0]?.config).toEqual(config.subarray(0, 2));
});

test.each([1, 2] as const)('sound alone as Opus of %i channels, as it came', async (channels) => {
  const sent = makeOpusSamples({ fromS: FROM_S, seconds: 20, channels });
  const files = await record(sent, { audio: { codec: 'opus', sampleRate: 48_000, channels } });
  expect(files.map(({ durationUs }) => durationUs)).toEqual([15_000_000, 5_000_000]);
  await expectSound(files, ['opus']);
  expect((await probe(files[0]!.name)).streams[0]?.channels).toBe(channels);
  const found = await readBack(files);
  expectSame(found, sent);
  expect(found.every(({ data }, i) => data.equals(sent[i]!.data))).toBe(true);
  expect(found[0]).toMatchObject({ codec: 'opus', durationUs: 20_000 });
});

test('picture and sound together, picture pausing for 8 s', async () => {
  const picture = makeVideoSamples({
    codec: 'h264',
    ...SIZE,
    fromS: FROM_S,
    seconds: 40,
    gopS: 4,
    unsteady: true,
    without: [20, 28],
  });
  const { samples, config } = makeAacSamples({ fromS: FROM_S - 3, seconds: 43, channels: 1 });
  const all = [...picture, ...samples].sort((a, b) => a.dtsUs - b.dtsUs);
  const files = await record(all, { video: SIZE, audio: { sampleRate: 48_000, channels: 1, extradata: config } });
  await expectSound(files, ['aac', 'h264']);
  const found = await readBack(files);
  for (const kind of ['video', 'audio'])
    expectSame(
      found.filter((s) => s.kind === kind),
      all.filter((s) => s.kind === kind),
    );
});
