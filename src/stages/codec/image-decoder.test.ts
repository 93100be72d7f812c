import { afterEach, describe, expect, test } from 'vitest';
import {
  makeBmp,
  makePalettePng,
  makePng,
  makePngHeader,
  withOrientation,
  withScans,
} from '../../../test/support/media/image-files.ts';
import type { Fault } from '../../kernel/fault.ts';
import type { Picture } from '../../media/frame.ts';
import { decodeImage, MAX_IMAGE_PIXELS } from './image-decoder.ts';
import { encodeJpeg } from './jpeg-encoder.ts';
import { liveFrames } from './native-frames.ts';

afterEach(() => expect(liveFrames()).toBe(0));

const GREEN = { r: 0, g: 128, b: 0 };
const BLUE = { r: 0, g: 0, b: 255 };
/** Limited range, BT.601, as of `Picture`. */
const GREEN_601 = [81, 91, 81] as const;
const BLUE_601 = [41, 240, 110] as const;
const WHITE_601 = [235, 128, 128] as const;
const BLACK = { luma: 16, cb: 128, cr: 128 };
const COVER = { width: 64, height: 36 };

const isNear = (picture: Picture, x: number, y: number, colour: readonly number[]) => {
  const seen = picture.planes.map((plane, i) => plane[(i ? y >> 1 : y) * picture.strides[i]! + (i ? x >> 1 : x)]!);
  return seen.every((value, i) => Math.abs(value - colour[i]!) <= 3) || seen;
};
const left = (x: number) => (x < 32 ? GREEN : BLUE);

async function decoded<T>(file: Buffer, look: (picture: Picture) => T, backdrop = BLACK, cover = COVER): Promise<T> {
  const picture = await decodeImage(file, { cover, backdrop });
  try {
    return look(picture);
  } finally {
    picture.free();
  }
}

describe('an image file as a picture', () => {
  test.each([
    ['PNG', () => makePng(64, 36, left)],
    ['BMP', () => makeBmp(64, 36, left)],
  ])('%s keeps places and colours', async (_type, make) => {
    await decoded(make(), (picture) => {
      expect([picture.width, picture.height]).toEqual([64, 36]);
      expect(isNear(picture, 8, 8, GREEN_601)).toBe(true);
      expect(isNear(picture, 56, 30, BLUE_601)).toBe(true);
    });
  });

  test('JPEG, which is of full range, too', async () => {
    const picture = await decodeImage(makePng(64, 36, left), { cover: COVER, backdrop: BLACK });
    const jpeg = await encodeJpeg(picture).finally(() => picture.free());
    await decoded(jpeg, (again) => {
      expect(isNear(again, 8, 8, GREEN_601)).toBe(true);
      expect(isNear(again, 56, 30, BLUE_601)).toBe(true);
    });
  });

  test.each([
    [1, 'abcd'],
    [2, 'badc'],
    [3, 'dcba'],
    [4, 'cdab'],
    [5, 'acbd'],
    [6, 'cadb'],
    [7, 'dbca'],
    [8, 'bdac'],
  ])('stands as its camera was held: orientation %i', async (orientation, corners) => {
    const colours = { a: GREEN, b: BLUE, c: { r: 255, g: 255, b: 255 }, d: { r: 0, g: 0, b: 0 } };
    const quarter = (x: number, y: number) => [...'abcd'][(y < 18 ? 0 : 2) + (x < 32 ? 0 : 1)] as keyof typeof colours;
    const png = makePng(64, 36, (x, y) => colours[quarter(x, y)]);
    const picture = await decodeImage(png, { cover: COVER, backdrop: BLACK });
    const jpeg = await encodeJpeg(picture).finally(() => picture.free());
    const inYuv = { a: GREEN_601, b: BLUE_601, c: WHITE_601, d: [16, 128, 128] };
    await decoded(withOrientation(jpeg, orientation), (upright) => {
      const { width, height } = upright;
      expect([width, height]).toEqual(orientation < 5 ? [64, 36] : [36, 64]);
      for (const [n, name] of [...corners].entries()) {
        const [x, y] = [n % 2 === 0 ? 6 : width - 7, n < 2 ? 6 : height - 7];
        expect(isNear(upright, x, y, inYuv[name as keyof typeof inYuv]), `${name} at ${x},${y}`).toBe(true);
      }
    });
  });

  test('is made no larger than it must be, keeps its shape, and is never grown', async () => {
    const size = (width: number, height: number) =>
      decoded(
        makePng(width, height, () => GREEN),
        (picture) => [picture.width, picture.height],
      );
    expect(await size(640, 360)).toEqual([64, 36]);
    expect(await size(360, 360)).toEqual([64, 64]);
    expect(await size(1001, 301)).toEqual([120, 36]);
    expect(await size(20, 10)).toEqual([20, 10]);
    expect(await size(1, 1)).toEqual([2, 2]);
    expect(await size(3000, 2)).toEqual([3000, 2]);
  });

  test.each([
    ['with an alpha channel', (a: number) => makePng(64, 36, () => ({ ...BLUE, a }), 'rgba')],
    ['of a palette', (a: number) => makePalettePng(64, 36, { ...BLUE, a })],
  ])('shows the backdrop through where it does not cover: PNG %s', async (_kind, make) => {
    const backdrop = { luma: 235, cb: 128, cr: 128 };
    const seen = (a: number) =>
      decoded(make(a), ({ planes, strides }) => planes.map((p, i) => p[4 * strides[i]! + 4]), backdrop);
    const near = (colour: readonly number[]) => colour.map((value) => expect.closeTo(value, -0.7));
    expect(await seen(255)).toEqual(near(BLUE_601));
    expect(await seen(0)).toEqual(near(WHITE_601));
    expect(await seen(128)).toEqual(near(BLUE_601.map((value, i) => (value + WHITE_601[i]!) / 2)));
  });
});

describe('a file that is no image to be shown', () => {
  const refused = (file: Buffer) =>
    decodeImage(file, { cover: COVER, backdrop: BLACK }).then(
      (picture) => picture.free(),
      (error: Fault) => `${error.blame} ${error.code}`,
    );

  test('is told by content', async () => {
    expect(await refused(Buffer.from('<!doctype html><title>not here</title>'))).toBe('caller image-type');
    expect(await refused(Buffer.alloc(0))).toBe('caller image-type');
  });

  test('is told before a decoder makes room for what it says', async () => {
    const before = process.memoryUsage.rss();
    expect(await refused(makePngHeader(10_000, 10_000))).toBe('caller image-size');
    expect(await refused(makePngHeader(0, 10))).toBe('caller image-size');
    expect(await refused(makePngHeader(0xffffffff, 0xffffffff))).toBe('caller image-size');
    expect(process.memoryUsage.rss() - before).toBeLessThan(50e6);
    expect(await refused(makePngHeader(MAX_IMAGE_PIXELS / 4, 4))).toBe('caller image-damaged');
  });

  test('has more scans than any camera or program writes, each of which is as much work as the first', async () => {
    const picture = await decodeImage(makePng(64, 36, left), { cover: COVER, backdrop: BLACK });
    const jpeg = await encodeJpeg(picture).finally(() => picture.free());
    expect(await refused(withScans(jpeg, 200))).toBe('caller image-scans');
  });

  test('breaks off, of whatever kind, at any place', async () => {
    const png = makePng(64, 36, (x, y) => ({ r: x * 4, g: y * 7, b: (x * y) % 256 }));
    const picture = await decodeImage(png, { cover: COVER, backdrop: BLACK });
    const jpeg = await encodeJpeg(picture).finally(() => picture.free());
    for (const file of [png, jpeg, makeBmp(64, 36, left)])
      for (const part of [0.1, 0.5, 0.9])
        expect(await refused(file.subarray(0, Math.floor(file.length * part)))).toMatch(/^caller image-/);
  });

  test('is damaged', async () => {
    const file = makePng(64, 36, (x, y) => ({ r: x * 4, g: y * 7, b: (x * y) % 256 }));
    for (let at = 60; at < 70; at++) file[at]! ^= 0xff;
    expect(await refused(file)).toBe('caller image-damaged');
  });
});
