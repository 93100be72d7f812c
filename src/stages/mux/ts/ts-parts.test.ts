/** Parts of growing slices, made by our own muxer at many rates of pictures. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { interleave, type MadeSamples, makeAudio, makeVideo } from '../../../../test/support/encoded-samples.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment } from '../../../media/segment.ts';
import { type PartRule, partRule, type TsPart, TsParts } from './ts-parts.ts';
import { TsSlices, type TsSlicesOptions } from './ts-slices.ts';
import { readTsUnits } from './ts-units.ts';

const SIZE = { width: 160, height: 90 };
const MADE_FPS = 15;
const PICTURES = 150;
const GROUP = 45;
/** A slice ends with a whole frame of sound. */
const SOUND_US = 21_400;

let picture: MadeSamples;
let tone: MadeSamples;
let dir: string;
beforeAll(async () => {
  const keyIntervalFrames = GROUP;
  picture = await makeVideo({ seconds: PICTURES / MADE_FPS, ...SIZE, fps: MADE_FPS, keyIntervalFrames, bFrames: 2 });
  tone = await makeAudio({ seconds: PICTURES / MADE_FPS, channels: 1 });
}, 60_000);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-parts-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type MadeOptions = { without?: (sample: EncodedSample) => boolean; sound?: boolean };
type Made = { bytes: Buffer; slice: Segment };

async function write(samples: EncodedSample[], streams: Pick<TsSlicesOptions, 'video' | 'audio'>): Promise<Made> {
  const slices: Segment[] = [];
  const writer = new TsSlices({
    dir,
    baseName: 'x',
    zeroUtcMs: 0,
    ...streams,
    onFile: (file) => void slices.push(file),
  });
  for (const sample of samples) writer.write(sample);
  await writer.finish();
  return { bytes: readFileSync(join(dir, slices[0]!.name)), slice: slices[0]! };
}

/** A slice of the same pictures, `fps` a second, with a key frame every 45, and of as much sound. */
function madeAt(fps: number, { without, sound = true }: MadeOptions = {}): Promise<Made> {
  // Whole groups of pictures, and no more than one where they are slow: a slice ends with the first after 15 s.
  const count = fps < 10 ? GROUP : PICTURES;
  const seconds = count / fps;
  const us = (at: number) => Math.round((at * MADE_FPS) / fps);
  const pictures = picture.samples
    .map((sample) => ({
      ...sample,
      ptsUs: us(sample.ptsUs),
      dtsUs: us(sample.dtsUs),
      durationUs: us(sample.durationUs),
    }))
    .filter((sample, n) => n < count && !without?.(sample));
  const sounds = tone.samples.filter(({ ptsUs, durationUs }) => ptsUs + durationUs <= seconds * 1e6);
  return write(sound ? interleave(pictures, sounds) : pictures, {
    video: { ...SIZE, fps, extradata: picture.extradata },
    ...(sound && { audio: { sampleRate: 48_000, channels: 1, extradata: tone.extradata } }),
  });
}

/** Parts as they are found by whoever reads `step` bytes at a time. */
function partsOf(made: Made, rule: PartRule, step?: number): readonly TsPart[] {
  return flat(scanOf(made, rule, step));
}

function scanOf({ bytes, slice }: Made, rule: PartRule, step = bytes.length): TsParts {
  const parts = new TsParts(rule);
  for (let at = 0; at < bytes.length; at += step) parts.push(bytes.subarray(at, at + step));
  expect(parts.bytes).toBe(bytes.length);
  parts.end(slice.durationUs);
  return parts;
}
const flat = ({ segments }: TsParts): TsPart[] => segments.flatMap(({ parts }) => parts);

/** The first rule of each part, RFC 8216bis §4.4.4.9; the last of a segment may be short. */
function checkRules(parts: readonly TsPart[], { targetUs }: PartRule, { segments }: TsParts): void {
  for (const { durationUs, isIndependent, to } of parts) {
    expect(durationUs).toBeLessThanOrEqual(targetUs);
    const isLast = to === parts.at(-1)!.to || segments.some(({ from }) => from === to);
    if (!isIndependent && !isLast) expect(durationUs).toBeGreaterThanOrEqual(0.85 * targetUs - 100);
  }
}

describe.each([1, 2, 3, 8, 11, 15, 24, 30, 60])('at %i pictures a second', (fps) => {
  test('parts are of the length that players were told, and make up the whole slice', async () => {
    const made = await madeAt(fps);
    const rule = partRule('video', fps);
    expect(rule.targetUs).toBeLessThanOrEqual(1_000_000);
    const scan = scanOf(made, rule);
    const parts = flat(scan);
    checkRules(parts, rule, scan);
    expect(parts.length).toBeGreaterThanOrEqual(Math.floor(made.slice.durationUs / rule.targetUs));
    const sumUs = parts.reduce((sum, { durationUs }) => sum + durationUs, 0);
    expect(Math.abs(sumUs - made.slice.durationUs)).toBeLessThan(SOUND_US);
    expect(parts[0]!.from).toBe(0);
    for (const [n, part] of parts.entries()) expect(part.to).toBe(parts[n + 1]?.from ?? made.bytes.length);
  });
});

test('each holds whole pictures alone, and those with a key frame say so', async () => {
  const made = await madeAt(15);
  const parts = partsOf(made, partRule('video', 15));
  const all = readTsUnits(made.bytes, 0).filter(({ kind }) => kind === 'video');
  const found = parts.map(({ from, to }) =>
    all.filter(({ packets }) => packets[0]! * 188 >= from && packets[0]! * 188 < to),
  );
  expect(found.flat()).toHaveLength(all.length);
  for (const [n, units] of found.entries()) {
    const { from, to, durationUs } = parts[n]!;
    for (const { packets } of units) expect(packets.at(-1)! * 188).toBeLessThan(to);
    expect(from % 188).toBe(0);
    expect(Math.abs(durationUs - (units.length / 15) * 1e6)).toBeLessThan(n < parts.length - 1 ? 1_000 : SOUND_US);
  }
  // Key frames come every 3 s, of 150 pictures.
  expect(parts.filter(({ isIndependent }) => isIndependent)).toHaveLength(4);
  expect(parts[0]!.isIndependent).toBe(true);
});

test('segments begin with the tables and a key frame, whatever parts they are divided into', async () => {
  for (const fps of [15, 24, 60]) {
    const made = await madeAt(fps);
    const { segments } = scanOf(made, partRule('video', fps));
    // Key frames come every 45 pictures, and those that come sooner than two seconds begin none.
    const keys = Array.from({ length: Math.ceil(PICTURES / GROUP) }, (_, n) => n * GROUP);
    const begins = keys.filter((n) => (fps === 60 ? n % (3 * GROUP) === 0 : fps === 24 ? n % (2 * GROUP) === 0 : true));
    expect(segments.map(({ beginUs }) => Math.round((beginUs * fps) / 1e6))).toEqual(begins);
    // A file begins with SDT, PAT and PMT; inside of it those are needed that tell what is in the stream.
    const [PAT, SDT, PMT] = [0, 17, 4096];
    for (const [n, { from }] of segments.entries())
      expect([0, 188].map((ahead) => made.bytes.readUInt16BE(from + ahead + 1) & 0x1fff)).toEqual(
        n === 0 ? [SDT, PAT] : [PAT, PMT],
      );
    for (const [n, { from, parts, durationUs, beginUs }] of segments.entries()) {
      expect([parts[0]!.from, parts[0]!.isIndependent]).toEqual([from, true]);
      expect(parts.at(-1)!.to).toBe(segments[n + 1]?.from ?? made.bytes.length);
      expect(Math.abs(beginUs + durationUs! - (segments[n + 1]?.beginUs ?? made.slice.durationUs))).toBeLessThan(1);
    }
    // The slice says so itself.
    expect(made.slice.entryPoints).toEqual(
      segments.slice(1).map(({ from, beginUs }) => ({ atByte: from, atUs: Math.round(beginUs) })),
    );
    expect(scanOf(made, partRule('video')).segments.map(({ from }) => from)).toEqual(segments.map(({ from }) => from));
  }
});

test('are the same however the file is read', async () => {
  const made = await madeAt(24);
  const rule = partRule('video', 24);
  const parts = partsOf(made, rule);
  for (const step of [1, 187, 188, 1000, 65_537]) expect(partsOf(made, rule, step)).toEqual(parts);
});

test('is known as soon as the picture behind it begins, and not before', async () => {
  const made = await madeAt(15);
  const [first] = partsOf(made, partRule('video', 15));
  const parts = new TsParts(partRule('video', 15));
  parts.push(made.bytes.subarray(0, first!.to));
  expect(flat(parts)).toEqual([]);
  parts.push(made.bytes.subarray(first!.to, first!.to + 188 * 12));
  expect(flat(parts)).toEqual([first]);
});

test('of sound alone are independent, and none is too long', async () => {
  const made = await write(tone.samples, { audio: { sampleRate: 48_000, channels: 1, extradata: tone.extradata } });
  const rule = partRule('audio');
  const scan = scanOf(made, rule);
  const parts = flat(scan);
  checkRules(parts, rule, scan);
  expect(parts.every(({ isIndependent }) => isIndependent)).toBe(true);
  expect(parts.length).toBeGreaterThan(12);
});

test('of a sender who pauses are not said to be longer than players were told', async () => {
  const made = await madeAt(15, { without: ({ ptsUs }) => ptsUs > 2e6 && ptsUs < 6e6, sound: false });
  const rule = partRule('video');
  const parts = partsOf(made, rule);
  for (const { durationUs } of parts) expect(durationUs).toBeLessThanOrEqual(rule.targetUs);
  const pictures = readTsUnits(made.bytes, 0).length;
  expect(pictures).toBeLessThan(100);
  expect(parts.at(-1)!.to).toBe(made.bytes.length);
});

test('damaged and foreign bytes make no parts, and throw nothing', () => {
  const parts = new TsParts(partRule('video', 30));
  parts.push(Buffer.alloc(188 * 100, 0x47));
  parts.push(Buffer.alloc(5000, 0xff));
  parts.push(Buffer.alloc(0));
  parts.end(1e6);
  expect(flat(parts).length).toBeLessThanOrEqual(1);
});
