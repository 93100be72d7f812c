/**
 * Snapshots of scripted senders, judged by the files: whose picture, of when, of what size, how many, and what they
 * cost.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readImage } from '../../../test/support/judge/image.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { type VideoCodecName, VideoEncoder } from '../../../test/support/media/encode.ts';
import { MadePicture } from '../../../test/support/media/made-media.ts';
import { BLUE, RED } from '../../../test/support/media/participants.ts';
import {
  readStampBits,
  STAMP_AREA,
  STAMP_BITS,
  STAMP_UNIT_US,
  unwrapStamp,
} from '../../../test/support/media/stamp.ts';
import type { Snapshot } from '../../media/segment.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import { type Shown, SnapshotLine } from './snapshot-line.ts';

const ZERO_UTC_MS = Date.UTC(2026, 2, 1, 12);
const S = 1_000_000;
/** Files are written this far behind the present, in bursts. */
const LAG_MS = 1200;
const STEP_MS = 50;
const BURST_MS = 200;
/** From a request to the key frame. */
const ANSWER_MS = 150;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-snapshots-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

type Sender = {
  codec?: VideoCodecName;
  intervalS: number;
  seconds: number;
  fps?: number;
  /** When it begins to send; the recording begins at 0. */
  fromS?: number;
  /** Whether it sends a key frame when one is asked for. */
  answers?: boolean;
  /** Seconds from key frame to key frame without being asked. */
  gopS?: number;
  /** From and until when it sends nothing. */
  mute?: readonly [number, number];
  /** From and until when it sends black pictures. */
  black?: readonly [number, number];
  /** From when on the picture is twice as large. */
  largerFromS?: number;
  /** Changes what comes of the frame of this time. */
  harm?(atS: number, data: Buffer): Buffer;
  shown?: Shown;
  uid?: string;
};

/** What came of it; times are seconds of the recording. */
type Taken = { files: Snapshot[]; lost: string[]; times: number[]; requests: number[]; decoded: number; sent: number };

async function record(sender: Sender): Promise<Taken> {
  const { codec = 'vp8', intervalS, seconds, fps = 25, fromS = 0, answers = true, gopS = 100_000, uid = '7' } = sender;
  const within = (span: readonly [number, number] | undefined, atS: number) =>
    span !== undefined && atS >= span[0] && atS < span[1];
  const clock = new ManualClock();
  const files: Snapshot[] = [];
  const lost: string[] = [];
  const line = new SnapshotLine({
    ...{ uid, codec, intervalUs: intervalS * S, dir, baseName: `b__uid_s_${uid}__uid_e_video`, zeroUtcMs: ZERO_UTC_MS },
    onFile: async (file) => void files.push(file),
    onLost: (what) => void lost.push(what),
  });
  const sizes = [1, 2].map((zoom) => ({ width: 160 * zoom, height: 90 * zoom }));
  const sources = sizes.map((size) => ({
    encoder: new VideoEncoder({ codec, ...size, fps, bitrateKbps: 400, gopFrames: 1_000_000 }),
    picture: new MadePicture(RED, { ...size, flash: false }),
  }));
  const requests: number[] = [];
  const underWay: { data: Buffer; keyFrame: boolean; atUs: number }[] = [];
  let [next, keyAtS, sent, source] = [0, Number.NEGATIVE_INFINITY, 0, sources[0]!];
  let keyDueS = Number.POSITIVE_INFINITY;
  let failure: unknown;

  const send = (atS: number) => {
    const current = sources[atS >= (sender.largerFromS ?? Number.POSITIVE_INFINITY) ? 1 : 0]!;
    const key = current !== source || atS - keyAtS >= gopS || atS >= keyDueS;
    source = current;
    if (key) [keyAtS, keyDueS] = [atS, Number.POSITIVE_INFINITY];
    const { picture, encoder } = source;
    picture.draw(3600 * S + Math.round(atS * S));
    const { width, height } = picture;
    const black = Buffer.alloc(picture.i420.length, 128).fill(16, 0, width * height);
    const [unit] = encoder.encode(within(sender.black, atS) ? black : picture.i420, sent++, key);
    const data = sender.harm?.(atS, unit!.data) ?? unit!.data;
    underWay.push({ data, keyFrame: unit!.keyFrame, atUs: Math.round(atS * S) });
  };

  for (let ms = fromS * 1000; ms <= seconds * 1000 + LAG_MS && !failure; ms += STEP_MS) {
    if (ms > 0) clock.advance(STEP_MS);
    for (; fromS + next / fps <= Math.min(ms / 1000, seconds); next++) {
      const atS = fromS + next / fps;
      if (!within(sender.mute, atS)) send(atS);
    }
    if (ms < 0 || ms % BURST_MS !== 0) continue;
    try {
      while (underWay[0] && underWay[0].atUs <= clock.monoUs() - LAG_MS * 1000) {
        const { atUs, ...sample } = underWay.shift()!;
        line.push(sample, atUs, sender.shown);
      }
      if (line.poll(clock.monoUs()).keyFrameWanted) {
        requests.push(ms / 1000);
        if (answers) keyDueS = (ms + ANSWER_MS) / 1000;
      }
    } catch (error) {
      failure = error;
    }
    // The disk has the time between two moments that it really has.
    while (line.waiting > 0) await new Promise((resolve) => setImmediate(resolve));
  }
  for (const { encoder } of sources) encoder.close();
  await line.finish();
  const { decoded } = line;
  expect(line.takeDropped()).toBe(0);
  const times = files.map(({ startUtcMs }) => (startUtcMs - ZERO_UTC_MS) / 1000);
  return { files, lost, times, requests, decoded, sent };
}

/** Content time of the picture in a file, seconds of the recording, near to `nearS`. */
function stampOf(file: Snapshot, nearS: number): number {
  const image = readImage(join(dir, file.name));
  const bits = Array.from({ length: STAMP_BITS }, (_, i) => {
    const { r, g, b } = image.at(
      STAMP_AREA.x + (STAMP_AREA.width * (i + 0.5)) / STAMP_BITS,
      STAMP_AREA.y + STAMP_AREA.height / 2,
    );
    return r + g + b > 3 * 110;
  });
  const stamp = readStampBits(bits);
  if (stamp === undefined) throw new Error(`${file.name} has no stamp that can be read`);
  return unwrapStamp(stamp, (3600 + nearS) * S) / S - 3600;
}

/** Every file shows the user's colour, and the moment that its name says. */
function judge({ files }: Taken): void {
  for (const file of files) {
    const atS = (file.startUtcMs - ZERO_UTC_MS) / 1000;
    const { r, g, b } = readImage(join(dir, file.name)).at(0.1, 0.4);
    expect([r > 120, g < 90, b < 90], file.name).toEqual([true, true, true]);
    expect(Math.abs(stampOf(file, atS) - atS), file.name).toBeLessThanOrEqual((1.1 * STAMP_UNIT_US) / S);
  }
  expect(readdirSync(dir).sort()).toEqual(files.map(({ name }) => name).sort());
}

/** Each of `times` lies within these seconds of its place. */
function expectTimes(times: number[], places: number[], [early, late]: [number, number]): void {
  expect(times).toHaveLength(places.length);
  times.forEach((atS, n) => {
    expect(atS, `picture ${n} of ${times}`).toBeGreaterThanOrEqual(places[n]! - early);
    expect(atS, `picture ${n} of ${times}`).toBeLessThanOrEqual(places[n]! + late);
  });
}

describe('a sender that answers requests', () => {
  test.each(['h264', 'vp8', 'vp9'] as const)(
    'gives one key frame for each picture, and no more is decoded (%s)',
    async (codec) => {
      const taken = await record({ codec, intervalS: 10, seconds: 35 });
      expectTimes(taken.times, [0, 10, 20, 30], [0.5, 0.1]);
      expect(taken.times[0]).toBe(0);
      expectTimes(taken.requests, [9.5, 19.5, 29.5], [0, 0.2]);
      expect(taken.decoded).toBe(4);
      judge(taken);
      expect(taken.files[0]).toMatchObject({
        type: 'snapshot',
        name: 'b__uid_s_7__uid_e_video_20260301120000000.jpg',
        uid: '7',
        startUtcMs: ZERO_UTC_MS,
        durationUs: 0,
      });
    },
  );

  test('gives a picture each hour from one key frame each, however many pictures lie between', async () => {
    const taken = await record({ intervalS: 3600, seconds: 7300, fps: 1 });
    expectTimes(taken.times, [0, 3600, 7200], [0.5, 1.1]);
    // One more was to learn that the sender answers.
    expect(taken.requests).toHaveLength(3);
    expect(taken.decoded).toBe(3);
    judge(taken);
  });

  test('is asked no more than every interval where that is 5 s', async () => {
    const taken = await record({ intervalS: 5, seconds: 31 });
    expectTimes(taken.times, [0, 5, 10, 15, 20, 25, 30], [0.5, 0.1]);
    expect(taken.requests).toHaveLength(6);
    expect(taken.decoded).toBe(7);
    judge(taken);
  });
});

describe('a sender that answers nothing', () => {
  test.each([
    ['never sends another key frame', 100_000],
    ['sends one now and then', 7],
  ])('and %s still gives the present each time', async (_, gopS) => {
    const taken = await record({ intervalS: 10, seconds: 42, answers: false, gopS });
    // A second is waited for the first answer; then it is known that none comes.
    expectTimes(taken.times, [0, 10, 20, 30, 40], [0.5, 1.1]);
    judge(taken);
    expect(taken.decoded).toBeLessThanOrEqual(taken.sent);
  });

  test('is decoded as it comes once it sent more than is kept', async () => {
    const taken = await record({ intervalS: 40, seconds: 85, answers: false });
    expectTimes(taken.times, [0, 40, 80], [0, 1.1]);
    judge(taken);
  });
});

test('a picture each second is taken on the second, without a single request', async () => {
  const taken = await record({ intervalS: 1, seconds: 12 });
  expect(taken.times).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  expect(taken.requests).toEqual([]);
  judge(taken);
});

test('a picture each 3 s decodes only what follows the last key frame', async () => {
  const taken = await record({ intervalS: 3, seconds: 21, gopS: 1, answers: false });
  expect(taken.times).toEqual([0, 3, 6, 9, 12, 15, 18, 21]);
  expect(taken.decoded).toBeLessThan(taken.sent / 3);
  judge(taken);
});

describe('while the video is stopped', () => {
  test.each([true, false])(
    'there is none, one when it comes back, and then again on the grid (answers: %s)',
    async (answers) => {
      const taken = await record({ intervalS: 10, seconds: 45, mute: [12, 24], answers });
      expectTimes(taken.times, [0, 10, 24, 30, 40], [0.5, 1.6]);
      expect(taken.times.filter((atS) => atS >= 12 && atS < 24)).toEqual([]);
      // Nobody is asked who does not send.
      expect(taken.requests.filter((atS) => atS > 16 && atS < 24)).toEqual([]);
      judge(taken);
    },
  );

  test('a sender that stops just when it is asked is no sender that does not answer', async () => {
    const taken = await record({ intervalS: 10, seconds: 50, mute: [9.4, 33.3] });
    expectTimes(taken.times, [0, 33.3, 40, 50], [0.5, 2.6]);
    judge(taken);
  });

  test('black pictures, which a page sends whose camera is off, are not taken', async () => {
    const taken = await record({ intervalS: 10, seconds: 45, black: [12, 34] });
    // While black it is tried every 10 s, each time a little early.
    expectTimes(taken.times, [0, 10, 40], [1, 0]);
    judge(taken);
  });
});

test.each([true, false])(
  'what was sent before the recording began is only decoded from (answers: %s)',
  async (answers) => {
    const taken = await record({ intervalS: 10, seconds: 12, fromS: -3, answers });
    expectTimes(taken.times, answers ? [0.15, 10.15] : [0, 10], answers ? [0.5, 0.1] : [0, 0]);
    expect(taken.times[0]).toBeGreaterThanOrEqual(0);
    judge(taken);
  },
);

test('who comes back as another track has pictures of its own, at once and under names of their own', async () => {
  const first = await record({ intervalS: 10, seconds: 3 });
  const again = await record({ intervalS: 10, seconds: 3 });
  expect([...first.times, ...again.times]).toEqual([0, 0.001]);
  expect(readdirSync(dir)).toHaveLength(2);
});

test('another size in the middle', async () => {
  const taken = await record({ codec: 'h264', intervalS: 5, seconds: 16, largerFromS: 7 });
  const sizes = taken.files.map(({ name }) => readImage(join(dir, name))).map(({ width, height }) => [width, height]);
  expect(sizes).toEqual([
    [160, 90],
    [160, 90],
    [320, 180],
    [320, 180],
  ]); // prettier-ignore
  judge(taken);
});

test('a picture that lies on its side is set upright', async () => {
  const taken = await record({ intervalS: 10, seconds: 2, shown: { orientation: { turn: 90, flip: false } } });
  const image = readImage(join(dir, taken.files[0]!.name));
  expect([image.width, image.height]).toEqual([90, 160]);
  // The stamp's row, at the top as it was sent, stands at the right: its frame is dark where the picture is red.
  expect(image.at(0.1, 0.05).r).toBeGreaterThan(120);
  const right = image.at(1 - STAMP_AREA.y - STAMP_AREA.height / 2, 0.5);
  expect(Math.abs(right.r - right.g)).toBeLessThan(40);
});

describe('damage', () => {
  /** What follows the start of a slice overwritten: only a decoder can tell. */
  const spoil = (data: Buffer) => {
    const out = Buffer.from(data);
    out.fill(0x5a, Math.floor(data.length / 2), Math.floor(data.length / 2) + 8);
    return out;
  };

  test('a picture that refers to a damaged one is never taken; a key frame is asked for', async () => {
    const taken = await record({
      ...{ codec: 'h264', intervalS: 1, seconds: 9 },
      harm: (atS, data) => (Math.abs(atS - 2.52) < 0.001 ? spoil(data) : data),
    });
    expect(taken.times.slice(0, 3)).toEqual([0, 1, 2]);
    expect(taken.requests).toHaveLength(1);
    const back = taken.times[3]!;
    expect(back).toBeGreaterThan(3);
    expect(back).toBeLessThan(4.8);
    expect(taken.times.at(-1)).toBe(9);
    judge(taken);
  });

  test('nor is a key frame that is damaged itself', async () => {
    const taken = await record({
      ...{ codec: 'vp8', intervalS: 10, seconds: 15 },
      harm: (atS, data) => (atS === 0 ? data.subarray(0, 6) : data),
    });
    expect(taken.requests[0]).toBeLessThan(2);
    expectTimes(taken.times, [1.5, 11.5], [0.5, 0.3]);
    judge(taken);
  });
});

test('a disk that fails is told of, and nothing is left over', async () => {
  rmSync(dir, { recursive: true });
  const { lost, files } = await record({ intervalS: 1, seconds: 5 });
  expect(lost).toHaveLength(6);
  expect(lost[0]).toMatch(/^a snapshot could not be written: ENOENT/);
  expect(files).toEqual([]);
});

test('pictures that the disk is too slow for are given up and counted', async () => {
  const encoder = new VideoEncoder({ codec: 'vp8', width: 160, height: 90, fps: 1, bitrateKbps: 400, gopFrames: 100 });
  const picture = new MadePicture(BLUE, { width: 160, height: 90, flash: false });
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const files: Snapshot[] = [];
  const line = new SnapshotLine({
    ...{ uid: '7', codec: 'vp8', intervalUs: S, dir, baseName: 'b', zeroUtcMs: ZERO_UTC_MS },
    onFile: async (file) => {
      await held;
      files.push(file);
    },
    onLost: (what) => expect.fail(what),
  });
  for (let n = 0; n < 10; n++) {
    picture.draw(3600 * S + n * S);
    const [unit] = encoder.encode(picture.i420, n);
    line.push({ data: unit!.data, keyFrame: unit!.keyFrame }, n * S);
  }
  encoder.close();
  expect(line.takeDropped()).toBe(7);
  release();
  await line.finish();
  expect(files).toHaveLength(3);
  line.close();
});

test.each([1, 10])('B-frames: each picture is of its moment, the last one too (each %i s)', async (intervalS) => {
  const [fps, seconds] = [25, 21];
  const size = { width: 160, height: 90 };
  const encoder = new VideoEncoder({ codec: 'h264', ...size, fps, bitrateKbps: 400, gopFrames: 50, bFrames: 2 });
  const picture = new MadePicture(RED, { ...size, flash: false });
  const files: Snapshot[] = [];
  const line = new SnapshotLine({
    ...{ uid: '7', codec: 'h264', intervalUs: intervalS * S, dir, baseName: 'b', zeroUtcMs: ZERO_UTC_MS },
    onFile: async (file) => void files.push(file),
    onLost: () => {},
  });
  const push = async (units: ReturnType<VideoEncoder['encode']>) => {
    for (const { data, keyFrame, pts } of units) line.push({ data, keyFrame }, (pts * S) / fps);
    while (line.waiting > 0) await new Promise((resolve) => setImmediate(resolve));
  };
  // The last picture is one that is due.
  for (let n = 0; n <= (seconds - 1) * fps; n++) {
    picture.draw(3600 * S + (n * S) / fps);
    await push(encoder.encode(picture.i420, n));
  }
  await push(encoder.flush());
  encoder.close();
  await line.finish();
  const times = files.map(({ startUtcMs }) => (startUtcMs - ZERO_UTC_MS) / 1000);
  const places = Array.from({ length: 1 + (seconds - 1) / intervalS }, (_, n) => n * intervalS);
  expectTimes(times, places, [0.5, 0.1]);
  judge({ files, lost: [], times, requests: [], decoded: 0, sent: 0 });
});
