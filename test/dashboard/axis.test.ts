import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import { Played } from '../../web/dashboard/src/axis.ts';
import { exact, secondsOf } from '../../web/dashboard/src/format.ts';

const reportOf = (...holds: [fromMs: number, durationMs: number | null][]) =>
  ({ holds: holds.map(([fromMs, durationMs]) => ({ fromMs, durationMs })) }) as QualityReport;

test('what was on hold has no seconds of its own', () => {
  const played = new Played(reportOf([3_000, 2_000], [10_000, null]), 1_000, 20_000);
  expect([1_000, 3_000, 4_000, 5_000, 6_000, 10_000, 15_000].map((ms) => played.secondsAt(ms))).toEqual([
    0, 2, 2, 2, 3, 7, 7,
  ]);
  expect(played.lengthS).toBe(7);
  expect([0, 1, 3, 6].map((s) => played.msAt(s))).toEqual([1_000, 2_000, 6_000, 9_000]);
});

test('what was on hold before the files begin takes nothing from them', () => {
  const played = new Played(reportOf([0, 2_000]), 1_000, 9_000);
  expect(played.secondsAt(2_000)).toBe(0);
  expect(played.secondsAt(4_000)).toBe(2);
  expect(played.msAt(2)).toBe(4_000);
});

test('times are read as they are written', () => {
  expect(exact(75.25)).toBe('1:15.25');
  expect(exact(59.999)).toBe('1:00');
  expect([secondsOf('75.5'), secondsOf('1:15'), secondsOf('1:00:01')]).toEqual([75.5, 75, 3601]);
  expect(['', '1:', ':5', '-1', '1:2:3:4', 'soon'].map(secondsOf)).toEqual(Array(6).fill(undefined));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000 }), (hundredths) => {
      expect(secondsOf(exact(hundredths / 100))).toBeCloseTo(hundredths / 100, 5);
    }),
  );
});
