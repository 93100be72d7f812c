import { expect, test } from 'vitest';
import { NewestPictures } from './newest-pictures.ts';

test('of a camera and a screen the newer is taken from its first picture on, and the older again when it is gone', () => {
  const pictures = new NewestPictures();
  expect(pictures.takes(2, [2])).toBe(true);
  expect(pictures.takes(2, [2, 5])).toBe(true);
  expect(pictures.takes(5, [2, 5])).toBe(true);
  expect(pictures.takes(2, [2, 5])).toBe(false);
  expect(pictures.takes(5, [2, 5])).toBe(true);
  expect(pictures.takes(2, [2])).toBe(true);
});
