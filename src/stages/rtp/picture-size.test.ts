import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VideoEncoder } from '../../../test/support/media/encode.ts';
import type { VideoCodec } from '../../media/track.ts';
import { pictureSizeOf } from './picture-size.ts';

const CODECS: VideoCodec[] = ['h264', 'vp8', 'vp9', 'av1'];

function keyFrameOf(codec: VideoCodec, width: number, height: number, use: 'live' | 'file' = 'live'): Buffer {
  const encoder = new VideoEncoder({ codec, width, height, fps: 15, bitrateKbps: 300, gopFrames: 30, use });
  try {
    const picture = Buffer.alloc((width * height * 3) / 2, 100);
    const encoded = [...encoder.encode(picture, 0), ...encoder.flush()];
    return encoded[0]!.data;
  } finally {
    encoder.close();
  }
}

const SIZES: [number, number][] = [
  [160, 90],
  [320, 180],
  [176, 144],
  [1280, 720],
  [270, 482],
  [854, 480],
  [66, 1082],
];

describe('pictureSizeOf', () => {
  for (const codec of CODECS)
    test.each(SIZES)(`a ${codec} picture of %i×%i`, (width, height) => {
      expect(pictureSizeOf(codec, keyFrameOf(codec, width, height))).toEqual({ width, height });
    });

  test('an H.264 picture of high profile', () => {
    expect(pictureSizeOf('h264', keyFrameOf('h264', 854, 478, 'file'))).toEqual({ width: 854, height: 478 });
  });

  test('an interlaced H.264 picture of high profile with scaling lists, an order of type 1 and cropping', () => {
    const bits = [
      byte(100) + byte(0) + byte(31) + ue(0),
      // 4:2:0, 8 bits, a first scaling list that ends at once and a second of all its 16 numbers
      `${ue(1)}${ue(0)}${ue(0)}01`,
      `1${se(-8)}1${se(4).repeat(16)}000000`,
      `${ue(0)}${ue(1)}0${se(-3)}${se(2)}${ue(2)}${se(1)}${se(-1)}`,
      `${ue(1)}0${ue(119)}${ue(33)}001`,
      `1${ue(0)}${ue(0)}${ue(0)}${ue(2)}0`,
    ].join('');
    const sps = Buffer.from(
      (bits + '1'.padEnd(8 - (bits.length % 8), '0')).match(/.{8}/g)!.map((b) => Number.parseInt(b, 2)),
    );
    const nal = Buffer.concat([
      Buffer.of(0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67),
      emulated(sps),
      Buffer.of(0, 0, 1, 0x65),
    ]);
    expect(pictureSizeOf('h264', nal)).toEqual({ width: 1920, height: 1080 });
  });

  test('a VP9 superframe is as large as its highest layer', () => {
    const low = keyFrameOf('vp9', 160, 90);
    // Shown, resilient, refreshing one picture, three references of which none has its size: 320×180.
    const high = Buffer.from(
      `10${'00'}0111${byte(1)}${'0000'.repeat(3)}000${(319).toString(2).padStart(16, '0')}${(179).toString(2).padStart(16, '0')}`
        .padEnd(128, '0')
        .match(/.{8}/g)!
        .map((b) => Number.parseInt(b, 2)),
    );
    const index = Buffer.alloc(6);
    index[0] = index[5] = 0xc0 | (1 << 3) | 1;
    index.writeUInt16LE(low.length, 1);
    index.writeUInt16LE(high.length, 3);
    expect(pictureSizeOf('vp9', Buffer.concat([low, high, index]))).toEqual({ width: 320, height: 180 });
  });

  test('pictures that follow have none', () => {
    for (const codec of CODECS) {
      const encoder = new VideoEncoder({ codec, width: 160, height: 90, fps: 15, bitrateKbps: 300, gopFrames: 30 });
      const picture = Buffer.alloc(160 * 90 * 1.5, 100);
      const encoded = [0, 1, 2].flatMap((n) => encoder.encode(picture, n));
      encoded.push(...encoder.flush());
      encoder.close();
      expect(encoded[1]?.keyFrame).toBe(false);
      expect(pictureSizeOf(codec, encoded[1]!.data), codec).toBeUndefined();
    }
  });

  test('never throws, whatever it is given', () => {
    const frames = CODECS.map((codec) => keyFrameOf(codec, 160, 90));
    fc.assert(
      fc.property(
        fc.nat(CODECS.length - 1),
        fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }),
        fc.nat(80),
        fc.uint8Array({ maxLength: 40 }),
        (n, changes, length, garbage) => {
          const changed = Buffer.from(frames[n]!.subarray(0, length));
          for (const [at, value] of changes) if (at < changed.length) changed[at] = value;
          for (const data of [changed, Buffer.from(garbage)]) {
            const size = pictureSizeOf(CODECS[n]!, data);
            if (size) expect(Math.min(size.width, size.height)).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

const byte = (value: number) => value.toString(2).padStart(8, '0');
function ue(value: number): string {
  const bits = (value + 1).toString(2);
  return bits.padStart(2 * bits.length - 1, '0');
}
const se = (value: number) => ue(value > 0 ? 2 * value - 1 : -2 * value);

function emulated(nal: Buffer): Buffer {
  const out: number[] = [];
  for (const value of nal) {
    if (value <= 3 && out.at(-1) === 0 && out.at(-2) === 0) out.push(3);
    out.push(value);
  }
  return Buffer.from(out);
}
