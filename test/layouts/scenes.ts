/**
 * How each layout looks: scenes of coloured users, drawn on a small canvas. `node test/layouts/scenes.ts` draws them
 * anew into test/layouts/pictures, where a change of look is seen in review; layouts.test.ts compares.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout } from '../../src/contract/line/plan.ts';
import type { Picture } from '../../src/media/frame.ts';
import { Canvas, type ShownImages } from '../../src/pipeline/mix/canvas.ts';
import { PicturePool } from '../../src/stages/codec/picture-pool.ts';
import { toColor } from '../../src/stages/compose/color.ts';
import { makePng } from '../support/media/image-files.ts';
import type { Rgb } from '../support/media/participants.ts';

export const SIZE = { width: 320, height: 180 };
export const PICTURES = join(import.meta.dirname, 'pictures');
/** Users' pictures are of 4:3, so that cut and whole ones differ. */
const CAMERA = { width: 80, height: 60 };
/** Of the corners and the middle of each picture. */
const MARK = 8;

export type Scene = {
  name: string;
  layout: Layout;
  users: number;
  /** Users, from 0 on, who send sound alone. */
  soundOnly?: number[];
  /** Whether there are images: under everybody, and of who sends no picture. */
  images?: true;
};

const region = (x: number, y: number, width: number, height: number, more: object = {}) => ({
  ...{ x, y, width, height, alpha: 1, render: 'crop' as const },
  ...more,
});
const CUSTOM: Layout = {
  kind: 'custom',
  regions: [
    region(0, 0, 0.6, 1, { uid: '2', render: 'fit' }),
    region(0.6, 0, 0.4, 0.5),
    region(0.6, 0.5, 0.4, 0.5, { uid: '99' }),
    region(0.4, 0.25, 0.4, 0.5, { alpha: 0.5 }),
  ],
};

export const SCENES: Scene[] = [
  ...[1, 2, 6, 17].map((users) => ({ name: `floating-${users}`, layout: { kind: 'floating' as const }, users })),
  ...[1, 2, 3, 5, 10, 17].map((users) => ({ name: `best-fit-${users}`, layout: { kind: 'bestFit' as const }, users })),
  ...[2, 5, 7, 9, 17].map((users) => ({
    ...{ name: `vertical-${users}`, users },
    layout: { kind: 'vertical' as const, maxResolutionUid: '2' },
  })),
  { name: 'vertical-1-alone', layout: { kind: 'vertical' }, users: 1 },
  { name: 'vertical-4-nobody-large', layout: { kind: 'vertical', maxResolutionUid: '99' }, users: 4 },
  { name: 'custom-5', layout: CUSTOM, users: 5 },
  { name: 'best-fit-4-sound-only', layout: { kind: 'bestFit' }, users: 4, soundOnly: [1] },
  { name: 'floating-4-images', layout: { kind: 'floating' }, users: 4, soundOnly: [0, 2], images: true },
  { name: 'custom-5-images', layout: CUSTOM, users: 5, soundOnly: [1], images: true },
];

/** Draws a scene. The picture is valid during `look`. */
export function drawScene<T>({ layout, users, soundOnly = [], images }: Scene, look: (picture: Picture) => T): T {
  const pool = new PicturePool();
  const canvas = new Canvas(SIZE);
  const made: Picture[] = [];
  const make = (size: { width: number; height: number }, hex: string) => {
    const picture = pool.allocate(size.width, size.height);
    made.push(picture);
    return marked(picture, hex);
  };
  try {
    const uids = Array.from({ length: users }, (_, n) => `${n + 1}`);
    const pictures = new Map(
      uids.map((uid, n) => [uid, soundOnly.includes(n) ? undefined : make(CAMERA, shadeOf(n))] as const),
    );
    const shown: ShownImages | undefined = images && {
      canvas: make({ width: 200, height: 200 }, '#304030'),
      users: new Map(soundOnly.map((n) => [`${n + 1}`, { picture: make(CAMERA, '#a0a0a0'), render: 'fit' }])),
    };
    return look(canvas.draw({ layout, backgroundColor: '#202040' }, uids, pictures, shown));
  } finally {
    canvas.close();
    for (const picture of made) picture.free();
    pool.close();
  }
}

/** A colour of its own for each of 17 users. */
function shadeOf(n: number): string {
  const level = (shift: number) => [48, 128, 208][Math.floor((n + 1) / 3 ** shift) % 3]!;
  return `#${[0, 1, 2].map((shift) => level(shift).toString(16).padStart(2, '0')).join('')}`;
}

/** One colour, with white squares in the corners and in the middle. */
function marked(picture: Picture, hex: string): Picture {
  const { luma, cb, cr } = toColor(hex);
  const { width, height } = picture;
  const isMark = (x: number, y: number) => {
    const isEdge = (at: number, size: number) => at < MARK || at >= size - MARK;
    const isMiddle = (at: number, size: number) => Math.abs(at - size / 2) <= MARK / 2;
    return (isEdge(x, width) && isEdge(y, height)) || (isMiddle(x, width) && isMiddle(y, height));
  };
  for (const [index, value] of [luma, cb, cr].entries()) {
    const step = index === 0 ? 1 : 2;
    for (let y = 0; y < height / step; y++)
      for (let x = 0; x < width / step; x++)
        picture.planes[index]![y * picture.strides[index]! + x] = isMark(x * step, y * step)
          ? index === 0
            ? 235
            : 128
          : value;
  }
  return picture;
}

/** The picture as a PNG file. */
function toPng(picture: Picture): Buffer {
  const sample = (index: number, x: number, y: number) =>
    picture.planes[index]![(index ? y >> 1 : y) * picture.strides[index]! + (index ? x >> 1 : x)]!;
  return makePng(picture.width, picture.height, (x, y): Rgb => {
    const light = ((sample(0, x, y) - 16) * 255) / 219;
    const [cb, cr] = [1, 2].map((index) => ((sample(index, x, y) - 128) * 255) / 224) as [number, number];
    const clamp = (value: number) => Math.round(Math.min(255, Math.max(0, value)));
    return { r: clamp(light + 1.402 * cr), g: clamp(light - 0.344 * cb - 0.714 * cr), b: clamp(light + 1.772 * cb) };
  });
}

if (import.meta.main) {
  for (const scene of SCENES) writeFileSync(join(PICTURES, `${scene.name}.png`), drawScene(scene, toPng));
}
