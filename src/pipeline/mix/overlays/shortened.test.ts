import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Picture } from '../../../media/frame.ts';
import { liveFrames } from '../../../stages/codec/native-frames.ts';
import { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { NameLabels } from './name-labels.ts';
import { overlaySizes } from './sizes.ts';
import { Texts } from './texts.ts';

const CANVAS = { width: 640, height: 360 };
const sizes = overlaySizes(CANVAS);
const NAMES = { 1: 'Augusta Ada King, Countess of Lovelace', 2: 'אדה לאבלייס מלכת המספרים הגדולה', 3: 'Ada' };

let pool: PicturePool;
let labels: NameLabels;
beforeEach(() => {
  pool = new PicturePool();
  labels = new NameLabels(pool, new Texts((what) => expect.unreachable(what)), sizes, CANVAS.width);
});
afterEach(() => {
  labels.close();
  pool.close();
  expect(liveFrames()).toBe(0);
});

/** The luma of each column of the label of `uid` in a place that is so wide. */
async function columnsOf(
  uid: keyof typeof NAMES,
  width: number,
  by = labels,
): Promise<{ x: number; columns: string[] }> {
  const area = { x: 0, y: 0, width, height: 100 };
  const drawn = await by.draw({ names: NAMES, corner: 'top-right' }, [{ uid: String(uid), area, z: 0 }]);
  const [overlay] = drawn;
  if (overlay?.drawn.kind !== 'picture') return { x: 0, columns: [] };
  return { x: overlay.x, columns: columnsIn(overlay.drawn.picture) };
}

function columnsIn({ planes, strides, width, height }: Picture): string[] {
  const row = Array.from({ length: height }, (_, y) => y);
  return Array.from({ length: width }, (_, x) => row.map((y) => planes[0][y * strides[0] + x]).join());
}

const EMPTY = Array.from({ length: sizes.plate }, () => 24).join();
/** The columns of the last, or first, three dots, which are apart and alike. */
function endsWithDots(columns: string[]): boolean {
  const ink = columns.map((column) => column !== EMPTY);
  const runs: number[] = [];
  for (const [x, has] of ink.entries()) if (has && !ink[x - 1]) runs.push(x);
  const dots = runs.slice(-3);
  return dots.length === 3 && Math.abs(dots[2]! - dots[1]! - (dots[1]! - dots[0]!)) <= 1 && dots[2]! - dots[0]! < 14;
}

test('a name that is wider than its place keeps its beginning and ends with an ellipsis', async () => {
  const { columns: whole } = await columnsOf(1, CANVAS.width);
  expect(endsWithDots(whole)).toBe(false);
  for (const width of [90, 91, 120, 173, 240]) {
    const even = width - (width % 2);
    const { x, columns } = await columnsOf(1, even);
    // It stands in the corner, and leaves nothing behind its end.
    expect(x + columns.length).toBe(even - sizes.margin);
    expect(columns.length).toBeLessThanOrEqual(even - 2 * sizes.margin);
    expect(columns.length).toBeGreaterThan(even - 2 * sizes.margin - sizes.plate);
    expect(endsWithDots(columns)).toBe(true);
    const alike = columns.findIndex((column, n) => column !== whole[n]);
    expect(alike).toBeGreaterThan(columns.length / 2 - 4);
  }
});

test('one that is read from the right keeps its right side', async () => {
  const { columns: whole } = await columnsOf(2, CANVAS.width);
  const { columns } = await columnsOf(2, 130);
  expect(columns.length).toBeLessThan(whole.length);
  expect(endsWithDots(columns.toReversed())).toBe(true);
  const alike = columns.toReversed().findIndex((column, n) => column !== whole.at(-1 - n));
  expect(alike).toBeGreaterThan(columns.length / 2);
});

test.each([1, 2] as const)('name %d begins as it does elsewhere where the canvas is too narrow for it', async (uid) => {
  const narrow = new NameLabels(pool, new Texts((what) => expect.unreachable(what)), sizes, 150);
  try {
    expect(await columnsOf(uid, 130, narrow)).toEqual(await columnsOf(uid, 130));
    const { columns } = await columnsOf(uid, 20, narrow);
    const { columns: whole } = await columnsOf(uid, CANVAS.width);
    const begins = uid === 1 ? whole.slice(0, columns.length) : whole.slice(-columns.length);
    expect(columns).toEqual(begins);
  } finally {
    narrow.close();
  }
});

test('a name that fits is whole, and where hardly a letter has room there is no ellipsis', async () => {
  expect((await columnsOf(3, 200)).columns).toEqual((await columnsOf(3, CANVAS.width)).columns);
  const { columns } = await columnsOf(1, 20);
  expect(columns.length).toBe(20 - 2 * sizes.margin);
  const { columns: whole } = await columnsOf(1, CANVAS.width);
  expect(columns).toEqual(whole.slice(0, columns.length));
});
