import { expect, test } from 'vitest';
import { afterSlices } from './earlier-runs.ts';

test.each([
  // Files begin at 0.3 s and slices each 15 s: the next begins with frame 225 of 15 a second.
  [{ originUs: 300_000, sliceFrame: 0 }, 15, 4_000_000, 225],
  [{ originUs: 300_000, sliceFrame: 0 }, 15, 15_300_000, 225],
  [{ originUs: 300_000, sliceFrame: 0 }, 15, 15_300_001, 450],
  // A run that went on in between moved them.
  [{ originUs: 0, sliceFrame: 100 }, 10, 4_000_000, 100],
  [{ originUs: 0, sliceFrame: 100 }, 10, 10_500_000, 250],
])('a run that follows %j at %i frames a second from %i us on begins with frame %i', (follows, fps, fromUs, frame) => {
  const { originUs, end, sliceIndex } = afterSlices(follows, fps, fromUs);
  expect({ originUs, frame: end.frame, sliceIndex }).toEqual({ originUs: follows.originUs, frame, sliceIndex: 0 });
  // Sound begins with a whole block, at most one of them before the picture.
  expect(end.sample % 1024).toBe(0);
  const ahead = (end.frame * 48_000) / fps - end.sample;
  expect(ahead).toBeGreaterThanOrEqual(0);
  expect(ahead).toBeLessThan(1024);
});
