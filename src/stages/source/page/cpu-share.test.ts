import { expect, test } from 'vitest';
import { CpuShare } from './cpu-share.ts';

/** The first time at which a page that may take half a core exceeds it, by what it takes in each five seconds. */
function exceededAtS(...takenS: number[]): number | undefined {
  const share = new CpuShare(0.5);
  let cpuUs = 7_000_000;
  share.isExceeded(cpuUs, 0);
  for (const [n, s] of takenS.entries()) {
    cpuUs += s * 1e6;
    if (share.isExceeded(cpuUs, (n + 1) * 5_000_000)) return (n + 1) * 5;
  }
  return undefined;
}

test.each([
  ['too much all the time', [3, 3, 3, 3, 3, 3], 30],
  ['as much as it may', [2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5], undefined],
  ['too much on the whole, with a rest in between', [5, 5, 5, 0, 5, 5, 5, 5, 5], undefined],
  ['too much for long after a rest', [5, 5, 1, 3, 3, 3, 3, 3, 3], 45],
])('a page that takes %s', (_, takenS, atS) => {
  expect(exceededAtS(...takenS)).toBe(atS);
});
