import { expect, test } from 'vitest';
import { type Hold, HoldCutter } from './hold-cutter.ts';

const BLOCK_US = 21_333;
const HOLDS: Hold[] = [
  { fromUs: 100_000, untilUs: 500_000 },
  { fromUs: 700_000, untilUs: 710_000 },
  { fromUs: 1_000_000, untilUs: Number.POSITIVE_INFINITY },
];
/** The time in a file without holds. */
const inFile = (us: number) =>
  HOLDS.reduce((sum, { fromUs, untilUs }) => sum - Math.max(0, Math.min(us, untilUs) - fromUs), us);

test('pictures go to their places without the holds, in order, and none of a hold', () => {
  const cutter = new HoldCutter(HOLDS);
  for (let ptsUs = 0; ptsUs < 1_300_000; ptsUs += 33_333) {
    const placed = cutter.place({ kind: 'video', ptsUs, dtsUs: ptsUs, durationUs: 33_333 });
    const isHeld = HOLDS.some(({ fromUs, untilUs }) => ptsUs >= fromUs && ptsUs < untilUs);
    expect([ptsUs, placed?.ptsUs]).toEqual([ptsUs, isHeld ? undefined : inFile(ptsUs)]);
  }
});

test('a picture decoded ahead of its time is decoded after those before the hold', () => {
  const cutter = new HoldCutter(HOLDS);
  const before = cutter.place({ kind: 'video', ptsUs: 99_950, dtsUs: 99_950, durationUs: 33_333 })!;
  const after = cutter.place({ kind: 'video', ptsUs: 500_000, dtsUs: 499_000, durationUs: 33_333 })!;
  expect(after.dtsUs).toBeGreaterThan(before.dtsUs);
  expect(after.ptsUs).toBeGreaterThanOrEqual(after.dtsUs);
  expect(Math.abs(after.ptsUs - 100_000)).toBeLessThan(200);
});

test('blocks of sound stand in a row, never further from their places than half a block', () => {
  // Many holds, whose edges fall anywhere within blocks.
  const holds = Array.from({ length: 50 }, (_, n) => ({
    fromUs: n * 987_654 + 300_000,
    untilUs: n * 987_654 + 811_111,
  }));
  const cutter = new HoldCutter(holds);
  const place = (us: number) =>
    holds.reduce((sum, { fromUs, untilUs }) => sum - Math.max(0, Math.min(us, untilUs) - fromUs), us);
  let endUs = 0;
  // As blocks are made: from where a hold ends, and as many as reach over the next.
  for (const { fromUs, untilUs } of [{ fromUs: 0, untilUs: 0 }, ...holds])
    for (let ptsUs = untilUs; ptsUs < (holds.find((hold) => hold.fromUs > fromUs)?.fromUs ?? 0); ptsUs += BLOCK_US) {
      const placed = cutter.place({ kind: 'audio', ptsUs, dtsUs: ptsUs, durationUs: BLOCK_US });
      if (!placed) continue;
      expect(placed.ptsUs).toBeGreaterThanOrEqual(endUs);
      expect(placed.ptsUs - endUs).toBeLessThanOrEqual(BLOCK_US / 2 + 1);
      expect(Math.abs(placed.ptsUs - place(ptsUs))).toBeLessThanOrEqual(BLOCK_US / 2 + 1);
      endUs = placed.ptsUs + BLOCK_US;
    }
  expect(endUs).toBeGreaterThan(20_000_000);
});
