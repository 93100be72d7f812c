import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { bestFitRegions } from '../../../../test/support/judge/regions.ts';
import { CORNERS, type Overlays, WATERMARK_PLACES } from '../../../contract/line/overlays.ts';
import { liveFrames } from '../../../stages/codec/native-frames.ts';
import { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { fill } from '../../../stages/compose/color.ts';
import type { ImageSource } from '../backgrounds.ts';
import { OverlayPainter } from './overlay-painter.ts';

afterAll(() => expect(liveFrames()).toBe(0));

const side = fc.oneof(
  fc.integer({ min: 1, max: 16 }).map((n) => 2 * n),
  fc.integer({ min: 1, max: 540 }).map((n) => 2 * n),
);
const corner = fc.constantFrom(...CORNERS);
const overlays: fc.Arbitrary<Overlays> = fc.record({
  nameLabels: fc.record({ names: fc.constant({ 1: 'Ada Lovelace', 2: 'x' }), corner }),
  watermark: fc.record({
    shown: fc.constantFrom(
      { kind: 'image' as const, image: 'https://images.example/a.png' },
      { kind: 'text' as const, text: 'confidential' },
    ),
    place: fc.constantFrom(...WATERMARK_PLACES),
    size: fc.constantFrom(0.02, 0.1, 1),
    opacity: fc.constantFrom(0.05, 1),
  }),
  clock: fc.record({ timeZone: fc.constant('UTC'), format: fc.constantFrom('HH:mm', 'YYYY-MM-DD HH:mm:ss'), corner }),
  speaker: fc.constant({ border: '#FFFF00' }),
});
type Scene = { size: { width: number; height: number }; overlays: Overlays; users: number };
const scene: fc.Arbitrary<Scene> = fc.record({
  size: fc.record({ width: side, height: side }),
  overlays,
  users: fc.integer({ min: 1, max: 17 }),
});

/** A watermark on a square canvas that is hardly larger than its margins. */
function imageOn(size: number): Scene {
  const shown = { kind: 'image' as const, image: 'https://images.example/a.png' };
  const watermark = { shown, place: 'center' as const, size: 1, opacity: 1 };
  return { size: { width: size, height: size }, users: 1, overlays: { watermark } };
}

test('on a canvas of any size nothing stands beyond it, and what has no room is left out', async () => {
  const pool = new PicturePool();
  const picture = pool.allocate(300, 70);
  fill(picture, { x: 0, y: 0, width: 300, height: 70 }, { luma: 80, cb: 90, cr: 200 });
  const images: ImageSource = { want() {}, keep() {}, at: () => ({ is: 'ready', picture }) };
  const told: string[] = [];
  try {
    await fc.assert(
      fc.asyncProperty(scene, async ({ size, overlays: settings, users }) => {
        const onDegraded = (what: string) => told.push(what);
        const painter = new OverlayPainter({ size, images, zeroUtcMs: 0, onDegraded });
        try {
          const placements = bestFitRegions(users).map((rect, n) => ({
            ...{ uid: String(n + 1), ...rect, alpha: 1, render: 'crop' as const, z: n },
          }));
          for (const { x, y, drawn } of await painter.draw(settings, { placements, speaker: '1' }, 0)) {
            const { width, height } = drawn.kind === 'layer' ? drawn.layer : drawn.picture;
            expect([x, y, width, height].map((n) => n % 2)).toEqual([0, 0, 0, 0]);
            expect(Math.min(x, y)).toBeGreaterThanOrEqual(0);
            expect(Math.min(width, height)).toBeGreaterThan(0);
            expect([x + width <= size.width, y + height <= size.height]).toEqual([true, true]);
          }
        } finally {
          painter.close();
        }
      }),
      { numRuns: 30, examples: [2, 4, 6].map((n): [Scene] => [imageOn(n)]) },
    );
    expect(told).toEqual([]);
  } finally {
    picture.free();
    pool.close();
  }
});
