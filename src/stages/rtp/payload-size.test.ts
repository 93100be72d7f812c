import { describe, expect, test } from 'vitest';
import { type VideoCodecName, VideoEncoder } from '../../../test/support/media/encode.ts';
import { MadePicture } from '../../../test/support/media/made-media.ts';
import { RED } from '../../../test/support/media/participants.ts';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import { startsKeyFrame } from './key-frame.ts';
import { parsePacket } from './parse-packet.ts';
import { readPayloadSize } from './payload-size.ts';

/** The payloads of two frames, the first of them a key frame, made by a real encoder. */
function payloadsOf(codec: VideoCodecName, width: number, height: number): Buffer[] {
  const options = { codec, width, height, fps: 10, bitrateKbps: 300 };
  const encoder = new VideoEncoder({ ...options, gopFrames: 100 });
  const picture = new MadePicture(RED, options);
  const format = { kind: 'video', codec, payloadType: 96, clockRate: 90000, fmtp: '' } as const;
  const packetizer = new Packetizer({ format, ssrc: 1 });
  const payloads: Buffer[] = [];
  // Some encoders give a frame out only after they were given more.
  for (let n = 0; n < 20; n++) {
    picture.draw(n * 100_000);
    for (const { data, pts } of encoder.encode(picture.i420, n, n === 0))
      payloads.push(...packetizer.packetize(data, pts * 9000).map((datagram) => parsePacket(datagram, 0).payload));
  }
  encoder.close();
  return payloads;
}

describe.each(['vp8', 'h264', 'vp9', 'av1'] as const)('%s', (codec) => {
  test.each([
    [640, 360],
    [320, 180],
    [322, 182],
    [176, 144],
  ])('of %i × %i', (width, height) => {
    const payloads = payloadsOf(codec, width, height);
    const told = payloads.map((payload) => readPayloadSize(codec, payload));
    const first = payloads.findIndex((payload) => startsKeyFrame(codec, payload));
    expect(told[first]).toEqual({ width, height });
    // A frame that refers to others says nothing.
    const others = told.filter((size, n) => size && !startsKeyFrame(codec, payloads[n]!));
    expect(others).toEqual([]);
    expect(payloads.some((payload) => !startsKeyFrame(codec, payload))).toBe(true);
  });

  test('cut short anywhere, a payload says the size or nothing', () => {
    const [first] = payloadsOf(codec, 320, 180);
    for (let bytes = 0; bytes < Math.min(200, first!.length); bytes++)
      expect([undefined, { width: 320, height: 180 }]).toContainEqual(
        readPayloadSize(codec, first!.subarray(0, bytes)),
      );
  });
});

test('H.264 of high profile, with the byte that keeps start codes out', () => {
  // SPS of a 1920 × 1080 picture by x264: profile 100, cropped from 1088 rows.
  const sps = Buffer.from('67640028acd940780227e5c05a808080a0000003002000000781e30632c0', 'hex');
  expect(readPayloadSize('h264', sps)).toEqual({ width: 1920, height: 1080 });
});

test('noise is no reason to fail', () => {
  let seed = 1;
  const random = () => {
    seed = (seed * 48271) % 0x7fffffff;
    return seed & 0xff;
  };
  for (let n = 0; n < 2000; n++) {
    const noise = Buffer.from(Array.from({ length: n % 40 }, random));
    for (const codec of ['vp8', 'h264', 'vp9', 'av1'] as const) readPayloadSize(codec, noise);
  }
});
