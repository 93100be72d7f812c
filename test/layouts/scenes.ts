/**
 * How each layout looks: scenes of coloured users, drawn on a small canvas. `node test/layouts/scenes.ts` draws them
 * anew into test/layouts/pictures, where a change of look is seen in review; layouts.test.ts compares.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Overlays } from '../../src/contract/line/overlays.ts';
import type { Layout } from '../../src/contract/line/plan.ts';
import type { Picture } from '../../src/media/frame.ts';
import { Canvas, type ShownImages } from '../../src/pipeline/mix/canvas.ts';
import { OverlayPainter } from '../../src/pipeline/mix/overlays/overlay-painter.ts';
import { decodeImage } from '../../src/stages/codec/image-decoder.ts';
import { PicturePool } from '../../src/stages/codec/picture-pool.ts';
import { toColor } from '../../src/stages/compose/color.ts';
import { placeUsers } from '../../src/stages/compose/layout/place.ts';
import { speakerLayout } from '../../src/stages/compose/layout/speaker.ts';
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
  overlays?: Overlays;
  /** Users who have spoken, the last one first; from 0 on. */
  spoke?: number[];
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

const NAMES = {
  1: 'Ada Lovelace',
  2: 'Борис',
  3: 'שרה',
  4: 'A name that is far too long for the place it has',
  5: '{\\b1}\\N',
};
/** 2026-11-29, 13:05:09 in London. */
const ZERO_UTC_MS = Date.UTC(2026, 10, 29, 13, 5, 9, 900);
const clock = { timeZone: 'Europe/London', format: 'DD.MM. hh:mm:ss A', corner: 'top-right' as const };
const border = '#ff8000';

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
  {
    ...{ name: 'best-fit-5-names', layout: { kind: 'bestFit' }, users: 5, soundOnly: [1] },
    overlays: { nameLabels: { names: NAMES, corner: 'bottom-left' } },
  },
  {
    ...{ name: 'floating-3-names', layout: { kind: 'floating' }, users: 3, spoke: [0] },
    overlays: { nameLabels: { names: NAMES, corner: 'top-right' }, speaker: { border } },
  },
  {
    ...{ name: 'best-fit-3-clock-text', layout: { kind: 'bestFit' }, users: 3, spoke: [1] },
    overlays: {
      ...{ clock, speaker: { border } },
      watermark: { shown: { kind: 'text', text: 'Confidential' }, place: 'center', size: 0.2, opacity: 0.7 },
    },
  },
  {
    ...{ name: 'best-fit-2-watermark', layout: { kind: 'bestFit' }, users: 2 },
    overlays: {
      clock: { ...clock, format: 'HH:mm:ss', corner: 'bottom-left' },
      watermark: { shown: { kind: 'image', image: 'http://x' }, place: 'bottom-right', size: 0.4, opacity: 0.8 },
    },
  },
  {
    ...{ name: 'speaker-4-large', layout: { kind: 'bestFit' }, users: 4, spoke: [2, 0] },
    overlays: { speaker: { border, layout: 'large' }, nameLabels: { names: NAMES, corner: 'top-left' } },
  },
  {
    ...{ name: 'speaker-4-alone', layout: { kind: 'bestFit' }, users: 4, spoke: [3] },
    overlays: { speaker: { border, layout: 'alone' }, nameLabels: { names: NAMES, corner: 'top-left' } },
  },
];

/** Draws a scene. The picture is valid during `look`. */
export async function drawScene<T>(scene: Scene, look: (picture: Picture) => T | Promise<T>): Promise<T> {
  const { users, soundOnly = [], images, overlays = {}, spoke = [] } = scene;
  const pool = new PicturePool();
  const canvas = new Canvas(SIZE);
  const made: Picture[] = [];
  const logo = await decodeImage(LOGO, { cover: SIZE, backdrop: undefined });
  made.push(logo);
  const painter = new OverlayPainter({
    ...{ size: SIZE, zeroUtcMs: ZERO_UTC_MS },
    images: { want: () => {}, at: () => ({ is: 'ready', picture: logo }), keep: () => {} },
    onDegraded: (what) => {
      throw new Error(what);
    },
  });
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
    const told = spoke.map((n) => `${n + 1}`);
    const kind = overlays.speaker?.layout;
    const layout = kind === undefined ? scene.layout : speakerLayout(kind, told, uids);
    const over = await painter.draw(overlays, { placements: placeUsers(layout, uids), speaker: told[0] }, SECOND_US);
    return await look(canvas.draw({ layout, backgroundColor: '#202040' }, uids, pictures, shown, over));
  } finally {
    painter.close();
    canvas.close();
    for (const picture of made) picture.free();
    pool.close();
  }
}

/** A ring that is seen through within and, half, without. */
const LOGO = makePng(
  40,
  40,
  (x, y) => {
    const away = Math.hypot(x - 19.5, y - 19.5);
    return { r: 255, g: 220, b: 0, a: away < 10 ? 0 : away < 19 ? 255 : 128 };
  },
  'rgba',
);
const SECOND_US = 1_000_000;

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
  for (const scene of SCENES) writeFileSync(join(PICTURES, `${scene.name}.png`), await drawScene(scene, toPng));
}
