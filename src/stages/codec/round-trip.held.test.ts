/**
 * Made pictures and sound through the real encoders and decoders: colours, order, timing, key frames, damage, and
 * nothing left over.
 */
import {
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUV444P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_BT709,
  FF_DECODER_AAC,
  FF_ENCODER_LIBVPX_VP8,
  FF_ENCODER_LIBX264,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Rational } from 'node-av/lib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { lagOf, sweep } from '../../../test/support/media/opus.ts';
import type { Picture } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { AAC_BLOCK, AudioEncoder } from './audio-encoder.ts';
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

describe('AAC', () => {
  it.each([1, 2] as const)('decodes to the same samples at the same time, in %i channels', (channels) => {
    const signal = sweep(50 * AAC_BLOCK, 14_700);
    const encoder = new AudioEncoder({ channels, bitrateKbps: 64 * channels });
    const start = 7 * AAC_BLOCK;
    const samples: EncodedSample[] = [];
    for (let at = 0; at < signal.length; at += AAC_BLOCK) {
      const block = signal.subarray(at, at + AAC_BLOCK);
      samples.push(...encoder.encode({ channels: Array(channels).fill(block), samples: AAC_BLOCK }, start + at));
    }
    samples.push(...encoder.flush());
    const { extradata } = encoder;
    encoder.close();
    encoder.close();

    expect(samples).toHaveLength(50);
    expect(samples.map((s) => Math.round((s.ptsUs * 48) / 1000))).toEqual(range(50).map((n) => start + n * AAC_BLOCK));
    expect(samples.reduce((sum, s) => sum + s.durationUs, 0)).toBe(Math.round((50 * AAC_BLOCK * 1e6) / 48000));
    const heard = decodeAac(samples, extradata, channels);
    expect(Math.abs(lagOf(signal, heard, 14_700 + 3000))).toBeLessThanOrEqual(1);
  });

  it.each([
    ['at a held bit rate', { bitrateKbps: 48 }],
    ['with no more bits than it needs', { bitrateKbps: 52, frugal: true }],
  ])('keeps what is quiet in a voice, %s', (_how, coding) => {
    // A hum with overtones, and 26 dB below it another one that an ear still tells apart.
    const quiet = wave(60 * AAC_BLOCK, (t) => 0.01 * Math.sin(2 * Math.PI * (3100 + 40 * Math.sin(9 * t)) * t));
    const loud = wave(quiet.length, (t) =>
      [1, 2, 3, 4].reduce((sum, n) => sum + (0.2 / n) * Math.sin(2 * Math.PI * 160 * n * t), 0),
    );
    const signal = loud.map((value, i) => value + quiet[i]!);
    const encoder = new AudioEncoder({ channels: 1, ...coding });
    const samples: EncodedSample[] = [];
    for (let at = 0; at < signal.length; at += AAC_BLOCK)
      samples.push(...encoder.encode({ channels: [signal.subarray(at, at + AAC_BLOCK)], samples: AAC_BLOCK }, at));
    samples.push(...encoder.flush());
    const { extradata } = encoder;
    encoder.close();
    const heard = decodeAac(samples, extradata, 1);
    const middle = [10 * AAC_BLOCK, 50 * AAC_BLOCK] as const;
    const powerOf = (wanted: Float32Array) => wanted.slice(...middle).reduce((sum, value) => sum + value * value, 0);
    const lost = signal.map((value, i) => value - heard[i]!);
    expect(10 * Math.log10(powerOf(quiet) / powerOf(lost))).toBeGreaterThan(20);
  });

  it('gives a single user no more bits than about their rate, whatever is heard', () => {
    // Noise needs the most bits there are.
    let state = 1;
    const noise = wave(100 * AAC_BLOCK, () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647 - 0.5;
    });
    const encoder = new AudioEncoder({ channels: 1, bitrateKbps: 52, frugal: true });
    let bytes = 0;
    for (let at = 0; at < noise.length; at += AAC_BLOCK)
      for (const { data } of encoder.encode({ channels: [noise.subarray(at, at + AAC_BLOCK)], samples: AAC_BLOCK }, at))
        bytes += data.length;
    encoder.close();
    const kbps = (bytes * 8) / ((98 * AAC_BLOCK) / 48_000) / 1000;
    expect(kbps).toBeGreaterThan(30);
    expect(kbps).toBeLessThan(62);
  });

  it('encodes silence once, and goes on from it as an encoder does that heard all of it', () => {
    const sounding = wave(40 * AAC_BLOCK, (t) => 0.3 * Math.sin(2 * Math.PI * 440 * t));
    const silence = new Float32Array(500 * AAC_BLOCK);
    const signal = new Float32Array(silence.length + 2 * sounding.length);
    signal.set(sounding);
    signal.set(sounding, sounding.length + silence.length);
    const send = vi.spyOn(CodecContext.prototype, 'sendFrameSync');
    const encoder = new AudioEncoder({ channels: 1, bitrateKbps: 48 });
    const samples: EncodedSample[] = [];
    const start = 3 * AAC_BLOCK;
    for (let at = 0; at < signal.length; at += AAC_BLOCK)
      samples.push(
        ...encoder.encode({ channels: [signal.subarray(at, at + AAC_BLOCK)], samples: AAC_BLOCK }, start + at),
      );
    samples.push(...encoder.flush());
    const blocks = send.mock.calls.length - 1;
    send.mockRestore();
    const { extradata } = encoder;
    encoder.close();
    expect(blocks - 80).toBeLessThanOrEqual(8);
    expect(samples.map((s) => Math.round((s.ptsUs * 48) / 1000))).toEqual(range(580).map((n) => start + n * AAC_BLOCK));
    const heard = decodeAac(samples, extradata, 1);
    const [from, to] = [42 * AAC_BLOCK, 538 * AAC_BLOCK];
    expect(heard.subarray(from, to).every((value) => value === 0)).toBe(true);
    // Both times the sound begins out of silence.
    const lostIn = (begin: number) => {
      let lost = 0;
      for (let i = begin; i < begin + 38 * AAC_BLOCK; i++) lost += (signal[i]! - heard[i]!) ** 2;
      return 10 * Math.log10(lost / (38 * AAC_BLOCK));
    };
    expect(lostIn(540 * AAC_BLOCK)).toBeLessThan(Math.max(-60, lostIn(0) + 1));
  });

  it.each([
    [1, { bitrateKbps: 52, frugal: true }],
    [2, { bitrateKbps: 128 }],
  ] as const)('is freed in a long silence, and goes on as if it had not been, in %i channels', (channels, coding) => {
    const sounding = wave(40 * AAC_BLOCK, (t) => 0.3 * Math.sin(2 * Math.PI * 440 * t));
    const silence = 500 * AAC_BLOCK;
    // It ends in the midst of a silence.
    const signal = new Float32Array(3 * silence);
    signal.set(sounding);
    signal.set(sounding, sounding.length + silence);
    const encode = (freedInSilence: boolean) => {
      const free = vi.spyOn(CodecContext.prototype, 'freeContext');
      const encoder = new AudioEncoder({ channels, ...coding, freedInSilence });
      const samples: EncodedSample[] = [];
      const freedAt: number[] = [];
      for (let at = 0; at < signal.length; at += AAC_BLOCK) {
        const sound = { channels: Array(channels).fill(signal.subarray(at, at + AAC_BLOCK)), samples: AAC_BLOCK };
        samples.push(...encoder.encode(sound, at));
        if (free.mock.calls.length > freedAt.length) freedAt.push(at / AAC_BLOCK);
      }
      samples.push(...encoder.flush());
      const { extradata } = encoder;
      encoder.close();
      free.mockRestore();
      return { samples, freedAt, heard: decodeAac(samples, extradata, channels) };
    };
    const kept = encode(false);
    const freed = encode(true);
    expect(kept.freedAt).toEqual([]);
    // Two seconds after its sound ended.
    expect(freed.freedAt).toEqual([40 + 93, 580 + 93]);
    expect(freed.samples.map(({ ptsUs }) => ptsUs)).toEqual(kept.samples.map(({ ptsUs }) => ptsUs));
    const second = [540 * AAC_BLOCK, 580 * AAC_BLOCK] as const;
    const lostIn = (heard: Float32Array) =>
      heard.slice(...second).reduce((sum, value, i) => sum + (value - sounding[i]!) ** 2, 0);
    expect(lostIn(freed.heard)).toBeLessThanOrEqual(lostIn(kept.heard) * 1.01);
    expect(freed.heard.subarray(583 * AAC_BLOCK).every((value) => value === 0)).toBe(true);
  });

  it('refuses blocks of the wrong shape and gaps', () => {
    const encoder = new AudioEncoder({ channels: 2, bitrateKbps: 128 });
    const block = { channels: [new Float32Array(AAC_BLOCK), new Float32Array(AAC_BLOCK)], samples: AAC_BLOCK };
    expect(() => encoder.encode({ channels: [new Float32Array(960)], samples: 960 }, 0)).toThrow('1024');
    encoder.encode(block, 0);
    expect(() => encoder.encode(block, 4096)).toThrow('does not follow');
    encoder.close();
  });
});

function wave(samples: number, at: (seconds: number) => number): Float32Array {
  return Float32Array.from({ length: samples }, (_, i) => at(i / 48_000));
}

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

function decodeAac(samples: EncodedSample[], extradata: Buffer, channels: number): Float32Array {
  const decoder = Codec.findDecoderByName(FF_DECODER_AAC)!;
  const context = new CodecContext();
  context.allocContext3(decoder);
  context.extraData = extradata;
  context.sampleRate = 48000;
  FFmpegError.throwIfError(context.open2Sync(decoder), 'opening the AAC decoder');
  const packet = newPacket();
  const frame = newFrame();
  const heard = new Float32Array(samples.length * AAC_BLOCK);
  let at = 0;
  for (const sample of samples) {
    packet.data = sample.data;
    FFmpegError.throwIfError(context.sendPacketSync(packet), 'decoding AAC');
    packet.unref();
    while (context.receiveFrameSync(frame) >= 0) {
      expect(frame.channels).toBe(channels);
      const bytes = frame.data![channels - 1]!;
      heard.set(new Float32Array(bytes.buffer, bytes.byteOffset, frame.nbSamples), at);
      at += frame.nbSamples;
      frame.unref();
    }
  }
  freePacket(packet);
  freeFrame(frame);
  context.freeContext();
  return heard;
}
