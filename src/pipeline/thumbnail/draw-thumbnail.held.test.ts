/** Thumbnails judged as a viewer sees them: of each codec, in the sender's colours, upright and small. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { colourDistance, readImage, type SeenImage } from '../../../test/support/judge/image.ts';
import { VideoEncoder } from '../../../test/support/media/encode.ts';
import { BT601, type Rgb, yuvIn } from '../../../test/support/media/participants.ts';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import type { VideoCodec, VideoFormat } from '../../media/track.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import { drawThumbnail } from './draw-thumbnail.ts';

const ORIENTATION = 4;
const LEFT: Rgb = { r: 200, g: 30, b: 40 };
const RIGHT: Rgb = { r: 30, g: 60, b: 200 };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-thumbnail-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
  expect(liveFrames()).toBe(0);
});

const formatOf = (codec: VideoCodec): VideoFormat => ({
  ...{ kind: 'video', codec, payloadType: 96, clockRate: 90000, fmtp: '' },
  orientationExtension: ORIENTATION,
});

/** The packets of a key frame whose left and right half have a colour each. */
function keyFrame(codec: VideoCodec, width: number, height: number, more: { turn?: number; bFrames?: number } = {}) {
  const { turn, bFrames = 0 } = more;
  const picture = Buffer.alloc((width * height * 3) / 2);
  const [left, right] = [yuvIn(LEFT, BT601), yuvIn(RIGHT, BT601)];
  const fill = (from: number, w: number, h: number, a: number, b: number) => {
    for (let y = 0; y < h; y++)
      picture.fill(a, from + y * w, from + y * w + w / 2).fill(b, from + y * w + w / 2, from + (y + 1) * w);
  };
  fill(0, width, height, left.y, right.y);
  fill(width * height, width / 2, height / 2, left.u, right.u);
  fill((width * height * 5) / 4, width / 2, height / 2, left.v, right.v);
  const encoder = new VideoEncoder({ codec, width, height, fps: 30, bitrateKbps: 4000, gopFrames: 60, bFrames });
  const units = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((n) => encoder.encode(picture, n));
  units.push(...encoder.flush());
  encoder.close();
  const first = units[0]!;
  expect(first.keyFrame).toBe(true);
  const extensions = turn === undefined ? undefined : new Map([[ORIENTATION, Buffer.from([turn])]]);
  return new Packetizer({ format: formatOf(codec), ssrc: 1 }).packetize(first.data, 4_294_967_000, extensions);
}

async function drawn(codec: VideoCodec, datagrams: readonly Buffer[]): Promise<SeenImage> {
  const path = join(dir, 'thumbnail.jpg');
  writeFileSync(path, await drawThumbnail(formatOf(codec), datagrams));
  return readImage(path);
}
function expectHalves(image: SeenImage, at: { left: [number, number]; right: [number, number] }) {
  expect(colourDistance(image.at(...at.left), LEFT)).toBeLessThanOrEqual(12);
  expect(colourDistance(image.at(...at.right), RIGHT)).toBeLessThanOrEqual(12);
}
const SIDES = { left: [0.2, 0.5], right: [0.8, 0.5] } satisfies Parameters<typeof expectHalves>[1];

describe.each(['h264', 'vp8', 'vp9', 'av1'] as const)('of a key frame of %s', (codec) => {
  test('a thumbnail has its colours, and at most 240 pixels on its longer side', async () => {
    const image = await drawn(codec, keyFrame(codec, 640, 360));
    expect([image.width, image.height, image.jfif]).toEqual([240, 136, true]);
    expect(image.bytes).toBeLessThan(20_000);
    expectHalves(image, SIDES);
  });
});

test('of a sender who reorders pictures there is one as well', async () => {
  expectHalves(await drawn('h264', keyFrame('h264', 320, 180, { bFrames: 2 })), SIDES);
});

test('one that is smaller stays as it is', async () => {
  const image = await drawn('vp8', keyFrame('vp8', 160, 90));
  expect([image.width, image.height]).toEqual([160, 90]);
  expectHalves(image, SIDES);
});

test('a phone’s picture is upright, though it is sent lying', async () => {
  // Turned clockwise by 90 degrees, what was on the left is at the top.
  const image = await drawn('vp8', keyFrame('vp8', 640, 360, { turn: 1 }));
  expect([image.width, image.height]).toEqual([136, 240]);
  expectHalves(image, { left: [0.5, 0.2], right: [0.5, 0.8] });
});

describe('there is none', () => {
  test('of packets that hold no whole key frame', async () => {
    const datagrams = keyFrame('vp8', 640, 360);
    for (const some of [[], datagrams.slice(1), datagrams.slice(0, -1)])
      await expect(drawThumbnail(formatOf('vp8'), some)).rejects.toMatchObject({ code: 'picture-undecodable' });
  });

  test('of bytes that are no picture', async () => {
    const datagrams = keyFrame('h264', 320, 180).map((datagram) => {
      // The parameter sets and the slice's type stay.
      if (datagram.length > 200) datagram.fill(0xff, 100);
      return datagram;
    });
    await expect(drawThumbnail(formatOf('h264'), datagrams)).rejects.toThrow();
  });

  test('of what is no RTP', async () => {
    await expect(drawThumbnail(formatOf('vp8'), [Buffer.from('no packet')])).rejects.toMatchObject({
      code: 'rtp-malformed',
    });
  });
});
