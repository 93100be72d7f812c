import { afterEach, describe, expect, it } from 'vitest';
import { liveFrames } from './native-frames.ts';
import { PicturePool } from './picture-pool.ts';
import { cutFor, Scaler } from './scaler.ts';

const pools: PicturePool[] = [];
function newPool(idleBytes?: number): PicturePool {
  const pool = new PicturePool(idleBytes === undefined ? {} : { idleBytes });
  pools.push(pool);
  return pool;
}

afterEach(() => {
  for (const pool of pools.splice(0)) pool.close();
  expect(liveFrames()).toBe(0);
});

describe('PicturePool', () => {
  it('gives pictures that can be written and read', () => {
    const picture = newPool().allocate(64, 48);
    picture.planes[0].fill(7);
    expect([picture.width, picture.height, picture.planes[0][47 * picture.strides[0] + 63]]).toEqual([64, 48, 7]);
    expect(picture.planes.map((plane, i) => plane.length >= picture.strides[i]! * (i ? 24 : 48))).toEqual([
      true,
      true,
      true,
    ]);
    picture.free();
    picture.free();
  });

  it('counts owners, and keeps memory until the last one frees it', () => {
    const pool = newPool();
    const first = pool.allocate(64, 64);
    first.planes[0].fill(9);
    expect(pool.exclusive(first)).toBe(true);
    const second = pool.share(first);
    expect([pool.exclusive(first), pool.exclusive(second)]).toEqual([false, false]);
    first.free();
    expect(pool.exclusive(second)).toBe(true);
    expect(second.planes[0][0]).toBe(9);
    second.free();
  });

  it('refuses the use of a freed picture and odd sizes', () => {
    const pool = newPool();
    const picture = pool.allocate(16, 16);
    picture.free();
    expect(() => picture.planes).toThrow('after it was freed');
    expect(() => pool.allocate(15, 16)).toThrow('15x16');
    expect(() => pool.allocate(16, 0)).toThrow('16x0');
  });

  it('hands memory out again, and keeps no more of it than allowed', () => {
    const pool = newPool(64 * 64 * 1.5 * 2);
    for (let i = 0; i < 10; i++) pool.allocate(64, 64).free();
    expect(liveFrames()).toBe(1);
    const many = Array.from({ length: 5 }, () => pool.allocate(64, 64));
    for (const picture of many) picture.free();
    expect(liveFrames()).toBe(2);
    pool.allocate(128, 128).free();
    expect(liveFrames()).toBe(0);
  });

  it('copies to an even place and nowhere else', () => {
    const pool = newPool();
    const from = pool.allocate(4, 4);
    const to = pool.allocate(8, 8);
    from.planes.forEach((plane, i) => {
      plane.fill(i + 1);
    });
    for (const plane of to.planes) plane.fill(0);
    pool.copy(from, to, 4, 2);
    const at = (plane: 0 | 1 | 2, x: number, y: number) => to.planes[plane][y * to.strides[plane] + x];
    expect([at(0, 4, 2), at(0, 7, 5), at(0, 3, 2), at(0, 4, 1), at(0, 4, 6)]).toEqual([1, 1, 0, 0, 0]);
    expect([at(1, 2, 1), at(2, 3, 2), at(1, 1, 1), at(2, 2, 3)]).toEqual([2, 3, 0, 0]);
    expect(() => pool.copy(from, to, 6, 0)).toThrow('leaves a picture');
    expect(() => pool.copy(from, to, 1, 0)).toThrow();
    from.free();
    to.free();
  });
});

describe('cutFor', () => {
  it.each([
    ['crop', 640, 360, 300, 300, { x: 140, y: 0, width: 360, height: 360, toWidth: 300, toHeight: 300 }],
    ['crop', 360, 640, 640, 360, { x: 0, y: 218, width: 360, height: 202, toWidth: 640, toHeight: 360 }],
    ['crop', 640, 360, 320, 180, { x: 0, y: 0, width: 640, height: 360, toWidth: 320, toHeight: 180 }],
    ['fit', 640, 360, 300, 300, { x: 0, y: 0, width: 640, height: 360, toWidth: 300, toHeight: 168 }],
    ['fit', 360, 640, 640, 360, { x: 0, y: 0, width: 360, height: 640, toWidth: 202, toHeight: 360 }],
    ['fit', 2000, 2, 100, 100, { x: 0, y: 0, width: 2000, height: 2, toWidth: 100, toHeight: 2 }],
  ] as const)('%s of %ix%i in %ix%i', (render, width, height, toWidth, toHeight, cut) => {
    expect(cutFor({ width, height }, { width: toWidth, height: toHeight, render })).toEqual(cut);
  });

  it.each([
    // All of 640x360 as it is seen, a third of it at either side, and bars.
    ['crop', 480, 360, [4, 3], 320, 180, { x: 0, y: 0, width: 480, height: 360, toWidth: 320, toHeight: 180 }],
    ['crop', 480, 360, [4, 3], 180, 180, { x: 104, y: 0, width: 270, height: 360, toWidth: 180, toHeight: 180 }],
    ['fit', 480, 360, [4, 3], 300, 300, { x: 0, y: 0, width: 480, height: 360, toWidth: 300, toHeight: 168 }],
    ['fit', 1280, 360, [1, 2], 300, 300, { x: 0, y: 0, width: 1280, height: 360, toWidth: 300, toHeight: 168 }],
  ] as const)('%s of %ix%i with pixels of %j in %ix%i', (render, width, height, [num, den], toWidth, toHeight, cut) => {
    const picture = { width, height, sampleAspect: { num, den } };
    expect(cutFor(picture, { width: toWidth, height: toHeight, render })).toEqual(cut);
  });
});

describe('Scaler', () => {
  it('shares a picture of the right size, and copies a cut of the right size', () => {
    const pool = newPool();
    const scaler = new Scaler(pool);
    const source = pool.allocate(64, 32);
    const same = scaler.scale(source, { width: 64, height: 32, render: 'crop' });
    expect(pool.exclusive(source)).toBe(false);
    expect([same.x, same.y]).toEqual([0, 0]);
    same.picture.free();

    source.planes[0].fill(10);
    for (let row = 0; row < 32; row++)
      source.planes[0].fill(200, row * source.strides[0] + 16, row * source.strides[0] + 48);
    const cut = scaler.scale(source, { width: 32, height: 32, render: 'crop' });
    expect([cut.picture.planes[0][0], cut.picture.planes[0][31]]).toEqual([200, 200]);
    cut.picture.free();
    source.free();
    scaler.close();
  });

  it.each(['crop', 'fit'] as const)('scales up and down, whatever the size (%s)', (render) => {
    const pool = newPool();
    const scaler = new Scaler(pool);
    const source = pool.allocate(322, 178);
    source.planes.forEach((plane, i) => {
      plane.fill(60 + i);
    });
    for (const [width, height] of [
      [2, 2],
      [2, 178],
      [322, 2],
      [4, 90],
      [640, 360],
      [100, 100],
      [322, 176],
    ] as const) {
      const { picture, x, y } = scaler.scale(source, { width, height, render });
      expect(picture.width + x).toBeLessThanOrEqual(width);
      expect(picture.height + y).toBeLessThanOrEqual(height);
      if (render === 'crop') expect([picture.width, picture.height]).toEqual([width, height]);
      else expect(picture.width === width || picture.height === height).toBe(true);
      picture.planes.forEach((plane, i) => {
        const scale = i ? 2 : 1;
        for (let row = 0; row < picture.height / scale; row++)
          for (let column = 0; column < picture.width / scale; column++)
            if (Math.abs(plane[row * picture.strides[i]! + column]! - 60 - i) > 1)
              throw new Error(`${width}x${height}: plane ${i} at (${column}, ${row})`);
      });
      picture.free();
    }
    source.free();
    scaler.close();
  });
});
