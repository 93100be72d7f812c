/**
 * VP9 in spatial layers, from RTP to pictures: one of each unit, of the highest layer, and the same one that comes out
 * when all layers are shown.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { readMedia } from '../../../test/support/judge/read-media.ts';
import { type LayeredMode, layeredPictures, layerPayloads } from '../../../test/support/media/layers.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import { Mp4Files } from '../mux/mp4/mp4-files.ts';
import { createDepacketizer } from '../rtp/depacketize/create-depacketizer.ts';
import { pictureSizeOf } from '../rtp/picture-size.ts';
import { superframeOf } from '../rtp/vp9-frame.ts';
import { liveFrames } from './native-frames.ts';
import { VideoDecoder } from './video-decoder.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

const FORMAT = { kind: 'video', codec: 'vp9', payloadType: 96, clockRate: 90_000, fmtp: '' } as const;

/** @param layersOf how many of its layers each picture still has */
function received(pictures: Buffer[][], layersOf: (n: number) => number = () => 2): ReceivedSample[] {
  const depacketizer = createDepacketizer(FORMAT);
  let sequence = 0;
  const samples = pictures.flatMap((layers, n) => {
    const payloads = layerPayloads(layers.slice(0, layersOf(n)), n === 0);
    return payloads.flatMap((payload, layer) => {
      const marker = layer === payloads.length - 1;
      const at = { sequence: sequence++, timestamp: n * 3000, ssrc: 1, arrivalUs: n * 33_333 };
      return depacketizer.push({
        packet: { payloadType: 96, marker, payload, ...at },
        rtpTime: n * 3000,
        lostBefore: 0,
      });
    });
  });
  return [...samples, ...depacketizer.flush()];
}

type Shown = { size: string; luma: Buffer };

/** The pictures that a decoder hands out for each unit. */
function decode(units: Buffer[]): Shown[][] {
  const decoder = new VideoDecoder('vp9');
  const shown = units.map((data, n) =>
    decoder.decode({ data, ptsUs: n * 33_333 }).map(({ picture, damaged }) => {
      expect(damaged).toBe(false);
      const size = `${picture.width}x${picture.height}`;
      const rows = Array.from({ length: picture.height }, (_, y) =>
        Buffer.from(picture.planes[0].subarray(y * picture.strides[0], y * picture.strides[0] + picture.width)),
      );
      picture.free();
      return { size, luma: Buffer.concat(rows) };
    }),
  );
  expect(decoder.undecodable).toBe(0);
  decoder.close();
  return shown;
}

describe.each<LayeredMode>(['l2t1', 'l3t3-key'])('VP9 %s', (mode) => {
  const pictures = layeredPictures(mode);

  test('gives one picture for each unit, the highest layer as it is meant', () => {
    const asSent = decode(pictures.map((layers) => superframeOf(layers)));
    // What this is about: as they are sent, each layer is shown.
    expect(asSent.map((shown) => shown.map(({ size }) => size))).toEqual(pictures.map(() => ['320x180', '640x360']));
    const samples = received(pictures);
    const shown = decode(samples.map(({ data }) => data));
    expect(shown.map((each) => each.map(({ size }) => size))).toEqual(pictures.map(() => ['640x360']));
    for (const [n, each] of shown.entries()) expect(each[0]!.luma.equals(asSent[n]!.at(-1)!.luma), `${n}`).toBe(true);
    expect(samples.map(({ keyFrame }) => keyFrame)).toEqual(pictures.map((_, n) => n === 0));
    expect(pictureSizeOf('vp9', samples[0]!.data)).toEqual({ width: 640, height: 360 });
    expect(samples.some(({ resized }) => resized)).toBe(false);
  });

  test('leaves out a picture that lacks the highest layer', () => {
    const samples = received(pictures, (n) => (n === pictures.length - 1 ? 1 : 2));
    expect(sizesOf(samples)).toEqual(pictures.slice(1).map(() => ['640x360']));
    expect(samples.some(({ resized }) => resized)).toBe(false);
  });
});

/** Of the pictures that a decoder hands out for each sample. */
const sizesOf = (samples: ReceivedSample[]) =>
  decode(samples.map(({ data }) => data)).map((each) => each.map(({ size }) => size));

/** The lower layer of one picture again and again is a stream that decodes as well as any. */
function repeated(count: number): Buffer[][] {
  const [key, next] = layeredPictures('l3t3-key');
  return [key!, ...Array.from({ length: count }, () => next!)];
}

test('a highest layer that is switched off is asked for, and the one below is shown after a fifth of a second', () => {
  const samples = received(repeated(14), (n) => (n < 1 ? 2 : 1));
  expect(sizesOf(samples)).toEqual([['640x360'], ...Array(8).fill(['320x180'])]);
  expect(samples.map(({ rtpTime }) => rtpTime / 3000)).toEqual([0, 7, 8, 9, 10, 11, 12, 13, 14]);
  expect(samples.findIndex(({ resized }) => resized)).toBe(1);
});

/** Sizes of the pictures that a player shows of an MP4 of the samples. */
async function sizesInMp4(samples: ReceivedSample[]): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-layers-'));
  try {
    const mp4 = new Mp4Files({
      ...{ dir, baseName: 'layers', zeroUtcMs: 0, video: { codec: 'vp9', width: 640, height: 360 } },
      limit: { durationMs: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY },
      onFile() {},
    });
    for (const { data, keyFrame, rtpTime } of samples) {
      const us = Math.round((rtpTime / 90_000) * 1e6);
      mp4.write({ kind: 'video', ptsUs: us, dtsUs: us, durationUs: 33_333, keyFrame, data });
    }
    await mp4.finish();
    const sizes: string[] = [];
    const onPicture = ({ width, height }: { width: number; height: number }) => void sizes.push(`${width}x${height}`);
    expect(readMedia(join(dir, 'layers_0.mp4'), { onPicture }).damaged).toBe(0);
    return sizes;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

test('a picture without its highest layer goes with the next, so that an MP4 takes each sample', async () => {
  // Without it: one, some, as many as go into a superframe, and more.
  for (const without of [1, 3, 6, 7]) {
    const samples = received(repeated(without + 4), (n) => (n > 1 && n < 2 + without ? 1 : 2));
    const small = without > 6 ? 1 : 0;
    const shown = sizesOf(samples);
    expect(shown.flat().filter((size) => size === '320x180')).toHaveLength(small);
    expect(shown.every((each) => each.length === 1)).toBe(true);
    expect(await sizesInMp4(samples), `${without} without`).toEqual(shown.flat());
  }
});

test('a highest layer that is switched on without a key frame is shown at once, and a key frame is asked for', () => {
  const [key, next] = layeredPictures('l2t1');
  // An upper layer that begins refers to the lower one alone, as that of a key frame does.
  const samples = received([key!, [next![0]!, key![1]!]], (n) => (n === 0 ? 1 : 2));
  expect(samples.map(({ resized }) => resized)).toEqual([false, true]);
});
