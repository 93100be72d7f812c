/**
 * The rubric judged on figures worked out by hand.
 */
import { describe, expect, test } from 'vitest';
import { type Measured, percentile, RUBRIC, scoreOf } from './score.ts';

const good: Measured = {
  offsetsMs: [-5, 0, 5, 10],
  audioIntervalsMs: [0, 1, 2],
  videoIntervalsMs: [0, 33, 33],
  stableS: 1.2,
};

describe('the score', () => {
  test('is made of 100 points', () => {
    expect(RUBRIC.reduce((sum, { points }) => sum + points, 0)).toBe(100);
    expect(RUBRIC.every(({ good: g, bad }) => g < bad)).toBe(true);
  });

  test('is full within the good bounds and nothing beyond the bad ones', () => {
    expect(scoreOf(good)).toBe(100);
    const bad = [-500, 300, 300, 300, 400];
    expect(scoreOf({ offsetsMs: bad, audioIntervalsMs: [90], videoIntervalsMs: [200], stableS: 9 })).toBe(0);
  });

  test('falls in proportion in between', () => {
    // All marks 70 ms late: half way from 20 to 120 of the median, and 10 of 190 ms of the worst.
    expect(scoreOf({ ...good, offsetsMs: [70, 70, 70] })).toBeCloseTo(100 - 12.5 - (20 * 10) / 190, 6);
    expect(scoreOf({ ...good, stableS: 5 })).toBeCloseTo(92.5, 6);
  });

  test('has nothing for what could not be measured', () => {
    expect(
      scoreOf({ offsetsMs: [], audioIntervalsMs: [], videoIntervalsMs: [], stableS: Number.POSITIVE_INFINITY }),
    ).toBe(0);
  });

  test('percentiles lie between neighbours', () => {
    expect(percentile([4, 1, 2, 3], 0.5)).toBe(2.5);
    expect(percentile([7], 0.95)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });
});
