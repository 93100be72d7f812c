/**
 * Pictures set upright: by the letter, pixel for pixel, and through the scaler with every fitting.
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { Orientation, Picture } from '../../media/frame.ts';
import { liveFrames, newFrame } from './native-frames.ts';
import { NativePicture, PicturePool } from './picture-pool.ts';
import { Scaler } from './scaler.ts';
import { turnPicture } from './turn.ts';

const pools: PicturePool[] = [];
const scalers: Scaler[] = [];

afterEach(() => {
  for (const scaler of scalers.splice(0)) scaler.close();
  for (const pool of pools.splice(0)) pool.close();
  expect(liveFrames()).toBe(0);
});

function newPool(): PicturePool {
  const pool = new PicturePool();
  pools.push(pool);
  return pool;
}

function newScaler(pool: PicturePool): Scaler {
  const scaler = new Scaler(pool);
  scalers.push(scaler);
  return scaler;
}

/** A decoded picture as the decoder gives it, with its orientation; the pool only lends its way of making one. */
function oriented(width: number, height: number, orientation: Orientation): NativePicture {
  const made = newPool().allocate(width, height);
  const frame = newFrame();
  frame.ref(made.frame);
  made.free();
  return NativePicture.wrap(frame, { orientation });
}

/** Writes rows of letters into a plane, and reads them back. */
function write(picture: Picture, plane: 0 | 1 | 2, rows: string[]): void {
  rows.forEach((row, y) => {
    picture.planes[plane].write(row, y * picture.strides[plane], 'latin1');
  });
}
function read(picture: Picture, plane: 0 | 1 | 2): string[] {
  const scale = plane === 0 ? 1 : 2;
  return Array.from({ length: picture.height / scale }, (_, y) => {
    const from = y * picture.strides[plane];
    return picture.planes[plane].toString('latin1', from, from + picture.width / scale);
  });
}

const LUMA = ['abcd', 'efgh'];
const CHROMA = ['uv'];

describe('turnPicture', () => {
  test.each<[Orientation, string[], string[]]>([
    [{ turn: 0, flip: false }, ['abcd', 'efgh'], ['uv']],
    [{ turn: 90, flip: false }, ['ea', 'fb', 'gc', 'hd'], ['u', 'v']],
    [{ turn: 180, flip: false }, ['hgfe', 'dcba'], ['vu']],
    [{ turn: 270, flip: false }, ['dh', 'cg', 'bf', 'ae'], ['v', 'u']],
    [{ turn: 0, flip: true }, ['dcba', 'hgfe'], ['vu']],
    [{ turn: 90, flip: true }, ['ae', 'bf', 'cg', 'dh'], ['u', 'v']],
    [{ turn: 180, flip: true }, ['efgh', 'abcd'], ['uv']],
    [{ turn: 270, flip: true }, ['hd', 'gc', 'fb', 'ea'], ['v', 'u']],
  ])('%o', (orientation, luma, chroma) => {
    const pool = newPool();
    const from = pool.allocate(4, 2);
    write(from, 0, LUMA);
    write(from, 1, CHROMA);
    write(from, 2, ['xy']);
    const to = orientation.turn % 180 ? pool.allocate(2, 4) : pool.allocate(4, 2);
    turnPicture(from, to, orientation);
    expect(read(to, 0)).toEqual(luma);
    expect(read(to, 1)).toEqual(chroma);
    expect(read(to, 2)).toEqual(chroma.map((row) => row.replace('u', 'x').replace('v', 'y')));
    from.free();
    to.free();
  });
});

describe('Scaler', () => {
  /** Four quarters: 50 top left, 100 top right, 150 bottom left, 200 bottom right. */
  function quarters(width: number, height: number, orientation: Orientation): NativePicture {
    const picture = oriented(width, height, orientation);
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        picture.planes[0][y * picture.strides[0] + x] = 50 + (x < width / 2 ? 0 : 50) + (y < height / 2 ? 0 : 100);
    picture.planes[1].fill(90);
    picture.planes[2].fill(200);
    return picture;
  }
  const cornersOf = ({ planes, strides, width, height }: Picture) =>
    [
      [0.1, 0.1],
      [0.9, 0.1],
      [0.1, 0.9],
      [0.9, 0.9],
    ].map(([x, y]) => planes[0][Math.floor(y! * height) * strides[0] + Math.floor(x! * width)]);

  test.each<[Orientation, number[]]>([
    [{ turn: 0, flip: false }, [50, 100, 150, 200]],
    [{ turn: 90, flip: false }, [150, 50, 200, 100]],
    [{ turn: 180, flip: false }, [200, 150, 100, 50]],
    [{ turn: 270, flip: false }, [100, 200, 50, 150]],
    [{ turn: 90, flip: true }, [50, 150, 100, 200]],
  ])('sets %o upright, whether it scales or not', (orientation, corners) => {
    const scaler = newScaler(newPool());
    const picture = quarters(64, 32, orientation);
    const sideways = orientation.turn % 180 !== 0;
    for (const zoom of [1, 2]) {
      const [width, height] = sideways ? [32 * zoom, 64 * zoom] : [64 * zoom, 32 * zoom];
      const fitted = scaler.scale(picture, { width, height, render: 'crop' });
      expect([fitted.picture.width, fitted.picture.height, fitted.x, fitted.y]).toEqual([width, height, 0, 0]);
      expect(cornersOf(fitted.picture)).toEqual(corners);
      expect([fitted.picture.planes[1][0], fitted.picture.planes[2][0]]).toEqual([90, 200]);
      fitted.picture.free();
    }
    // The decoder's picture is left as it was.
    expect(cornersOf(picture)).toEqual([50, 100, 150, 200]);
    picture.free();
  });

  test('fits and crops by the size that is shown', () => {
    const scaler = newScaler(newPool());
    const lying = quarters(640, 360, { turn: 90, flip: false });
    const standing = quarters(360, 640, { turn: 270, flip: false });
    const placed = (picture: Picture, render: 'crop' | 'fit') => {
      const fitted = scaler.scale(picture, { width: 320, height: 180, render });
      const { x, y } = fitted;
      const out = {
        x,
        y,
        width: fitted.picture.width,
        height: fitted.picture.height,
        corners: cornersOf(fitted.picture),
      };
      fitted.picture.free();
      return out;
    };
    // 360x640 into 320x180: 102 wide in the middle; cropped, its middle 360x202.
    expect(placed(lying, 'fit')).toEqual({ x: 108, y: 0, width: 102, height: 180, corners: [150, 50, 200, 100] });
    expect(placed(lying, 'crop')).toEqual({ x: 0, y: 0, width: 320, height: 180, corners: [150, 50, 200, 100] });
    expect(placed(standing, 'fit')).toEqual({ x: 0, y: 0, width: 320, height: 180, corners: [100, 200, 50, 150] });
    lying.free();
    standing.free();
  });
});
