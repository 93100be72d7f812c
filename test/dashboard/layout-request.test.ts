import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  byKey,
  checkLayout,
  type LayoutRequest,
  moved,
  ofKind,
  placed,
  pull,
  type RegionEntry,
  sized,
  textOf,
  withNewRegion,
  withoutRegion,
  withRegion,
} from '../../web/dashboard/src/layout/layout-request.ts';

const CANVAS = { width: 640, height: 360 };
const people = (count: number) => Array.from({ length: count }, (_, n) => String(n + 1));
const errorOf = (request: object) => checkLayout(JSON.stringify(request), CANVAS).error;

describe('what is designed', () => {
  test.each([0, 1, 2] as const)('becomes a custom layout that looks the same, of kind %i', (kind) => {
    for (let count = 1; count <= 17; count++) {
      const uids = people(count);
      const before = ofKind({}, kind, uids);
      const after = ofKind(before, 3, uids);
      expect(errorOf(after)).toBeUndefined();
      const [was, is] = [placed(before, uids), placed(after, uids)];
      expect(is.map(({ uid }) => uid)).toEqual(was.map(({ uid }) => uid));
      for (const [n, { x, y, width, height }] of was.entries()) {
        const found = is[n]!;
        for (const [got, wanted] of [
          [found.x, x],
          [found.y, y],
          [found.width, width],
          [found.height, height],
        ])
          expect(got).toBeCloseTo(wanted!, 5);
      }
    }
  });

  test('is taken by the API wherever keys and the pointer bring it', () => {
    const keys = fc.constantFrom('ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown');
    const step = fc.oneof(
      fc.record({ key: keys, sizes: fc.boolean() }),
      fc.record({
        dx: fc.double({ min: -2, max: 2, noNaN: true }),
        dy: fc.double({ min: -2, max: 2, noNaN: true }),
        sizes: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let region: RegionEntry = { x_axis: 0.35, y_axis: 0.35, width: 0.3, height: 0.3 };
        for (const each of steps)
          region =
            'key' in each
              ? byKey(region, each.key, each.sizes)!
              : each.sizes
                ? sized(region, region.width + each.dx, region.height + each.dy)
                : moved(region, each.dx, each.dy);
        expect(errorOf({ mixedVideoLayout: 3, layoutConfig: [region] })).toBeUndefined();
        expect(region.width).toBeGreaterThan(0);
        expect(region.height).toBeGreaterThan(0);
      }),
    );
  });

  test('keeps what it does not know, and the order of its regions', () => {
    const images = { backgroundImage: 'https://example.com/a.png' };
    let request: LayoutRequest = { ...images, ...ofKind({ mixedVideoLayout: 1 }, 3, people(2)) };
    request = withRegion(withNewRegion(request), 2, { uid: '7' });
    expect(placed(request, ['1', '7']).map(({ uid }) => uid)).toEqual(['1', undefined, '7']);
    request = withRegion(withoutRegion(request, 0), 1, { uid: '' });
    expect(request).toMatchObject({ ...images, layoutConfig: [{ x_axis: 0.5 }, { x_axis: 0.35 }] });
    expect(textOf(request)).not.toContain('uid');
  });
});

test('what the API would refuse is told in its words', () => {
  const region = { x_axis: 0, y_axis: 0, width: 1, height: 1 };
  expect(checkLayout('{', CANVAS).error).toBe('It is not JSON.');
  expect(checkLayout('[]', CANVAS).error).toBe('It must be an object.');
  expect(errorOf({ mixedVideoLayout: 3 })).toContain('layoutConfig is required when mixedVideoLayout is 3');
  expect(errorOf({ mixedVideoLayout: 3, layoutConfig: [{ ...region, x_axis: 0.1 }] })).toBe(
    'updateLayout: width type mismatch or missing under layoutConfig! layoutConfig[0].width: x_axis + width is over 1',
  );
  expect(errorOf({ mixedVideoLayout: 3, layoutConfig: Array(18).fill(region) })).toContain('at most 17');
  const twice = { mixedVideoLayout: 3, layoutConfig: [1, 2].map(() => ({ ...region, uid: '1' })) };
  expect(checkLayout(JSON.stringify(twice), CANVAS).warnings?.join()).toContain('has region 0 already');
});

test('an edge is pulled to the nearest line within reach, and to no other', () => {
  expect(pull([0.49, 0.79], [0, 0.5, 0.8], 0.02)).toBeCloseTo(0.01);
  expect(pull([0.492, 0.795], [0, 0.5, 0.8], 0.02)).toBeCloseTo(0.005);
  expect(pull([0.4], [0, 0.5], 0.02)).toBe(0);
});
