import { expect, test } from 'vitest';
import { FrameNumbers } from './frame-numbers.ts';

const FRAME_US = 1e6 / 30;

test('pictures that come a little early or late are one frame after the other', () => {
  const numbers = new FrameNumbers(30);
  const jitter = [0, 9_000, -12_000, 20_000, -20_000, 15_000, 0];
  expect(jitter.map((us, n) => numbers.take(n * FRAME_US + us))).toEqual([0, 1, 2, 3, 4, 5, 6]);
});

test('what did not come is left out, and what comes twice too', () => {
  const numbers = new FrameNumbers(30);
  expect([0, 1, 5, 6].map((n) => numbers.take(n * FRAME_US))).toEqual([0, 1, 5, 6]);
  expect(numbers.take(6 * FRAME_US)).toBeUndefined();
  expect(numbers.take(7 * FRAME_US)).toBe(7);
});

test('a screen that is read a little too fast or too slowly keeps to the time over an hour', () => {
  for (const rate of [0.9997, 1, 1.0003]) {
    const numbers = new FrameNumbers(30);
    let frame = 0;
    let left = 0;
    for (let n = 0; n < 108_000; n++) {
      const taken = numbers.take(n * FRAME_US * rate);
      if (taken === undefined) left++;
      frame = taken ?? frame;
    }
    expect(Math.abs(frame - 107_999 * rate)).toBeLessThan(1);
    expect(left).toBeLessThan(40);
  }
});

test('a run that goes on begins with its first frame', () => {
  const numbers = new FrameNumbers(30, 100);
  expect(numbers.take(99 * FRAME_US)).toBeUndefined();
  expect(numbers.take(100.2 * FRAME_US)).toBe(100);
});
