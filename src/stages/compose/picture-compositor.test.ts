import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type {
  FittedPicture,
  Fitting,
  Layer,
  Picture,
  PictureBlender,
  PictureScaler,
  PictureSource,
} from '../../media/frame.ts';
import { toColor } from './color.ts';
import type { PixelRect, Placement } from './layout/place.ts';
import { type Overlay, PictureCompositor, type Tick } from './picture-compositor.ts';

/** Pictures in plain memory with counted owners, behaving as PictureSource says. */
class HeapPictures implements PictureSource {
  live = 0;
  copies = 0;
  #owners = new Map<object, number>();

  allocate(width: number, height: number): Picture {
    const planes = [
      Buffer.alloc(width * height),
      Buffer.alloc((width * height) / 4),
      Buffer.alloc((width * height) / 4),
    ] as const;
    this.#owners.set(planes, 0);
    return this.#own(width, height, planes);
  }

  share(picture: Picture): Picture {
    return this.#own(picture.width, picture.height, picture.planes);
  }

  exclusive(picture: Picture): boolean {
    return this.#owners.get(picture.planes) === 1;
  }

  copy(from: Picture, to: Picture, x: number, y: number): void {
    this.copies++;
    from.planes.forEach((plane, i) => {
      const scale = i === 0 ? 1 : 2;
      for (let row = 0; row < from.height / scale; row++)
        plane.copy(
          to.planes[i]!,
          (y / scale + row) * to.strides[i]! + x / scale,
          row * from.strides[i]!,
          row * from.strides[i]! + from.width / scale,
        );
    });
  }

  copyPart(from: Picture, to: Picture, { x, y, width, height }: PixelRect): void {
    from.planes.forEach((plane, i) => {
      const scale = i === 0 ? 1 : 2;
      for (let row = y / scale; row < (y + height) / scale; row++) {
        const start = row * from.strides[i]! + x / scale;
        plane.copy(to.planes[i]!, row * to.strides[i]! + x / scale, start, start + width / scale);
      }
    });
  }

  #own(width: number, height: number, planes: Picture['planes']): Picture {
    this.live++;
    this.#owners.set(planes, this.#owners.get(planes)! + 1);
    let freed = false;
    return {
      width,
      height,
      planes,
      strides: [width, width / 2, width / 2],
      free: () => {
        if (freed) return;
        freed = true;
        this.live--;
        this.#owners.set(planes, this.#owners.get(planes)! - 1);
      },
    };
  }
}

/** Takes a picture's first sample for all of it; `fit` makes it half as high as the target. */
class FlatScaler implements PictureScaler {
  calls = 0;
  readonly #pictures: HeapPictures;

  constructor(pictures: HeapPictures) {
    this.#pictures = pictures;
  }

  scale(picture: Picture, target: Fitting): FittedPicture {
    this.calls++;
    const height = target.render === 'fit' ? Math.max(2, 2 * Math.floor(target.height / 4)) : target.height;
    const result = this.#pictures.allocate(target.width, height);
    result.planes.forEach((plane, i) => {
      plane.fill(picture.planes[i]![0]!);
    });
    return { picture: result, x: 0, y: 2 * Math.floor((target.height - height) / 4) };
  }
}

/** Of one luma, covering half of what is under it. */
type HalfLayer = Layer & { luma: number };
const half = (width: number, height: number, luma: number): HalfLayer => ({ width, height, luma, free: () => {} });

class HalfBlender implements PictureBlender {
  lay(layer: Layer, to: Picture, x: number, y: number): void {
    const { width, height, luma } = layer as HalfLayer;
    for (let row = y; row < y + height; row++)
      for (let at = row * to.strides[0] + x, end = at + width; at < end; at++)
        to.planes[0][at] = (to.planes[0][at]! + luma) >> 1;
  }
}

const WIDTH = 32;
const HEIGHT = 16;
const BLACK = toColor('#000000').luma;

function setUp() {
  const pictures = new HeapPictures();
  const scaler = new FlatScaler(pictures);
  const compositor = new PictureCompositor({
    width: WIDTH,
    height: HEIGHT,
    pictures,
    scaler,
    blender: new HalfBlender(),
  });
  const flat = (luma: number) => {
    const picture = pictures.allocate(8, 8);
    picture.planes[0].fill(luma);
    return picture;
  };
  return { pictures, scaler, compositor, flat };
}

function place(uid: string, x: number, width: number, more: Partial<Placement> = {}): Placement {
  return { uid, x, y: 0, width, height: 1, alpha: 1, render: 'crop', z: 0, ...more };
}

function tick(placements: Placement[], pictures: Record<string, Picture | undefined>, background = '#000000'): Tick {
  return { placements, pictures: new Map(Object.entries(pictures)), background };
}

/** Whether `canvas` is as `before` everywhere but in these parts. */
function differsWithin(before: readonly Buffer[], canvas: Picture, parts: readonly PixelRect[]): boolean {
  return canvas.planes.every((plane, i) => {
    const scale = i === 0 ? 1 : 2;
    const isWithin = (x: number, y: number) =>
      parts.some((part) => x >= part.x && x < part.x + part.width && y >= part.y && y < part.y + part.height);
    return plane.every((value, at) => {
      const [x, y] = [(at % canvas.strides[i]!) * scale, Math.floor(at / canvas.strides[i]!) * scale];
      return value === before[i]![at] || isWithin(x, y);
    });
  });
}

const luma = (canvas: Picture, x: number, y: number) => canvas.planes[0][y * canvas.strides[0] + x];

describe('colours', () => {
  it.each([
    ['#000000', 16, 128, 128],
    ['#FFFFFF', 235, 128, 128],
    ['#ff0000', 81, 90, 240],
    ['#00ff00', 145, 54, 34],
    ['#0000FF', 41, 240, 110],
  ])('%s is Y %i, Cb %i, Cr %i', (hex, y, cb, cr) => {
    expect(toColor(hex)).toEqual({ luma: y, cb, cr });
  });
});

describe('PictureCompositor', () => {
  it('draws pictures in their places and background where nobody has one', () => {
    const { compositor, flat } = setUp();
    const canvas = compositor.compose(
      tick([place('a', 0, 0.5), place('b', 0.5, 0.5)], { a: flat(100), b: undefined }, '#ff0000'),
    );
    expect(luma(canvas, 0, 0)).toBe(100);
    expect(luma(canvas, 15, 15)).toBe(100);
    expect(luma(canvas, 16, 0)).toBe(81);
    expect(canvas.planes[1][15]).toBe(90);
    expect(canvas.planes[2][15]).toBe(240);
  });

  it('scales a picture once and returns the same canvas while nothing changes', () => {
    const { compositor, scaler, pictures, flat } = setUp();
    const same = tick([place('a', 0, 1)], { a: flat(100) });
    const first = compositor.compose(same);
    const copies = pictures.copies;
    expect(compositor.changed).toBeUndefined();
    expect(compositor.compose(same)).toBe(first);
    expect(compositor.changed).toEqual([]);
    expect([scaler.calls, pictures.copies]).toEqual([1, copies]);
  });

  it('copies only the region that changed', () => {
    const { compositor, pictures, scaler, flat } = setUp();
    const places = [place('a', 0, 0.5), place('b', 0.5, 0.5)];
    const a = flat(100);
    compositor.compose(tick(places, { a, b: flat(50) }));
    const copies = pictures.copies;
    const canvas = compositor.compose(tick(places, { a, b: flat(60) }));
    expect([luma(canvas, 0, 0), luma(canvas, 16, 0)]).toEqual([100, 60]);
    expect([pictures.copies - copies, scaler.calls]).toEqual([1, 3]);
    expect(compositor.changed).toEqual([{ x: 16, y: 0, width: 16, height: 16 }]);
  });

  it('draws again what lies over a picture that changed', () => {
    const { compositor, flat } = setUp();
    const places = [place('big', 0, 1), place('small', 0.5, 0.25, { z: 1 })];
    const small = flat(50);
    compositor.compose(tick(places, { big: flat(100), small }));
    const canvas = compositor.compose(tick(places, { big: flat(120), small }));
    expect([luma(canvas, 0, 0), luma(canvas, 16, 8), luma(canvas, 24, 8)]).toEqual([120, 50, 120]);
  });

  it('never writes to a canvas that somebody shares', () => {
    const { compositor, pictures, flat } = setUp();
    const places = [place('a', 0, 1)];
    const held = pictures.share(compositor.compose(tick(places, { a: flat(1) })));
    const second = compositor.compose(tick(places, { a: flat(2) }));
    expect(luma(held, 5, 5)).toBe(1);
    expect(luma(second, 5, 5)).toBe(2);
    const third = compositor.compose(tick(places, { a: flat(3) }));
    expect([luma(held, 5, 5), luma(third, 5, 5)]).toEqual([1, 3]);
    held.free();
  });

  it('lets what lies under a translucent picture show through, also after it changed alone', () => {
    const { compositor, flat } = setUp();
    const places = [place('under', 0, 1), place('over', 0, 0.5, { alpha: 0.5, z: 1 })];
    const under = flat(100);
    compositor.compose(tick(places, { under, over: flat(200) }));
    const canvas = compositor.compose(tick(places, { under, over: flat(20) }));
    expect([luma(canvas, 0, 0), luma(canvas, 31, 0)]).toEqual([60, 100]);
  });

  it('shows background again when a user goes, and in the bars of a fitted picture', () => {
    const { compositor, flat } = setUp();
    const a = flat(100);
    compositor.compose(tick([place('a', 0, 1)], { a }));
    const fitted = compositor.compose(tick([place('a', 0, 1, { render: 'fit' })], { a }));
    expect([luma(fitted, 0, 0), luma(fitted, 0, 8), luma(fitted, 0, 15)]).toEqual([BLACK, 100, BLACK]);
    expect(luma(compositor.compose(tick([], {})), 0, 8)).toBe(BLACK);
  });

  it('draws a changed background', () => {
    const { compositor } = setUp();
    compositor.compose(tick([], {}));
    expect(luma(compositor.compose(tick([], {}, '#ffffff')), 3, 3)).toBe(235);
    expect(compositor.changed).toBeUndefined();
  });

  it('shows an image of its size instead of the background, through what is translucent too, and until it goes', () => {
    const { compositor, pictures, flat } = setUp();
    const backdrop = pictures.allocate(WIDTH, HEIGHT);
    for (let x = 0; x < WIDTH; x++)
      for (let y = 0; y < HEIGHT; y++) backdrop.planes[0][y * WIDTH + x] = x < 16 ? 60 : 90;
    const places = [place('a', 0, 0.25), place('over', 0.25, 0.5, { alpha: 0.5 })];
    const [a, over] = [flat(100), flat(200)];
    const seen = (more: Partial<Tick>) => {
      const canvas = compositor.compose({ ...tick(places, { a, over }), ...more });
      return [0, 8, 20, 31].map((x) => luma(canvas, x, 9));
    };
    expect(seen({ backdrop })).toEqual([100, 130, 145, 90]);
    expect(seen({ backdrop, pictures: new Map([...Object.entries({ a, over: flat(100) })]) })).toEqual([
      100, 80, 95, 90,
    ]);
    expect(seen({})).toEqual([100, 108, 108, BLACK]);
  });

  it('draws overlays between pictures and over them, and what shows through a layer first', () => {
    const { compositor, pictures, flat } = setUp();
    const plate = pictures.allocate(4, 4);
    plate.planes[0].fill(235);
    const layer = half(8, 8, 0);
    const overlays: Overlay[] = [
      { x: 0, y: 0, z: 0.5, drawn: { kind: 'picture', picture: plate } },
      { x: 12, y: 0, z: 9, drawn: { kind: 'layer', layer } },
    ];
    const places = [place('big', 0, 1), place('small', 0.0625, 0.5, { z: 1 })];
    const small = flat(50);
    const seen = (big: Picture, drawn: readonly Overlay[] = overlays) => {
      const canvas = compositor.compose({ ...tick(places, { big, small }), overlays: drawn });
      return [0, 2, 12, 18, 31].map((x) => luma(canvas, x, 3));
    };
    const big = flat(100);
    expect(seen(big)).toEqual([235, 50, 25, 50, 100]);
    expect(seen(flat(120))).toEqual([235, 50, 25, 60, 120]);
    expect(seen(big, [{ ...overlays[1]!, drawn: { kind: 'layer', layer: half(8, 8, 100) } }])).toEqual([
      100, 50, 75, 100, 100,
    ]);
    expect(seen(big, [])).toEqual([100, 50, 50, 100, 100]);
  });

  it('draws nothing but an overlay that changed alone', () => {
    const { compositor, pictures, flat } = setUp();
    const overlay = (value: number): Overlay => {
      const picture = pictures.allocate(4, 4);
      picture.planes[0].fill(value);
      return { x: 4, y: 4, z: 5, drawn: { kind: 'picture', picture } };
    };
    const now = tick([place('a', 0, 1)], { a: flat(100) });
    compositor.compose({ ...now, overlays: [overlay(1)] });
    const copies = pictures.copies;
    const second = [overlay(2)];
    expect(luma(compositor.compose({ ...now, overlays: second }), 5, 5)).toBe(2);
    expect(pictures.copies - copies).toBe(1);
    expect(compositor.changed).toEqual([{ x: 4, y: 4, width: 4, height: 4 }]);
    compositor.compose({ ...now, overlays: second });
    expect(compositor.changed).toEqual([]);
  });

  it('frees everything on close', () => {
    const { compositor, pictures, flat } = setUp();
    const a = flat(1);
    compositor.compose(tick([place('a', 0, 1)], { a }));
    compositor.close();
    compositor.close();
    a.free();
    expect(pictures.live).toBe(0);
  });

  it('shows what drawing everything anew would show, whatever changed and whoever holds canvases, and says where', () => {
    const spot = fc.record({
      x: fc.integer({ min: 0, max: 10 }),
      width: fc.integer({ min: 1, max: 16 }),
      y: fc.integer({ min: 0, max: 6 }),
      height: fc.integer({ min: 1, max: 8 }),
      alpha: fc.constantFrom(1, 1, 0.5, 0),
      render: fc.constantFrom('crop' as const, 'fit' as const),
    });
    const step = fc.record({
      relayout: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
      spots: fc.array(spot, { maxLength: 4 }),
      fresh: fc.array(fc.option(fc.integer({ min: 1, max: 255 }), { nil: undefined }), { minLength: 4, maxLength: 4 }),
      backdrop: fc.boolean(),
      hold: fc.boolean(),
      over: fc.array(fc.record({ spot, z: fc.constantFrom(0.5, 1.5, 9), of: fc.integer({ min: 0, max: 3 }) }), {
        maxLength: 3,
      }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const { compositor, pictures, flat } = setUp();
        let placements: Placement[] = [];
        const current = new Map<string, Picture | undefined>();
        let held: Picture | undefined;
        let before: Buffer[] | undefined;
        const image = pictures.allocate(WIDTH, HEIGHT);
        for (const plane of image.planes) for (let i = 0; i < plane.length; i++) plane[i] = i % 251;
        const plates = [100, 200].map((value) => {
          const plate = pictures.allocate(8, 6);
          plate.planes[0].fill(value);
          return plate;
        });
        const drawn: Overlay['drawn'][] = [
          ...plates.map((picture) => ({ kind: 'picture' as const, picture })),
          ...[0, 255].map((value) => ({ kind: 'layer' as const, layer: half(6, 10, value) })),
        ];
        for (const [n, { relayout, spots, fresh, backdrop, hold, over }] of steps.entries()) {
          if (relayout || n === 0)
            placements = spots.map((s, z) => ({
              ...s,
              uid: `${z}`,
              x: s.x / 16,
              y: s.y / 8,
              width: Math.min(s.width, 16 - s.x) / 16,
              height: Math.min(s.height, 8 - s.y) / 8,
              z,
            }));
          fresh.forEach((value, i) => {
            if (value !== undefined) current.set(`${i}`, flat(value));
          });
          const overlays = over.map(({ spot: { x, y }, z, of }) => ({ x: 2 * x, y, z, drawn: drawn[of]! }));
          for (const each of overlays) each.y -= each.y % 2;
          const now: Tick = { placements, pictures: current, background: '#123456', overlays };
          if (backdrop) now.backdrop = image;
          const canvas = compositor.compose(now);
          const anew = new PictureCompositor({
            width: WIDTH,
            height: HEIGHT,
            pictures,
            scaler: new FlatScaler(pictures),
            blender: new HalfBlender(),
          });
          expect(canvas.planes.every((plane, i) => plane.equals(anew.compose(now).planes[i]!))).toBe(true);
          anew.close();
          if (before && compositor.changed) expect(differsWithin(before, canvas, compositor.changed)).toBe(true);
          else expect(compositor.changed).toBeUndefined();
          before = canvas.planes.map((plane) => Buffer.from(plane));
          held?.free();
          held = hold ? pictures.share(canvas) : undefined;
        }
      }),
      { numRuns: 200 },
    );
  });
});
