import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

/**
 * Frames made of a minute, one step of 40 ms of real time after the other, when the lag is what `lagS` says of each
 * second.
 */
function made(lagS: (atS: number) => number, untilS = 60): number[] {
  const pace = new Pace();
  const perSecond: number[] = Array.from({ length: untilS }, () => 0);
  for (let frame = 0; frame < untilS * 25; frame++) {
    const atS = frame / 25;
    if (!pace.leavesOut(frame, lagS(atS) * 1e6, atS * 1e6)) perSecond[Math.floor(atS)]!++;
  }
  return perSecond;
}

test('a lag that falls costs no frame, however large it is', () => {
  expect(made((atS) => 120 - atS)).toEqual(Array.from({ length: 60 }, () => 25));
});

test('a lag of some seconds costs no frame before it has grown for 15 s', () => {
  const perSecond = made((atS) => 4 + atS * 0.2);
  expect(perSecond.slice(0, 15)).toEqual(Array.from({ length: 15 }, () => 25));
  expect(perSecond[20]).toBeLessThan(14);
});

test('more frames go the longer it grows, and all are made again once it is small', () => {
  const perSecond = made((atS) => (atS < 50 ? 4 + atS : 1));
  expect(perSecond[48]).toBeLessThan(5);
  expect(perSecond[48]).toBeGreaterThan(0);
  expect(perSecond.slice(51)).toEqual(Array.from({ length: 9 }, () => 25));
});
