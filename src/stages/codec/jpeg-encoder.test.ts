/**
 * JPEG files judged as a viewer sees them: colours as they were sent, upright, of the right size, and sharp enough.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { colourDistance, readImage, type SeenImage } from '../../../test/support/judge/image.ts';
import { VideoEncoder } from '../../../test/support/media/encode.ts';
import { MadePicture } from '../../../test/support/media/made-media.ts';
import { BT601, RED, type Rgb, yuvIn } from '../../../test/support/media/participants.ts';
import type { Orientation, Picture, SampleAspect } from '../../media/frame.ts';
import type { VideoColor } from '../../media/track.ts';
import { encodeJpeg } from './jpeg-encoder.ts';
import { liveFrames, newFrame } from './native-frames.ts';
import { NativePicture, tagColor } from './picture-pool.ts';
import { VideoDecoder } from './video-decoder.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-jpeg-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
  expect(liveFrames()).toBe(0);
});

const SIZE = { width: 320, height: 180 };
/** Four quarters: top left, top right, bottom left, bottom right. */
const QUARTERS: Rgb[] = [
  { r: 220, g: 30, b: 40 },
  { r: 20, g: 160, b: 50 },
  { r: 30, g: 60, b: 210 },
  { r: 240, g: 230, b: 220 },
];
const PLACES = [
  [0.25, 0.25],
  [0.75, 0.25],
  [0.25, 0.75],
  [0.75, 0.75],
] as const;

function drawQuarters({ planes, strides, width, height }: Picture, color: VideoColor): void {
  const colours = QUARTERS.map((rgb) => yuvIn(rgb, color)).map(({ y, u, v }) => [y, u, v]);
  planes.forEach((plane, p) => {
    const [w, h] = p === 0 ? [width, height] : [Math.ceil(width / 2), Math.ceil(height / 2)];
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) plane[y * strides[p]! + x] = colours[(y < h / 2 ? 0 : 2) + (x < w / 2 ? 0 : 1)]![p]!;
  });
}

function quarters(
  width: number,
  height: number,
  orientation?: Orientation,
  sampleAspect?: SampleAspect,
): NativePicture {
  const frame = newFrame();
  Object.assign(frame, { format: AV_PIX_FMT_YUV420P, width, height });
  expect(frame.getBuffer()).toBeGreaterThanOrEqual(0);
  tagColor(frame);
  const picture = NativePicture.wrap(frame, { orientation, sampleAspect });
  drawQuarters(picture, BT601);
  return picture;
}

async function jpegOf(picture: NativePicture): Promise<SeenImage> {
  const path = join(dir, 'a.jpg');
  writeFileSync(path, await encodeJpeg(picture));
  picture.free();
  return readImage(path);
}

function expectQuarters(image: SeenImage, order = [0, 1, 2, 3], tolerance = 8): void {
  PLACES.forEach(([x, y], n) => {
    expect(colourDistance(image.at(x, y), QUARTERS[order[n]!]!)).toBeLessThanOrEqual(tolerance);
  });
}

/** The quarters, encoded as a sender does with this colour, and decoded. */
function received(codec: 'h264' | 'vp8' | 'vp9', color: VideoColor, says: VideoColor | undefined): NativePicture {
  const { width, height } = SIZE;
  const i420 = Buffer.alloc((width * height * 3) / 2);
  const planes = [0, width * height, (width * height * 5) / 4, i420.length];
  const views = [0, 1, 2].map((n) => i420.subarray(planes[n], planes[n + 1])) as [Buffer, Buffer, Buffer];
  drawQuarters({ ...SIZE, planes: views, strides: [width, width / 2, width / 2], free() {} }, color);
  const encoder = new VideoEncoder({ codec, ...SIZE, fps: 25, bitrateKbps: 2000, gopFrames: 25 });
  const [unit] = encoder.encode(i420, 0);
  encoder.close();
  const decoder = new VideoDecoder(codec);
  const [decoded] = decoder.decode({ data: unit!.data, ptsUs: 0, color: says });
  decoder.close();
  return decoded!.picture;
}

describe('colours', () => {
  test.each(['h264', 'vp8', 'vp9'] as const)('come back as they were sent in %s', async (codec) => {
    const image = await jpegOf(received(codec, BT601, undefined));
    expect(image).toMatchObject({ ...SIZE, jfif: true });
    expectQuarters(image);
  });

  test.each([
    ['h264', 1, false],
    ['vp9', 1, true],
    ['vp8', 6, true],
  ] as const)('come back from %s of matrix %i, full range %s, when the sender says so', async (codec, matrix, full) => {
    const color = { matrix, fullRange: full };
    expectQuarters(await jpegOf(received(codec, color, color)));
    // Unsaid, they come out wrong.
    const unsaid = await jpegOf(received(codec, color, undefined));
    expect(() => expectQuarters(unsaid)).toThrow();
  });

  test('black is black and white is white', async () => {
    const picture = quarters(64, 64);
    picture.planes[1].fill(128);
    picture.planes[2].fill(128);
    picture.planes[0].fill(16);
    picture.planes[0].fill(235, 0, 32 * picture.strides[0]);
    const image = await jpegOf(picture);
    expect(image.at(0.5, 0.2)).toEqual({ r: 255, g: 255, b: 255 });
    expect(image.at(0.5, 0.8)).toEqual({ r: 0, g: 0, b: 0 });
  });
});

test.each<[Orientation, number[]]>([
  [{ turn: 0, flip: false }, [0, 1, 2, 3]],
  [{ turn: 90, flip: false }, [2, 0, 3, 1]],
  [{ turn: 180, flip: false }, [3, 2, 1, 0]],
  [{ turn: 270, flip: false }, [1, 3, 0, 2]],
  [{ turn: 0, flip: true }, [1, 0, 3, 2]],
  [{ turn: 90, flip: true }, [0, 2, 1, 3]],
])('%o is set upright', async (orientation, order) => {
  const image = await jpegOf(quarters(320, 180, orientation));
  const sideways = orientation.turn % 180 !== 0;
  expect([image.width, image.height]).toEqual(sideways ? [180, 320] : [320, 180]);
  expectQuarters(image, order);
});

test('pixels that are not square are made so, and none is lost', async () => {
  const wide = await jpegOf(quarters(240, 180, undefined, { num: 4, den: 3 }));
  expect([wide.width, wide.height]).toEqual([320, 180]);
  expectQuarters(wide);
  const standing = await jpegOf(quarters(240, 180, { turn: 90, flip: false }, { num: 4, den: 3 }));
  expect([standing.width, standing.height]).toEqual([180, 320]);
  expectQuarters(standing, [2, 0, 3, 1]);
  const narrow = await jpegOf(quarters(320, 90, undefined, { num: 1, den: 2 }));
  expect([narrow.width, narrow.height]).toEqual([320, 180]);
});

test.each([
  [161, 91],
  [3, 5],
  [2, 2],
  [1, 1],
  [1920, 1080],
])('%ix%i keeps its size, turned or not', async (width, height) => {
  const image = await jpegOf(quarters(width, height));
  expect([image.width, image.height]).toEqual([width, height]);
  if (width > 100) expectQuarters(image);
  const turned = await jpegOf(quarters(width, height, { turn: 90, flip: false }));
  expect([turned.width, turned.height]).toEqual([height, width]);
  if (width > 100) expectQuarters(turned, [2, 0, 3, 1]);
});

test('is sharp enough and small enough', async () => {
  const made = new MadePicture(RED, { width: 640, height: 360, motion: 'busy', flash: false });
  made.draw(1_234_567);
  const picture = quarters(640, 360);
  [made.planes.y, made.planes.u, made.planes.v].forEach((from, p) => {
    const width = p === 0 ? 640 : 320;
    for (let y = 0; y * width < from.length; y++)
      from.copy(picture.planes[p as 0 | 1 | 2], y * picture.strides[p]!, y * width, (y + 1) * width);
  });
  const image = await jpegOf(picture);
  const wanted = made.planes.y.map((luma) => Math.min(255, Math.max(0, ((luma - 16) * 255) / 219)));
  const squares = image.luma.reduce((sum, luma, i) => sum + (luma - wanted[i]!) ** 2, 0);
  const psnrDb = 10 * Math.log10(255 ** 2 / (squares / image.luma.length));
  // Measured: 43.2 dB in 29.6 kB.
  expect(psnrDb).toBeGreaterThan(42);
  expect(image.bytes).toBeLessThan(32_000);
});

test('many at once, and the picture stays the caller’s', async () => {
  const pictures = Array.from({ length: 12 }, () => quarters(320, 180));
  const files = await Promise.all(pictures.map((picture) => encodeJpeg(picture)));
  expect(files.every((file) => file.equals(files[0]!))).toBe(true);
  expect(pictures.every((picture) => picture.exclusive)).toBe(true);
  for (const picture of pictures) picture.free();
});
