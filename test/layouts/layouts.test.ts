/**
 * Each layout looks as its picture in test/layouts/pictures, which scenes.ts draws.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Picture } from '../../src/media/frame.ts';
import { decodeImage } from '../../src/stages/codec/image-decoder.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { drawScene, PICTURES, SCENES, SIZE } from './scenes.ts';

/** Averages of squares of this many samples are compared: edges may be one pixel softer. */
const SQUARE = 4;
/** Steps of 256. A user's colour differs from the next one's by 40 and more. */
const TOLERANCE = 12;

afterEach(() => expect(liveFrames()).toBe(0));

test('every scene has its picture, of a few kilobytes, and no picture is left over', () => {
  expect(readdirSync(PICTURES).toSorted()).toEqual(SCENES.map(({ name }) => `${name}.png`).toSorted());
  for (const name of readdirSync(PICTURES)) expect(readFileSync(join(PICTURES, name)).length).toBeLessThan(10_000);
});

test.each(SCENES)('$name looks as it did', async (scene) => {
  const file = readFileSync(join(PICTURES, `${scene.name}.png`));
  const picture = await decodeImage(file, { cover: SIZE, backdrop: { luma: 16, cb: 128, cr: 128 } });
  try {
    expect(await drawScene(scene, (drawn) => differences(drawn, picture))).toEqual([]);
  } finally {
    picture.free();
  }
});

test('another look is told apart', async () => {
  const [one, two] = [
    SCENES.find(({ name }) => name === 'best-fit-3')!,
    SCENES.find(({ name }) => name === 'best-fit-5')!,
  ];
  expect((await drawScene(one, (a) => drawScene(two, (b) => differences(a, b)))).length).toBeGreaterThan(20);
});

/** Places whose average differs, as `plane at (x, y)`. */
function differences(a: Picture, b: Picture): string[] {
  const found: string[] = [];
  for (const plane of [0, 1, 2] as const) {
    const scale = plane === 0 ? 1 : 2;
    for (let y = 0; y + SQUARE <= SIZE.height / scale; y += SQUARE)
      for (let x = 0; x + SQUARE <= SIZE.width / scale; x += SQUARE)
        if (Math.abs(average(a, plane, x, y) - average(b, plane, x, y)) > TOLERANCE)
          found.push(`plane ${plane} at (${x * scale}, ${y * scale})`);
  }
  return found;
}

function average({ planes, strides }: Picture, plane: 0 | 1 | 2, x: number, y: number): number {
  let sum = 0;
  for (let row = y; row < y + SQUARE; row++)
    for (let column = x; column < x + SQUARE; column++) sum += planes[plane][row * strides[plane] + column]!;
  return sum / SQUARE ** 2;
}
