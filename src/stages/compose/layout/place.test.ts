import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bestFitRegions, floatingRegions, type Rect, verticalRegions } from '../../../../test/support/judge/regions.ts';
import type { Layout } from '../../../contract/line/plan.ts';
import { MAX_SHOWN, type PixelRect, type Placement, placeUsers, toPixels } from './place.ts';

const users = (count: number) => Array.from({ length: count }, (_, i) => `u${i + 1}`);
const box = ({ uid, x, y, width, height }: Placement) =>
  [uid, ...[x, y, width, height].map((v) => Math.round(v * 1e6) / 1e6)] as const;
const overlap = (a: PixelRect, b: PixelRect) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const evenSize = fc.integer({ min: 20, max: 960 }).map((half) => half * 2);

describe('floating', () => {
  it('fills the canvas with the first user and stacks the others from the bottom left', () => {
    const placed = placeUsers({ kind: 'floating' }, users(17));
    expect(placed.map(box)).toEqual([
      ['u1', 0, 0, 1, 1],
      ['u2', 0.012, 0.753, 0.235, 0.235],
      ['u3', 0.259, 0.753, 0.235, 0.235],
      ['u4', 0.506, 0.753, 0.235, 0.235],
      ['u5', 0.753, 0.753, 0.235, 0.235],
      ['u6', 0.012, 0.506, 0.235, 0.235],
      ['u7', 0.259, 0.506, 0.235, 0.235],
      ['u8', 0.506, 0.506, 0.235, 0.235],
      ['u9', 0.753, 0.506, 0.235, 0.235],
      ['u10', 0.012, 0.259, 0.235, 0.235],
      ['u11', 0.259, 0.259, 0.235, 0.235],
      ['u12', 0.506, 0.259, 0.235, 0.235],
      ['u13', 0.753, 0.259, 0.235, 0.235],
      ['u14', 0.012, 0.012, 0.235, 0.235],
      ['u15', 0.259, 0.012, 0.235, 0.235],
      ['u16', 0.506, 0.012, 0.235, 0.235],
      ['u17', 0.753, 0.012, 0.235, 0.235],
    ]);
    expect(placed.every((p) => p.render === 'crop' && p.alpha === 1)).toBe(true);
    expect(placed.map((p) => p.z)).toEqual([...Array(17).keys()]);
  });

  it('moves later users forward when one leaves', () => {
    const before = placeUsers({ kind: 'floating' }, ['a', 'b', 'c']);
    const after = placeUsers({ kind: 'floating' }, ['a', 'c']);
    expect(box(after[1]!).slice(1)).toEqual(box(before[1]!).slice(1));
    expect(after[1]!.uid).toBe('c');
  });
});

describe('best fit', () => {
  it.each([
    [1, 1, 1],
    [2, 2, 1],
    [3, 2, 2],
    [4, 2, 2],
    [5, 3, 3],
    [6, 3, 3],
    [7, 3, 3],
    [8, 3, 3],
    [9, 3, 3],
    [10, 4, 4],
    [11, 4, 4],
    [12, 4, 4],
    [13, 4, 4],
    [14, 4, 4],
    [15, 4, 4],
    [16, 4, 4],
  ])('puts %i users into %i columns and %i rows, row by row', (count, columns, rows) => {
    const placed = placeUsers({ kind: 'bestFit' }, users(count));
    expect(placed).toHaveLength(count);
    placed.forEach((p, i) => {
      expect(p.width).toBeCloseTo(1 / columns);
      expect(p.height).toBeCloseTo(1 / rows);
      expect(Math.round(p.x * columns)).toBe(i % columns);
      expect(Math.round(p.y * rows)).toBe(Math.floor(i / columns));
    });
  });

  it('centres the 17th under four rows of four', () => {
    const placed = placeUsers({ kind: 'bestFit' }, users(17)).map(box);
    expect(placed[0]).toEqual(['u1', 0.1, 0, 0.2, 0.2]);
    expect(placed[3]).toEqual(['u4', 0.7, 0, 0.2, 0.2]);
    expect(placed[4]).toEqual(['u5', 0.1, 0.2, 0.2, 0.2]);
    expect(placed[15]).toEqual(['u16', 0.7, 0.6, 0.2, 0.2]);
    expect(placed[16]).toEqual(['u17', 0.4, 0.8, 0.2, 0.2]);
  });
});

describe('vertical', () => {
  const layout = { kind: 'vertical', maxResolutionUid: 'u1' } as const;
  // Contract §4.7: windows, the big one's width, the small ones' size, rows per column.
  it.each([
    [2, 4 / 5, 1 / 5, 1 / 4],
    [5, 4 / 5, 1 / 5, 1 / 4],
    [6, 6 / 7, 1 / 7, 1 / 6],
    [7, 6 / 7, 1 / 7, 1 / 6],
    [8, 8 / 9, 1 / 9, 1 / 8],
    [9, 8 / 9, 1 / 9, 1 / 8],
    [10, 8 / 10, 1 / 10, 1 / 8],
    [17, 8 / 10, 1 / 10, 1 / 8],
  ])('with %i windows the big one is %f wide and the small ones %f by %f', (count, big, width, height) => {
    const [first, ...rest] = placeUsers(layout, users(count));
    expect(first).toMatchObject({ uid: 'u1', x: 0, y: 0, width: big, height: 1, render: 'fit' });
    expect(rest).toHaveLength(count - 1);
    const rows = Math.round(1 / height);
    rest.forEach((p, i) => {
      expect(p).toMatchObject({ uid: `u${i + 2}`, render: 'crop' });
      expect(p.x).toBeCloseTo(big + Math.floor(i / rows) * width);
      expect(p.y).toBeCloseTo((i % rows) * height);
      expect([p.width, p.height]).toEqual([width, height]);
    });
  });

  it('fills the canvas with a single user when no big window was asked for', () => {
    expect(placeUsers({ kind: 'vertical' }, ['a']).map(box)).toEqual([['a', 0, 0, 1, 1]]);
  });

  it('keeps the big window empty while its user is not there, and counts it', () => {
    const placed = placeUsers({ kind: 'vertical', maxResolutionUid: 'gone' }, users(5));
    expect(placed.map((p) => p.uid)).toEqual(users(5));
    for (const p of placed) expect(p.x).toBeCloseTo(6 / 7);
    expect(placeUsers({ kind: 'vertical' }, users(17))).toHaveLength(16);
  });

  it('gives the big window to its user whatever the join order, and even beyond 17', () => {
    expect(placeUsers({ kind: 'vertical', maxResolutionUid: 'u20' }, users(20))[0]).toMatchObject({
      uid: 'u20',
      x: 0,
      render: 'fit',
    });
  });
});

describe('custom', () => {
  const region = (uid: string | undefined, x: number) => ({
    ...(uid === undefined ? {} : { uid }),
    x,
    y: 0.1,
    width: 0.2,
    height: 0.3,
    alpha: 0.5,
    render: 'fit' as const,
  });

  it('reserves named regions, fills the others in join order and draws no one else', () => {
    const layout: Layout = {
      kind: 'custom',
      regions: [region(undefined, 0), region('c', 0.2), region('', 0.4), region('absent', 0.6)],
    };
    const placed = placeUsers(layout, ['a', 'b', 'c', 'd']);
    expect(placed.map((p) => [p.uid, p.x, p.z])).toEqual([
      ['a', 0, 0],
      ['c', 0.2, 1],
      ['b', 0.4, 2],
    ]);
    expect(placed[0]).toMatchObject({ alpha: 0.5, render: 'fit', width: 0.2, height: 0.3 });
  });

  it('shows a user that two regions name in the first of them', () => {
    const layout: Layout = { kind: 'custom', regions: [region('a', 0), region('a', 0.5)] };
    expect(placeUsers(layout, ['a']).map((p) => p.x)).toEqual([0]);
  });
});

describe.each(Array.from({ length: 17 }, (_, n) => n + 1))('%i users', (count) => {
  const expectBoxes = (layout: Layout, uids: string[], boxes: Rect[]) => {
    const placed = placeUsers(layout, uids);
    expect(placed.map(({ uid }) => uid)).toEqual(uids.slice(0, boxes.length));
    boxes.forEach((expected, i) => {
      for (const side of ['x', 'y', 'width', 'height'] as const)
        expect(placed[i]![side]).toBeCloseTo(expected[side], 9);
    });
  };

  it('stand where the tables of the contract have them, and those beyond 17 nowhere', () => {
    expectBoxes({ kind: 'floating' }, users(count), floatingRegions(count));
    expectBoxes({ kind: 'bestFit' }, users(count), bestFitRegions(count));
    const vertical: Layout = { kind: 'vertical', maxResolutionUid: 'u1' };
    if (count > 1) {
      const { large, small } = verticalRegions(count);
      expectBoxes(vertical, users(count), [large, ...small]);
      // Without the large window's user the place is kept, and the others stand as before.
      const gone = placeUsers(vertical, users(count).slice(1));
      expect(gone.map(({ uid }) => uid)).toEqual(users(count).slice(1));
      expectBoxes(vertical, users(count).slice(1), small);
    }
    expectBoxes({ kind: 'floating' }, users(count + 17), floatingRegions(17));
  });

  it('move forward, in the order they joined, when any of them leaves, and the next in line comes in', () => {
    for (const kind of ['floating', 'bestFit'] as const)
      for (let leaver = 0; leaver < count; leaver++) {
        const left = users(count + 17).filter((_, n) => n !== leaver);
        expect(placeUsers({ kind }, left).map(({ uid }) => uid)).toEqual(left.slice(0, MAX_SHOWN));
      }
  });
});

describe('every layout', () => {
  const layouts: Layout[] = [
    { kind: 'floating' },
    { kind: 'bestFit' },
    { kind: 'vertical' },
    { kind: 'vertical', maxResolutionUid: 'u2' },
  ];

  it('stays on an even pixel grid inside the canvas, shows nobody twice and no more than 17', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...layouts),
        fc.integer({ min: 0, max: 30 }),
        evenSize,
        evenSize,
        (layout, count, width, height) => {
          const placed = placeUsers(layout, users(count));
          expect(placed.length).toBeLessThanOrEqual(MAX_SHOWN);
          expect(new Set(placed.map((p) => p.uid)).size).toBe(placed.length);
          for (const p of placed) {
            const rect = toPixels(p, width, height);
            if (!rect) continue;
            for (const value of Object.values(rect)) expect(value % 2).toBe(0);
            expect(rect.x).toBeGreaterThanOrEqual(0);
            expect(rect.y).toBeGreaterThanOrEqual(0);
            expect(rect.x + rect.width).toBeLessThanOrEqual(width);
            expect(rect.y + rect.height).toBeLessThanOrEqual(height);
          }
        },
      ),
    );
  });

  it('overlaps only where it floats', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...layouts.slice(1)),
        fc.integer({ min: 1, max: 17 }),
        evenSize,
        evenSize,
        (layout, count, width, height) => {
          const rects = placeUsers(layout, users(count))
            .map((p) => toPixels(p, width, height))
            .filter((r) => r !== undefined);
          rects.forEach((a, i) => {
            for (const b of rects.slice(i + 1)) expect(overlap(a, b)).toBe(false);
          });
        },
      ),
    );
  });

  it.each([1, 2, 4, 9, 16])('covers the whole canvas when %i users fill the grid', (count) => {
    fc.assert(
      fc.property(evenSize, evenSize, (width, height) => {
        const rects = placeUsers({ kind: 'bestFit' }, users(count)).map((p) => toPixels(p, width, height));
        const area = rects.reduce((sum, r) => sum + (r ? r.width * r.height : 0), 0);
        expect(area).toBe(width * height);
      }),
    );
  });

  it('makes regions meet whose edges were written with six decimals', () => {
    const left = toPixels({ x: 0, y: 0, width: 0.333333, height: 1 }, 1280, 720)!;
    const middle = toPixels({ x: 0.333333, y: 0, width: 0.333333, height: 1 }, 1280, 720)!;
    const right = toPixels({ x: 0.666666, y: 0, width: 0.333334, height: 1 }, 1280, 720)!;
    expect(left.x + left.width).toBe(middle.x);
    expect(middle.x + middle.width).toBe(right.x);
    expect(right.x + right.width).toBe(1280);
  });
});
