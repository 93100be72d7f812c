import { expect, test } from 'vitest';
import { RUNG_NAMES } from '../../contract/line/rungs.ts';
import { effortOf, leavesOut } from './ladder.ts';

const GRIDS = [30, 25, 24, 15, 7];
const madeIn = (rung: (typeof RUNG_NAMES)[number], fps: number, seconds: number) =>
  Array.from({ length: fps * seconds }, (_, frame) => frame).filter((frame) => !leavesOut(rung, frame, fps));

test('every frame is made down to the third rung, then one of two, one of three, and one a second', () => {
  expect(RUNG_NAMES.map((rung) => madeIn(rung, 30, 3).length)).toEqual([90, 90, 90, 45, 30, 30, 3]);
  expect(RUNG_NAMES.map((rung) => madeIn(rung, 15, 2).length)).toEqual([30, 30, 30, 16, 10, 10, 2]);
});

test.each(GRIDS)('at %i frames a second no rung leaves out the first frame of a second', (fps) => {
  for (const rung of RUNG_NAMES)
    expect(madeIn(rung, fps, 4)).toEqual(expect.arrayContaining([0, fps, 2 * fps, 3 * fps]));
});

test.each(GRIDS)('at %i frames a second each rung makes no more than the one above it, on its frames', (fps) => {
  for (const [n, rung] of RUNG_NAMES.slice(1).entries())
    expect(madeIn(rung, fps, 4).length).toBeLessThanOrEqual(madeIn(RUNG_NAMES[n]!, fps, 4).length);
});

test('no rung takes less work out of a picture than the one above it', () => {
  const presets = ['veryfast', 'superfast', 'ultrafast'];
  const efforts = RUNG_NAMES.map(effortOf);
  for (const [n, { preset, detail }] of efforts.slice(1).entries()) {
    expect(presets.indexOf(preset)).toBeGreaterThanOrEqual(presets.indexOf(efforts[n]!.preset));
    expect(detail).toBeLessThanOrEqual(efforts[n]!.detail);
  }
});
