/**
 * Which picture of a stay is shown when: over slices, gaps, turns, changes of codec, and from a stay to the next.
 */
import { afterEach, expect, test } from 'vitest';
import { VideoEncoder } from '../../../test/support/media/encode.ts';
import { MadePicture } from '../../../test/support/media/made-media.ts';
import { RED } from '../../../test/support/media/participants.ts';
import type { Picture } from '../../media/frame.ts';
import type { VideoCodec } from '../../media/track.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import type { SliceSample } from '../../stages/mux/read-slices.ts';
import type { CastSlice, CastStay } from './cast.ts';
import { StayPictures } from './stay-pictures.ts';

const S = 1_000_000;
const FPS = 10;
const SIZE = { width: 64, height: 36 };

afterEach(() => expect(liveFrames()).toBe(0));

type Made = { slice: CastSlice; samples: SliceSample[] };

/** One second of picture from `atS` on, with a key frame at each of `keyFrames`. */
function made(
  atS: number,
  { codec = 'h264' as VideoCodec, keyFrames = [0], width = SIZE.width, bFrames = 0 } = {},
): Made {
  const encoder = new VideoEncoder({ codec, ...SIZE, width, fps: FPS, bitrateKbps: 100, gopFrames: 1000, bFrames });
  const picture = new MadePicture(RED, { ...SIZE, width, flash: false });
  const samples: SliceSample[] = [];
  for (let n = 0; samples.length < FPS; n++) {
    picture.draw((atS + n / FPS) * S);
    for (const { data, keyFrame, pts } of encoder.encode(picture.i420, n, keyFrames.includes(n))) {
      const us = Math.round((atS + pts / FPS) * S);
      samples.push({ kind: 'video', codec, ptsUs: us, dtsUs: us, durationUs: S / FPS, keyFrame, data });
    }
  }
  encoder.close();
  // As recorders write them: decoded no sooner than what is decoded next demands.
  for (const [n, sample] of [...samples.entries()].reverse())
    sample.dtsUs = Math.min(sample.ptsUs, (samples[n + 1]?.dtsUs ?? Number.POSITIVE_INFINITY) - 1000);
  const place = { startUs: atS * S, durationUs: S, bytes: 1, playlist: 'p', index: 0, shapes: [], rotate: 0 as const };
  return { slice: { name: `${atS}`, uid: '1', trackType: 'video', ...place, missing: false }, samples };
}

/** Shows a stay at each of `timesS` @returns what `note` makes of each picture */
async function show<T>(
  all: Made[],
  timesS: number[],
  note: (picture: Picture) => T,
  { fromS = 0, stay = {} as Partial<CastStay> } = {},
): Promise<(T | undefined)[]> {
  const slices = all.map(({ slice }) => slice);
  const whole: CastStay = { uid: '1', joinedUs: 0, leftUs: 99 * S, sinceUs: Number.NEGATIVE_INFINITY, slices, ...stay };
  const read = async function* ({ name }: CastSlice) {
    yield* all.find(({ slice }) => slice.name === name)?.samples ?? [];
  };
  const pictures = new StayPictures(whole, fromS * S, read, (what) => expect.unreachable(what));
  const seen: (T | undefined)[] = [];
  for (const atS of timesS) {
    const picture = await pictures.pictureAt(atS * S);
    seen.push(picture && note(picture));
  }
  await pictures.close();
  return seen;
}
const steps = (fromS: number, toS: number) =>
  Array.from({ length: Math.round((toS - fromS) * FPS) }, (_, n) => fromS + n / FPS);
/** Numbers pictures as objects, from 1. */
function numbering() {
  const known: Picture[] = [];
  return (picture: Picture) => (known.includes(picture) ? known.indexOf(picture) + 1 : known.push(picture));
}

test('each picture in its time, from slice to slice; none before the first, and the last one is held', async () => {
  const seen = await show([made(1), made(2)], steps(0.9, 3.2), numbering());
  const each = Array.from({ length: 20 }, (_, n) => n + 1);
  expect(seen).toEqual([undefined, ...each, 20, 20]);
});

test('with B-frames too each picture is there in its time', async () => {
  const at = (slice: Made, atS: number) => slice.samples.some(({ ptsUs }) => ptsUs === Math.round(atS * S));
  const [first, second] = [made(1, { bFrames: 2 }), made(2, { bFrames: 2 })];
  const times = steps(1, 3).filter((atS) => at(atS < 2 ? first : second, atS));
  expect(times.length).toBeGreaterThan(16);
  const seen = await show([first, second], times, numbering());
  expect(seen).toEqual(times.map((_, n) => n + 1));
});

test('a part that begins in the middle begins with the picture of that moment', async () => {
  const upright = made(0, { keyFrames: [0, 5] });
  const [sent] = await show([upright], [0.7], (picture) => Buffer.from(picture.planes[0]));
  const [part] = await show([upright], [0.7], (picture) => Buffer.from(picture.planes[0]), { fromS: 0.7 });
  expect(part?.equals(sent as Buffer)).toBe(true);
});

test('after a file that is not there the picture is held until a key frame', async () => {
  const gone = made(1);
  gone.slice.missing = true;
  const forced = made(2, { keyFrames: [0, 5] });
  const headless = { ...forced, samples: forced.samples.slice(1) };
  const seen = await show([made(0), gone, headless], steps(0.8, 3), numbering());
  expect(seen).toEqual([1, 2, ...Array(15).fill(2), 3, 4, 5, 6, 7]);
});

test.each(['vp8', 'vp9'] as const)(
  'the codec and the size may change between slices, as from H.264 to %s',
  async (codec) => {
    const widths = await show([made(0), made(1, { codec, width: 128 })], [0.9, 1, 1.9], ({ width }) => width);
    expect(widths).toEqual([64, 128, 128]);
  },
);

test('pictures are turned with the clock by what the manifest turns against it, from the moment it says', async () => {
  const { slice, samples } = made(0);
  slice.rotate = 180;
  // Half a millisecond after its picture, as rounding may have it.
  slice.shapes.push({ atUs: 500_500, ...SIZE, rotate: 90 });
  const turns = await show([{ slice, samples }], [0, 0.4, 0.5, 0.9], ({ orientation }) => orientation?.turn);
  expect(turns).toEqual([180, 180, 270, 270]);
});

test('a stay shows nothing of the one before, though both are in one slice', async () => {
  const seen = await show([made(0)], [0.3, 0.55, 0.6, 0.9], numbering(), {
    stay: { joinedUs: 300_000, sinceUs: 580_000 },
  });
  expect(seen).toEqual([undefined, undefined, 1, 2]);
});

test('a frame that cannot be decoded ends the picture until the next key frame', async () => {
  const { slice, samples } = made(0, { codec: 'vp8', keyFrames: [0, 6] });
  samples[3] = { ...(samples[3] as SliceSample), data: Buffer.alloc(2) };
  const seen = await show([{ slice, samples }], steps(0, 1), numbering());
  expect(seen).toEqual([1, 2, 3, 3, 3, 3, 4, 5, 6, 7]);
});
