import { afterEach, describe, expect, test } from 'vitest';
import type { Picture } from '../../media/frame.ts';
import { LayerBlender, pictureLayer, shadedLayer } from './layer.ts';
import { liveFrames } from './native-frames.ts';
import { PicturePool } from './picture-pool.ts';
import { drawTexts, inkWidth, MONO_WIDTH, type TextStyle } from './text.ts';

afterEach(() => expect(liveFrames()).toBe(0));

const STYLE: TextStyle = {
  ...{ width: 240, height: 36, lineHeight: 24, font: 'sans', align: { kind: 'start', margin: 8 } },
  ...{ ink: 235, outline: 235, outlineWidth: 0, ground: 24 },
};

async function drawn<T>(texts: string[], look: (pictures: Picture[]) => T, style: Partial<TextStyle> = {}): Promise<T> {
  const pictures = await drawTexts(texts, { ...STYLE, ...style });
  try {
    return look(pictures);
  } finally {
    for (const picture of pictures) picture.free();
  }
}

/** The luma of each sample, row by row. */
const lumaOf = ({ planes, strides, width, height }: Picture) =>
  Array.from({ length: height }, (_, row) => planes[0].subarray(row * strides[0], row * strides[0] + width));
const brightest = (picture: Picture) => Math.max(...lumaOf(picture).map((row) => Math.max(...row)));
const isSame = (a: Picture, b: Picture) => lumaOf(a).every((row, y) => row.equals(lumaOf(b)[y]!));

describe('text as pictures', () => {
  test('stands in its place, in its colours, and is as wide as it is long', async () => {
    await drawn(['Ada', 'Ada Ada'], ([one, two]) => {
      const widths = [inkWidth(one!, 24), inkWidth(two!, 24)] as const;
      expect(widths[0]).toBeGreaterThan(30);
      expect(widths[1]).toBeGreaterThan(1.8 * (widths[0] - 8));
      expect(lumaOf(one!).every((row) => row.subarray(0, 7).every((luma) => Math.abs(luma - 24) <= 2))).toBe(true);
      expect(brightest(one!)).toBeGreaterThan(220);
    });
  });

  test('of orders and signs that have a meaning to who draws it is drawn letter by letter', async () => {
    await drawn(['ab', '{\\b1}ab', '\\Nab', 'a\\hb', '{ab', ',,,ab', '{\\pos(0,0)}'], ([plain, ...others]) => {
      for (const [n, other] of others.entries())
        expect(inkWidth(other, 24), `${n}`).toBeGreaterThan(inkWidth(plain!, 24));
    });
  });

  test.each([
    ['Greek', 'Ελλη'],
    ['Cyrillic', 'Борис'],
    ['Hebrew', 'שרה'],
    ['Arabic', 'مرحبا'],
    ['Georgian', 'ნინო'],
  ])('in %s is no row of boxes', async (_script, text) => {
    // A letter that no font has is the same box, whichever it is.
    await drawn([text, '\u{10FFFD}'.repeat(text.length)], ([letters, boxes]) => {
      expect(brightest(letters!)).toBeGreaterThan(200);
      expect(isSame(letters!, boxes!)).toBe(false);
    });
  });

  test('that runs from right to left begins at the right, also where letters of both directions meet', async () => {
    // Alef and then i, read from the right, look as i and then alef, read from the left.
    await drawn(
      ['אi', 'iא', 'iא!', 'אi!'],
      ([hebrew, latin, ...ended]) => {
        expect(isSame(hebrew!, latin!)).toBe(true);
        expect(isSame(ended[0]!, ended[1]!)).toBe(false);
      },
      { align: { kind: 'center' } },
    );
  });

  test.each([
    ['left', 'Augusta Ada King'],
    ['right', 'אדה לאבלייס המלכה'],
  ] as const)('that begins at the %s and is too wide lacks its end', async (side, text) => {
    const beginningOf = (width: number) =>
      drawn(
        [text],
        ([whole]) =>
          lumaOf(whole!).map((row) => Buffer.from(side === 'left' ? row.subarray(0, 60) : row.subarray(-60))),
        {
          width,
        },
      );
    expect(await beginningOf(64)).toEqual(await beginningOf(400));
    await drawn([text], ([whole]) => expect(inkWidth(whole!, 24, side)).toBeGreaterThan(120), { width: 400 });
  });

  test('of one width has letters as wide as is said', async () => {
    const width = 2 * Math.ceil((48 * MONO_WIDTH) / 2);
    const style: Partial<TextStyle> = { width: 400, height: 60, lineHeight: 48, font: 'mono' };
    await drawn(
      ['0', '0000000000'],
      ([one, ten]) => {
        const step = (inkWidth(ten!, 24) - inkWidth(one!, 24)) / 9;
        expect(step).toBeGreaterThan(48 * MONO_WIDTH - 0.5);
        expect(step).toBeLessThan(48 * MONO_WIDTH + 0.5);
      },
      style,
    );
    await drawn(['W'], ([letter]) => expect(inkWidth(letter!, 24)).toBeLessThanOrEqual(width), {
      ...{ width, height: 60, lineHeight: 48, font: 'mono', align: { kind: 'center' } },
    });
  });

  test('may be many texts, and long ones', async () => {
    const texts = Array.from({ length: 70 }, (_, n) => `${n}`.padEnd(64, 'm'));
    await drawn(texts, (pictures) => {
      expect(pictures.length).toBe(70);
      expect(pictures.every((picture) => inkWidth(picture, 24) > 230)).toBe(true);
    });
  });
});

describe('layers', () => {
  const GREY = 100;
  function onGrey<T>(look: (canvas: Picture, blender: LayerBlender, pool: PicturePool) => T): T {
    const pool = new PicturePool();
    const blender = new LayerBlender();
    const canvas = pool.allocate(64, 32);
    for (const [index, value] of [GREY, 90, 200].entries()) canvas.planes[index]!.fill(value);
    try {
      return look(canvas, blender, pool);
    } finally {
      canvas.free();
      blender.close();
      pool.close();
    }
  }
  const at = ({ planes, strides }: Picture, x: number, y: number) =>
    planes.map((plane, i) => plane[(i ? y >> 1 : y) * strides[i]! + (i ? x >> 1 : x)]!);
  const near = (values: number[]) => values.map((value) => expect.closeTo(value, -0.5));

  test.each([1, 0.5, 0.25])('cover as much as their opacity %d says, and nothing beside', (opacity) => {
    onGrey((canvas, blender, pool) => {
      const picture = pool.allocate(16, 8);
      for (const [index, value] of [200, 30, 60].entries()) picture.planes[index]!.fill(value);
      const layer = pictureLayer(picture, { width: 8, height: 8 }, opacity);
      picture.free();
      blender.lay(layer, canvas, 20, 10);
      layer.free();
      const mixed = [200, 30, 60].map((value, i) => opacity * value + (1 - opacity) * [GREY, 90, 200][i]!);
      for (const [x, y] of [
        [20, 10],
        [27, 17],
      ] as const)
        expect(at(canvas, x, y)).toEqual(near(mixed));
      for (const [x, y] of [
        [18, 10],
        [28, 12],
        [20, 8],
        [20, 18],
      ] as const)
        expect(at(canvas, x, y)).toEqual([GREY, 90, 200]);
    });
  });

  test('in greys cover where their mask is white', () => {
    onGrey((canvas, blender, pool) => {
      const [shade, mask] = [pool.allocate(8, 8), pool.allocate(8, 8)];
      shade.planes[0].fill(235);
      mask.planes[0].fill(16);
      for (let y = 0; y < 8; y++) mask.planes[0].fill(235, y * mask.strides[0], y * mask.strides[0] + 4);
      const layer = shadedLayer(shade, mask, 1);
      for (const picture of [shade, mask]) picture.free();
      for (let n = 0; n < 3; n++) blender.lay(layer, canvas, 8, 8);
      layer.free();
      expect(at(canvas, 9, 9)).toEqual(near([235, 128, 128]));
      expect(at(canvas, 14, 9)).toEqual(near([GREY, 90, 200]));
    });
  });

  test('of many sizes are laid in turn, and one that would not fit is refused', () => {
    onGrey((canvas, blender, pool) => {
      const picture = pool.allocate(16, 16);
      picture.planes[0].fill(200);
      const layers = [2, 4, 6, 8, 10, 12].map((size) => pictureLayer(picture, { width: size, height: size }, 1));
      picture.free();
      for (const layer of [...layers, ...layers]) blender.lay(layer, canvas, 0, 0);
      expect(at(canvas, 11, 11)[0]).toBeCloseTo(200, -0.5);
      expect(() => blender.lay(layers[5]!, canvas, 56, 0)).toThrow('leaves its picture');
      for (const layer of layers) layer.free();
    });
  });
});
