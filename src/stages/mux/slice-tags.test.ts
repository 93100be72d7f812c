import { expect, test } from 'vitest';
import { type SliceTags, StreamTags } from './slice-tags.ts';

const UPRIGHT = { width: 640, height: 360, rotate: 0 } as const;
const TURNED = { width: 640, height: 360, rotate: 90 } as const;
const slice = (discontinuity = false): SliceTags => ({ discontinuity, starts: [], rotations: [] });

test('the first slice with a kind says that it begins, and the picture’s shape; later ones say nothing', () => {
  const tags = new StreamTags({ shape: UPRIGHT });
  const [first, second] = [slice(), slice()];
  tags.note(first, 'audio', 1000, false);
  tags.note(first, 'video', 1020, false);
  tags.note(second, 'video', 16_000, false);
  expect(tags.before(first, 1000)).toEqual({
    discontinuity: true,
    starts: [
      { kind: 'audio', startUtcMs: 1000 },
      { kind: 'video', startUtcMs: 1020 },
    ],
    rotations: [{ ...UPRIGHT, utcMs: 1020 }],
  });
  tags.listed();
  expect(tags.before(second, 16_000)).toEqual(slice());
});

test('what slices in no playlist would have said is said before the next, however many are missing', () => {
  const tags = new StreamTags({ shape: UPRIGHT });
  const [first, second, third] = [slice(), slice(), slice()];
  tags.note(first, 'video', 1000, false);
  tags.leaveOut(first, 1000);
  tags.turn(TURNED, second, 17_000);
  tags.leaveOut(second, 16_000);
  expect(tags.before(third, 31_000)).toEqual({
    discontinuity: true,
    starts: [{ kind: 'video', startUtcMs: 31_000 }],
    rotations: [{ ...TURNED, utcMs: 31_000 }],
  });
});
