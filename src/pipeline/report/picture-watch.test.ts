/**
 * Frozen spans begin with the last good picture and end with the next, and have the reason that came first.
 */
import { expect, test } from 'vitest';
import { PictureWatch } from './picture-watch.ts';

const SIZE = { width: 320, height: 180, turn: 0, flip: false } as const;
const show = (watch: PictureWatch, fromMs: number, toMs: number) => {
  for (let ms = fromMs; ms <= toMs; ms += 40) watch.onPicture(ms * 1000, SIZE);
};

test('a picture that goes on is not frozen', () => {
  const watch = new PictureWatch();
  show(watch, 0, 2000);
  expect(watch.until(2_040_000, true)).toMatchObject({ frozen: [], frozenMs: 0, moreFrozen: 0 });
});

test('a loss holds the picture to the next that is good; damage that follows from it changes nothing', () => {
  const watch = new PictureWatch();
  show(watch, 0, 1000);
  watch.onHold('loss');
  watch.onHold('damage');
  show(watch, 1600, 2000);
  watch.onHold('damage');
  show(watch, 2240, 2400);
  expect(watch.until(2_440_000, true)).toMatchObject({
    frozen: [
      { fromMs: 1000, durationMs: 600, why: 'loss' },
      { fromMs: 2000, durationMs: 240, why: 'damage' },
    ],
    frozenMs: 840,
  });
});

test('no picture for a second is a frozen one, less is a slow sender', () => {
  const watch = new PictureWatch();
  show(watch, 0, 1000);
  show(watch, 1960, 2000);
  show(watch, 5000, 5040);
  expect(watch.until(5_080_000, true).frozen).toEqual([{ fromMs: 2000, durationMs: 3000, why: 'nothingSent' }]);
});

test('what is frozen at the end is told; while pictures may still come, only what cannot end any more', () => {
  const watch = new PictureWatch();
  show(watch, 0, 1000);
  watch.onHold('loss');
  expect(watch.until(2_500_000, true).frozen).toEqual([{ fromMs: 1000, durationMs: 1500, why: 'loss' }]);
  expect(watch.until(2_500_000, false).frozen).toEqual([]);
  expect(watch.until(5_000_000, false).frozen).toEqual([{ fromMs: 1000, durationMs: 4000, why: 'loss' }]);
});

test('sizes and orientations are told once, and again when they change', () => {
  const watch = new PictureWatch();
  show(watch, 0, 400);
  watch.onPicture(440_000, { ...SIZE, turn: 90 });
  watch.onPicture(480_000, { ...SIZE, turn: 90 });
  watch.onPicture(520_000, { width: 640, height: 360, turn: 0, flip: false });
  expect(watch.until(560_000, true).pictures).toEqual([
    { atMs: 0, ...SIZE },
    { atMs: 440, ...SIZE, turn: 90 },
    { atMs: 520, width: 640, height: 360, turn: 0, flip: false },
  ]);
});

test('waits for key frames are counted from wish to fulfilment, one under way up to now', () => {
  const watch = new PictureWatch();
  for (let ms = 0; ms < 300; ms += 20) watch.onKeyFrameWanted(true, ms * 1000);
  for (let ms = 300; ms < 1000; ms += 20) watch.onKeyFrameWanted(false, ms * 1000);
  watch.onKeyFrameWanted(true, 1_000_000);
  expect(watch.until(1_700_000, false).keyFrameWaits).toEqual({ count: 2, longestMs: 700, totalMs: 1000 });
  watch.onKeyFrameWanted(false, 1_800_000);
  expect(watch.until(9_000_000, true).keyFrameWaits).toEqual({ count: 2, longestMs: 800, totalMs: 1100 });
});
