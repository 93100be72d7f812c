/**
 * Made pictures and sound through the real encoders and decoders: colours, order, timing, key frames, damage, and
 * nothing left over.
 */
import {
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUV444P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT709,
  FF_ENCODER_LIBVPX_VP8,
  FF_ENCODER_LIBX264,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Rational } from 'node-av/lib';
import { afterEach, describe, expect, it } from 'vitest';
import type { Picture } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { Part } from './changed-parts.ts';
import { freeFrame, freePacket, liveFrames, newFrame, newPacket } from './native-frames.ts';
import { PicturePool } from './picture-pool.ts';
import { type DecodedPicture, VideoDecoder } from './video-decoder.ts';
import { VideoEncoder } from './video-encoder.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

/** A picture whose luma tells its number, with a moving edge to keep the encoder busy. */
function paint(picture: Picture, n: number): void {
  const values = [16 + 3 * (n % 70), 90, 200];
  picture.planes.forEach((plane, i) => {
    plane.fill(values[i]!);
  });
}

const lumaOf = (picture: Picture) => picture.planes[0][10 * picture.strides[0] + 10]!;

async function encodeFrames(encoder: VideoEncoder, indexes: number[], forced: number[] = []): Promise<EncodedSample[]> {
  const pool = new PicturePool();
  const samples: EncodedSample[] = [];
  for (const index of indexes) {
    const canvas = pool.allocate(encoder.width, encoder.height);
    paint(canvas, index);
    const encoding = encoder.encode(canvas, index, { keyFrame: forced.includes(index) });
    // The encoder reads it now: a compositor would see that and leave the memory alone.
    expect(pool.exclusive(canvas)).toBe(false);
    canvas.free();
    samples.push(...(await encoding));
  }
  samples.push(...(await encoder.flush()));
  encoder.close();
  pool.close();
  return samples;
}

function decodeAll(
  decoder: VideoDecoder,
  samples: { data: Buffer; ptsUs: number }[],
): Omit<DecodedPicture & { luma: number }, 'picture'>[] {
  const out: Omit<DecodedPicture & { luma: number }, 'picture'>[] = [];
  const note = (pictures: DecodedPicture[]) => {
    for (const { picture, ptsUs, damaged } of pictures) {
      out.push({ ptsUs, damaged, luma: lumaOf(picture) });
      picture.free();
    }
  };
  for (const sample of samples) note(decoder.decode(sample));
  note(decoder.flush());
  return out;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('H.264', () => {
  const options = { width: 320, height: 180, fps: 30, bitrateKbps: 400, keyIntervalFrames: 45 };

  it('decodes to the frames that went in, in order, at their times', async () => {
    const samples = await encodeFrames(new VideoEncoder(options), range(100));
    expect(samples).toHaveLength(100);
    const decoder = new VideoDecoder('h264');
    const pictures = decodeAll(decoder, samples);
    expect(pictures.map((p) => p.ptsUs)).toEqual(range(100).map((n) => Math.round((n * 1e6) / 30)));
    pictures.forEach((p, n) => {
      expect(Math.abs(p.luma - (16 + 3 * (n % 70)))).toBeLessThanOrEqual(6);
    });
    expect(pictures.some((p) => p.damaged)).toBe(false);
    decoder.close();
  });

  it('decodes every frame when it is shown, without B-frames', async () => {
    const samples = await encodeFrames(new VideoEncoder(options), range(100));
    samples.forEach((sample, i) => {
      expect(sample.dtsUs).toBe(sample.ptsUs);
      if (i > 0) expect(sample.ptsUs).toBeGreaterThan(samples[i - 1]!.ptsUs);
    });
    // Durations add up to the exact length: nothing is lost to rounding.
    expect(samples.reduce((sum, s) => sum + s.durationUs, 0)).toBe(Math.round(100e6 / 30));
  });

  it('places IDRs on the grid, at once when asked, and on the first frame after a gap', async () => {
    const indexes = [...range(80), ...range(60).map((n) => n + 100)];
    const samples = await encodeFrames(new VideoEncoder(options), indexes, [50]);
    const keys = samples.filter((s) => s.keyFrame).map((s) => Math.round((s.ptsUs * 30) / 1e6));
    expect(keys).toEqual([0, 45, 50, 100, 135]);
    for (const sample of samples) expect(nalTypes(sample.data).includes(5)).toBe(sample.keyFrame);
  });

  it('repeats in band, before each IDR, the parameter sets it gives up front', async () => {
    const encoder = new VideoEncoder(options);
    const { extradata } = encoder;
    const samples = await encodeFrames(encoder, range(60));
    expect(nalTypes(extradata)).toEqual([7, 8]);
    for (const sample of samples.filter((s) => s.keyFrame)) expect(sample.data.indexOf(extradata)).toBe(0);
  });

  it('looks no further at parts that are said not to have changed, and forgets what it was told', async () => {
    // The left half is noise, so that there are no bits to spare for making the right one finer.
    const [left, right] = [0, 160].map((x) => ({ x, y: 0, width: 160, height: 180 })) as [Part, Part];
    const pool = new PicturePool();
    const encoder = new VideoEncoder(options);
    const canvas = pool.allocate(320, 180);
    const [luma, cb, cr] = canvas.planes;
    for (const chroma of [cb, cr]) chroma.fill(128);
    let seed = 1;
    const noise = () => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return 60 + ((seed >> 16) & 127);
    };
    const paintPart = ({ x, y, width, height }: Part, value: (x: number, y: number) => number) => {
      for (let row = y; row < y + height; row++)
        for (let at = x; at < x + width; at++) luma[row * canvas.strides[0] + at] = value(at, row);
    };
    const samples: EncodedSample[] = [];
    for (const frame of range(22)) {
      const base = Math.max(0, frame - 19) * 50 + 60;
      paintPart(left, noise);
      paintPart(right, (x, y) => base + ((x * 31 + y * 17) % 13));
      samples.push(...(await encoder.encode(canvas, frame, { changed: frame < 21 ? [left] : undefined })));
    }
    samples.push(...(await encoder.flush()));
    canvas.free();
    encoder.close();
    pool.close();
    const decoder = new VideoDecoder('h264');
    const shades = samples
      .flatMap((sample) => decoder.decode(sample))
      .map(({ picture }) => {
        const shade = picture.planes[0][90 * picture.strides[0] + 280]!;
        picture.free();
        return shade;
      });
    decoder.close();
    const near = (base: number) => expect.toSatisfy((shade: number) => Math.abs(shade - base - 6) < 15);
    // The right half is lighter from frame 20 on, and was said to be as it was; and again in frame 21.
    expect(shades.slice(19)).toEqual([near(60), near(60), near(160)]);
  });

  it('stays near its bit rate on noise', async () => {
    const pool = new PicturePool();
    const encoder = new VideoEncoder(options);
    const samples: EncodedSample[] = [];
    let seed = 1;
    for (const n of range(120)) {
      const canvas = pool.allocate(320, 180);
      for (const plane of canvas.planes)
        for (let i = 0; i < plane.length; i++) {
          seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
          plane[i] = seed >>> 24;
        }
      samples.push(...(await encoder.encode(canvas, n)));
      canvas.free();
    }
    samples.push(...(await encoder.flush()));
    encoder.close();
    pool.close();
    const kbps = (samples.reduce((sum, s) => sum + s.data.length, 0) * 8) / 1000 / 4;
    expect(kbps).toBeLessThan(1.5 * 400);
  });

  it('refuses frames out of order and calls at once, and waits with close for the call that runs', async () => {
    const pool = new PicturePool();
    const canvas = pool.allocate(320, 180);
    paint(canvas, 0);
    const encoder = new VideoEncoder(options);
    await encoder.encode(canvas, 5);
    await expect(encoder.encode(canvas, 5)).rejects.toThrow('after frame 5');
    const running = encoder.encode(canvas, 6);
    await expect(encoder.encode(canvas, 7)).rejects.toThrow('one call');
    encoder.close();
    await running;
    await expect(encoder.encode(canvas, 8)).rejects.toThrow('after close');
    canvas.free();
    pool.close();
  });
});

describe('VideoDecoder', () => {
  const options = { width: 320, height: 180, fps: 30, bitrateKbps: 400, keyIntervalFrames: 300 };

  it('marks pictures from the damage to the next key frame, and never throws', async () => {
    const samples = await encodeFrames(new VideoEncoder(options), range(60), [40]);
    const decoder = new VideoDecoder('h264');
    const broken = samples.map((s, i) =>
      i >= 10 && i < 20 ? { ptsUs: s.ptsUs, data: Buffer.from(s.data.map((b, at) => (at > 5 ? b ^ 0x5a : b))) } : s,
    );
    const pictures = decodeAll(decoder, broken);
    expect(pictures.filter((p) => p.ptsUs >= (40 * 1e6) / 30).every((p) => !p.damaged)).toBe(true);
    expect(pictures.some((p) => p.damaged) || decoder.undecodable > 0).toBe(true);
    for (const data of [Buffer.alloc(0), Buffer.from([1]), Buffer.alloc(5000, 0xff)])
      for (const { picture } of decoder.decode({ data, ptsUs: 0 })) picture.free();
    decoder.close();
    decoder.close();
  });

  it.each(['h264', 'vp8'] as const)('follows a change of size in mid-stream (%s)', (codec) => {
    const decoder = new VideoDecoder(codec);
    const sizes: string[] = [];
    for (const [width, height] of [
      [320, 180],
      [640, 360],
      [180, 320],
    ] as const)
      for (const sample of encodeOther(codec, width, height, 6)) {
        const pictures = decoder.decode(sample);
        expect(pictures).toHaveLength(1);
        for (const { picture } of pictures) {
          sizes.push(`${picture.width}x${picture.height}`);
          picture.free();
        }
      }
    expect([...new Set(sizes)]).toEqual(['320x180', '640x360', '180x320']);
    decoder.close();
  });

  it('says that VP8 pictures before a key frame cannot be', () => {
    const decoder = new VideoDecoder('vp8');
    const samples = encodeOther('vp8', 320, 180, 6);
    expect(samples.slice(1).flatMap((s) => decoder.decode(s))).toEqual([]);
    expect(decoder.undecodable).toBe(5);
    for (const { picture, damaged } of decoder.decode(samples[0]!)) {
      expect(damaged).toBe(false);
      picture.free();
    }
    decoder.close();
  });

  // Red in BT.709 is Y 63, Cb 102, Cr 240; in BT.601 Y 81, Cb 90, Cr 240.
  it.each([
    ['full range', { fullRange: true, values: [76, 85, 255] }, [81, 90, 240]],
    ['4:4:4', { format444: true, values: [100, 60, 190] }, [100, 60, 190]],
    ['BT.709', { bt709: true, values: [63, 102, 240] }, [81, 90, 240]],
  ])('makes 4:2:0, limited range and BT.601 of %s', (_, shape, expected) => {
    const decoder = new VideoDecoder('h264');
    const [sample] = encodeOther('h264', 320, 180, 1, shape);
    const [decoded] = decoder.decode(sample!);
    const { picture } = decoded!;
    const values = picture.planes.map((plane) => plane[0]!);
    expect(picture.strides[1]).toBeLessThan(picture.strides[0]);
    picture.free();
    decoder.close();
    values.forEach((value, i) => {
      expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(3);
    });
  });
});

function nalTypes(unit: Buffer): number[] {
  const types: number[] = [];
  for (let at = unit.indexOf(START_CODE); at >= 0; at = unit.indexOf(START_CODE, at + 3))
    types.push(unit[at + 3]! & 31);
  return types;
}
const START_CODE = Buffer.from([0, 0, 1]);

/** A stream as a publisher would send it, without B-frames: flat pictures of the given values. */
function encodeOther(
  codec: 'h264' | 'vp8',
  width: number,
  height: number,
  count: number,
  shape: { fullRange?: boolean; bt709?: boolean; format444?: boolean; values?: number[] } = {},
): { data: Buffer; ptsUs: number }[] {
  const encoder = Codec.findEncoderByName(codec === 'h264' ? FF_ENCODER_LIBX264 : FF_ENCODER_LIBVPX_VP8)!;
  const format = shape.format444 ? AV_PIX_FMT_YUV444P : AV_PIX_FMT_YUV420P;
  const context = new CodecContext();
  context.allocContext3(encoder);
  context.width = width;
  context.height = height;
  context.pixelFormat = format;
  context.timeBase = new Rational(1, 30);
  context.bitRate = 500_000n;
  if (shape.fullRange) context.colorRange = AVCOL_RANGE_JPEG;
  if (shape.bt709) context.colorSpace = AVCOL_SPC_BT709;
  if (codec === 'h264') context.setOption('tune', 'zerolatency');
  else context.setOption('lag-in-frames', '0');
  FFmpegError.throwIfError(context.open2Sync(encoder), 'opening an encoder');
  const packet = newPacket();
  const samples: { data: Buffer; ptsUs: number }[] = [];
  for (let n = 0; n < count; n++) {
    const frame = newFrame();
    frame.format = format;
    frame.width = width;
    frame.height = height;
    FFmpegError.throwIfError(frame.getBuffer(), 'allocating a frame');
    frame.data!.forEach((plane, i) => {
      plane.fill((shape.values ?? [80 + n, 128, 128])[i]!);
    });
    if (shape.fullRange) frame.colorRange = AVCOL_RANGE_JPEG;
    if (shape.bt709) frame.colorSpace = AVCOL_SPC_BT709;
    frame.pts = BigInt(n);
    FFmpegError.throwIfError(context.sendFrameSync(frame), 'encoding');
    freeFrame(frame);
    while (context.receivePacketSync(packet) >= 0) {
      samples.push({ data: Buffer.from(packet.data!), ptsUs: Math.round((n * 1e6) / 30) });
      packet.unref();
    }
  }
  freePacket(packet);
  context.freeContext();
  return samples;
}
