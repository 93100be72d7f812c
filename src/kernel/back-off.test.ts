import { expect, test } from 'vitest';
import { backOffMs } from './back-off.ts';

const RULE = { firstMs: 100, longestMs: 1_000, jitter: 0.5 };

test('each wait is twice as long as the one before, up to the longest', () => {
  expect([1, 2, 3, 4, 5, 50].map((n) => backOffMs(n, RULE, 0.5))).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test('a wait lies as far from the middle as chance says, and no further than the jitter', () => {
  expect([0, 0.25, 0.5, 1].map((random) => backOffMs(1, RULE, random))).toEqual([50, 75, 100, 150]);
});
