import { expect, test } from 'vitest';
import { Patience } from './patience.ts';

const S = 1_000_000;
const STEP = 20_000;

/** Steps through `seconds`; the channel is heard up to `awayFromS` and from `awayToS` on. */
function play(seconds: number, awayFromS: number, awayToS: number): { atS: number; limitS: number }[] {
  const patience = new Patience();
  const limits: { atS: number; limitS: number }[] = [];
  for (let us = 0; us < seconds * S; us += STEP) {
    const heardUs = us > awayFromS * S && us < awayToS * S ? awayFromS * S : us;
    limits.push({ atS: us / S, limitS: patience.limit(us - S, us - heardUs, STEP) / S });
  }
  return limits;
}

test('composes up to where the channel was heard while it stands still, and catches up when it goes on', () => {
  const limits = play(60, 10, 22);
  const at = (s: number) => limits.find(({ atS }) => atS >= s)!.limitS;
  expect(at(9)).toBeCloseTo(8, 1);
  expect(at(21.9)).toBeLessThanOrEqual(10.1);
  expect(at(23)).toBeCloseTo(12, 0);
  expect(at(36)).toBeCloseTo(35, 1);
  for (const [n, { limitS }] of limits.entries()) expect(limitS).toBeGreaterThanOrEqual(limits[n - 1]?.limitS ?? -1);
});

test('a channel that stands still for longer than anybody waits is waited for no more', () => {
  const limits = play(140, 10, 130);
  expect(limits.find(({ atS }) => atS >= 100)!.limitS).toBeCloseTo(99, 1);
});

test('one that is a little late holds nothing up', () => {
  for (const { atS, limitS } of play(20, 10, 10.5)) expect(limitS).toBeCloseTo(atS - 1, 5);
});
