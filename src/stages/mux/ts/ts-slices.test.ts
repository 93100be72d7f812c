import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  interleave,
  type MadeSamples,
  makeAudio,
  makeVideo,
  nalUnits,
} from '../../../../test/support/encoded-samples.ts';
import { readMedia } from '../../../../test/support/judge/read-media.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment } from '../../../media/segment.ts';
import { sliceName } from '../names.ts';
import { probeSlice, readSlices } from '../read-slices.ts';
import { TsSlices, type TsSlicesOptions } from './ts-slices.ts';
import { unwrapTs } from './ts-time.ts';

const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const FPS = 15;
const SECONDS = 34;

let picture: MadeSamples;
let sound: MadeSamples;
let dir: string;

beforeAll(async () => {
  picture = await makeVideo({
    seconds: SECONDS,
    width: 160,
    height: 90,
    fps: FPS,
    keyIntervalFrames: 3 * FPS,
    bFrames: 2,
  });
  sound = await makeAudio({ seconds: SECONDS, channels: 1 });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-ts-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const video = () => ({ width: 160, height: 90, fps: FPS, extradata: picture.extradata });
const audio = () => ({ sampleRate: 48_000, channels: 1 as const, extradata: sound.extradata });

async function record(samples: EncodedSample[], streams: Pick<TsSlicesOptions, 'video' | 'audio'>): Promise<Segment[]> {
  const slices: Segment[] = [];
  const writer = new TsSlices({
    dir,
    baseName: 'x',
    zeroUtcMs: ZERO,
    ...streams,
    onFile: (file) => void slices.push(file),
  });
  for (const sample of samples) writer.write(sample);
  await writer.finish();
  return slices;
}

/** The transport packets of a file: PID, continuity counter, payload. */
function packetsOf(bytes: Buffer) {
  expect(bytes.length % 188).toBe(0);
  return Array.from({ length: bytes.length / 188 }, (_, i) => {
    const packet = bytes.subarray(i * 188, (i + 1) * 188);
    expect(packet[0]).toBe(0x47);
    const hasAdaptation = (packet[3]! & 0x20) !== 0;
    const header = 4 + (hasAdaptation ? 1 + packet[4]! : 0);
    return {
      pid: packet.readUInt16BE(1) & 0x1fff,
      counter: packet[3]! & 15,
      hasPayload: (packet[3]! & 0x10) !== 0,
      hasPcr: hasAdaptation && packet[4]! > 0 && (packet[5]! & 0x10) !== 0,
      payload: packet.subarray(header),
    };
  });
}

async function collect(paths: string[]): Promise<EncodedSample[]> {
  const out: EncodedSample[] = [];
  for await (const sample of readSlices(paths)) out.push(sample);
  return out;
}

test('each key frame has the tables before it, also where one follows another', async () => {
  const keys = [0, 1, 2, 5, 6];
  const key = picture.samples.find(({ keyFrame }) => keyFrame)!;
  const rest = picture.samples.find(({ keyFrame }) => !keyFrame)!;
  const samples = Array.from({ length: 10 }, (_, n): EncodedSample => {
    const us = Math.round((n * 1e6) / FPS);
    return { ...(keys.includes(n) ? key : rest), ptsUs: us, dtsUs: us };
  });
  const [slice] = await record(samples, { video: video() });
  const bytes = readFileSync(join(dir, slice!.name));
  const [PAT, PMT, PICTURE] = [0, 0x1000, 0x100];
  // What came since the last picture began, for each picture that a decoder can begin with.
  const before: Set<number>[] = [];
  let since = new Set<number>();
  for (let at = 0; at < bytes.length; at += 188) {
    const pid = bytes.readUInt16BE(at + 1) & 0x1fff;
    const begins = pid === PICTURE && (bytes[at + 1]! & 0x40) !== 0;
    const isKey = begins && (bytes[at + 3]! & 0x20) !== 0 && bytes[at + 4]! > 0 && (bytes[at + 5]! & 0x40) !== 0;
    if (isKey) before.push(since);
    if (begins) since = new Set();
    else since.add(pid);
  }
  expect(before).toHaveLength(keys.length);
  for (const pids of before) expect([PAT, PMT].every((pid) => pids.has(pid))).toBe(true);
});

test('a slice of only two frames of sound is known for a transport stream', async () => {
  const [first, second] = sound.samples.filter(({ ptsUs }) => ptsUs >= 0) as [EncodedSample, EncodedSample];
  const slices: Segment[] = [];
  const onFile = (file: Segment) => void slices.push(file);
  const writer = new TsSlices({ dir, baseName: 'x', zeroUtcMs: ZERO, audio: audio(), onFile });
  // Each becomes a packet of its own, as where a recorder makes what it has readable.
  writer.write(first);
  writer.flush();
  writer.write(second);
  await writer.finish();
  let frames = 0;
  readMedia(join(dir, slices[0]!.name), { onPacket: ({ kind }) => void (kind === 'audio' && frames++) });
  expect(frames).toBe(2);
});

describe('slices of picture and sound', () => {
  test('end at key frames past 15 s, are named by their time, and add up to the recording', async () => {
    const slices = await record(interleave(picture.samples, sound.samples), { video: video(), audio: audio() });
    expect(slices.map(({ name, index, startUtcMs }) => ({ name, index, startUtcMs }))).toEqual([
      { name: 'x_20260102030405678.ts', index: 0, startUtcMs: ZERO },
      { name: 'x_20260102030420678.ts', index: 1, startUtcMs: ZERO + 15_000 },
      { name: 'x_20260102030435678.ts', index: 2, startUtcMs: ZERO + 30_000 },
    ]);
    expect(slices[0]?.durationUs).toBe(15_000_000);
    expect(slices[1]?.durationUs).toBe(15_000_000);
    const end = Math.max(...[...picture.samples, ...sound.samples].map((s) => s.ptsUs + s.durationUs));
    expect(slices.reduce((sum, s) => sum + s.durationUs, 0)).toBe(end);
    expect(slices.map((s) => s.bytes)).toEqual(slices.map((s) => readFileSync(join(dir, s.name)).length));
    expect(readdirSync(dir).sort()).toEqual(slices.map((s) => s.name));
  });

  test('say once what began and how large the picture is', async () => {
    const slices = await record(interleave(picture.samples, sound.samples), { video: video(), audio: audio() });
    expect(slices[0]).toMatchObject({
      discontinuity: true,
      playlist: 'x.m3u8',
      starts: [
        { kind: 'video', startUtcMs: ZERO },
        { kind: 'audio', startUtcMs: ZERO },
      ],
      rotations: [{ width: 160, height: 90, rotate: 0, utcMs: ZERO }],
    });
    for (const slice of slices.slice(1))
      expect(slice).toMatchObject({ discontinuity: false, starts: [], rotations: [] });
  });

  test('tell their beginning when they are begun, in the whole milliseconds of their names', async () => {
    const begun: { atUs: number; startUtcMs: number }[] = [];
    const names: string[] = [];
    let atUs = 0;
    const writer = new TsSlices({
      dir,
      baseName: 'x',
      zeroUtcMs: ZERO + 0.7,
      video: video(),
      audio: audio(),
      onSliceStart: (startUtcMs) => void begun.push({ atUs, startUtcMs }),
      onFile: ({ name }) => void names.push(name),
    });
    for (const sample of interleave(picture.samples, sound.samples)) {
      atUs = sample.dtsUs;
      writer.write(sample);
    }
    await writer.finish();
    const starts = begun.map(({ startUtcMs }) => startUtcMs);
    expect(starts).toEqual([ZERO, ZERO + 15_000, ZERO + 30_000]);
    expect(names).toEqual(starts.map((ms) => sliceName('x', ms)));
    // Within the second in which the slice's first sample is written, not when its file is done.
    for (const { atUs: toldUs, startUtcMs } of begun) expect(toldUs - (startUtcMs - ZERO) * 1000).toBeLessThan(1e6);
  });

  test('are one transport stream, and each begins so that it can be played alone', async () => {
    const slices = await record(interleave(picture.samples, sound.samples), { video: video(), audio: audio() });
    const counters = new Map<number, number>();
    for (const { name } of slices) {
      const packets = packetsOf(readFileSync(join(dir, name)));
      const media = packets.find(({ pid }) => pid >= 0x100 && pid < 0x1000);
      const before = packets.slice(0, packets.indexOf(media!)).map(({ pid }) => pid);
      expect(before).toContain(0);
      expect(before).toContain(0x1000);
      expect(media?.hasPcr).toBe(true);
      for (const { pid, counter, hasPayload } of packets) {
        if (!hasPayload) continue;
        const last = counters.get(pid);
        if (last !== undefined) expect(counter, `${name} PID ${pid}`).toBe((last + 1) & 15);
        counters.set(pid, counter);
      }
      const [first] = (await collect([join(dir, name)])).filter((s) => s.kind === 'video');
      expect(first?.keyFrame).toBe(true);
      const types = nalUnits(first!.data).map((nal) => nal[0]! & 31);
      expect(types).toEqual(expect.arrayContaining([7, 8, 5]));
    }
  });

  test('hold every sample once, at its time, in the slice its time belongs to', async () => {
    const slices = await record(interleave(picture.samples, sound.samples), { video: video(), audio: audio() });
    const parts = await Promise.all(slices.map(({ name }) => collect([join(dir, name)])));
    const wanted = { video: picture.samples, audio: sound.samples.filter((s) => s.ptsUs >= 0) };
    for (const kind of ['video', 'audio'] as const) {
      const found = parts.flat().filter((s) => s.kind === kind);
      expect(found.length).toBe(wanted[kind].length);
      found.forEach((sample, i) => {
        const sent = wanted[kind][i]!;
        // One tick of 90 kHz is 11 µs.
        expect(Math.abs(sample.ptsUs - sent.ptsUs)).toBeLessThanOrEqual(6);
        expect(Math.abs(sample.dtsUs - sent.dtsUs)).toBeLessThanOrEqual(6);
        expect(sample.keyFrame).toBe(sent.keyFrame);
        if (kind === 'audio') expect(sample.data.equals(sent.data)).toBe(true);
      });
    }
    parts.forEach((samples, i) => {
      const from = (slices[i]!.startUtcMs - ZERO) * 1000;
      const to = from + slices[i]!.durationUs;
      for (const { ptsUs } of samples) expect(ptsUs >= from - 6 && ptsUs < to - 6).toBe(true);
    });
  });

  test('come out the same when the kinds arrive seconds apart', async () => {
    const late = sound.samples.map((s) => ({ at: s.dtsUs + 5_000_000, s }));
    const now = picture.samples.map((s) => ({ at: s.dtsUs, s }));
    const apart = [...late, ...now].sort((a, b) => a.at - b.at).map(({ s }) => s);
    const streams = { video: video(), audio: audio() };
    const first = await record(interleave(picture.samples, sound.samples), streams);
    const bytes = first.map(({ name }) => readFileSync(join(dir, name)));
    const second = await record(apart, streams);
    expect(second).toEqual(first);
    expect(second.map(({ name }, i) => readFileSync(join(dir, name)).equals(bytes[i]!))).toEqual([true, true, true]);
  });
});

test('slices of sound alone are cut every 15 s', async () => {
  const slices = await record(sound.samples, { audio: audio() });
  expect(slices.map(({ durationUs }) => Math.floor(durationUs / 1e6))).toEqual([15, 15, 3]);
  for (const { durationUs } of slices.slice(0, 2)) expect(durationUs - 15e6).toBeLessThan(21_334);
  expect(slices[0]).toMatchObject({ starts: [{ kind: 'audio', startUtcMs: ZERO }], rotations: [] });
  expect(await probeSlice(join(dir, slices[1]!.name))).toMatchObject({ video: undefined, audio: { channels: 1 } });
});

test('slices of picture alone hold the whole picture', async () => {
  const slices = await record(picture.samples, { video: video() });
  expect(slices.reduce((sum, s) => sum + s.durationUs, 0)).toBe(SECONDS * 1e6);
  expect((await collect(slices.map(({ name }) => join(dir, name)))).length).toBe(picture.samples.length);
  expect(await probeSlice(join(dir, slices[0]!.name))).toMatchObject({
    audio: undefined,
    video: { width: 160, height: 90, fps: FPS, extradata: picture.extradata },
  });
});

test('a failed write is told to the next caller, not lost', async () => {
  const writer = new TsSlices({
    dir,
    baseName: 'x',
    zeroUtcMs: ZERO,
    audio: audio(),
    onFile: () => Promise.reject(new Error('the journal is full')),
  });
  for (const sample of sound.samples) writer.write(sample);
  await expect(writer.finish()).rejects.toThrow('the journal is full');
});

test('a folder that is not there is a fault that names the file', async () => {
  const writer = new TsSlices({ dir: join(dir, 'none'), baseName: 'x', zeroUtcMs: ZERO, audio: audio(), onFile() {} });
  expect(() => {
    for (const sample of sound.samples) writer.write(sample);
  }).toThrow(/creating x_20260102030405678\.ts/);
  writer.close();
});

test('an unfinished slice stays behind as .part', () => {
  const writer = new TsSlices({ dir, baseName: 'x', zeroUtcMs: ZERO, audio: audio(), onFile() {} });
  writer.write(sound.samples[1]!);
  writer.close();
  writer.close();
  expect(readdirSync(dir)).toEqual(['x_20260102030405678.ts.part']);
});

test('a slice torn anywhere gives what is whole in it', async () => {
  const [slice] = await record(interleave(picture.samples, sound.samples), { video: video(), audio: audio() });
  const bytes = readFileSync(join(dir, slice!.name));
  const whole = await collect([join(dir, slice!.name)]);
  const torn = join(dir, 'torn.ts');
  for (const share of [0.3, 0.61, 0.987]) {
    writeFileSync(torn, bytes.subarray(0, Math.floor(bytes.length * share)));
    const found = await collect([torn]);
    for (const kind of ['video', 'audio']) {
      const [a, b] = [found, whole].map((samples) => samples.filter((s) => s.kind === kind).map((s) => s.ptsUs));
      expect(a!.length).toBeGreaterThan(b!.length * (share - 0.15));
      expect(a).toEqual(b!.slice(0, a!.length));
    }
  }
});

test('what is no transport stream is refused with its path', async () => {
  const path = join(dir, 'broken.ts');
  writeFileSync(path, Buffer.alloc(5000, 7));
  await expect(collect([path])).rejects.toThrow(/broken\.ts is not a readable slice/);
});

test('times go on past the 33 bits of a transport stream', () => {
  expect(unwrapTs(5, 2 ** 33 - 100)).toBe(2 ** 33 + 5);
  expect(unwrapTs(2 ** 33 - 5, 2 ** 33 + 100)).toBe(2 ** 33 - 5);
  expect(unwrapTs(3000, 3 * 2 ** 33 + 2000)).toBe(3 * 2 ** 33 + 3000);
});
