import { expect, test } from 'vitest';
import { type Flash, latenessOf } from './picture-lateness.ts';

/** Flashes that were shown so many milliseconds after they were drawn. */
const flashes = (...eachMs: number[]): Flash[] =>
  eachMs.map((ms, n) => ({ drawnUs: n * 100_000, shownUs: n * 100_000 + ms * 1000 }));

test('the middle of all flashes counts, less half the time between two readings', () => {
  expect(latenessOf(flashes(30, 26, 90, 28, 31))).toEqual({ us: 27_500, measured: true });
});

test('a flash that is shown before it was drawn, or far too late, measures nothing', () => {
  expect(() => latenessOf(flashes(-20, -22, -19, -20, -20))).toThrow('-22 ms after they were drawn');
  expect(() => latenessOf(flashes(300, 310, 290, 305, 28))).toThrow('298 ms after they were drawn');
});
