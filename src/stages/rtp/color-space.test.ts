import { describe, expect, test } from 'vitest';
import { parseColorSpace } from './color-space.ts';

describe('parseColorSpace', () => {
  test.each([
    ['BT.709 in full range', [1, 13, 1, 0x20], { matrix: 1, fullRange: true }],
    ['BT.601 in limited range, sited', [6, 6, 6, 0x15], { matrix: 6, fullRange: false }],
    ['an RGB matrix is no YUV and taken as unspecified', [1, 13, 0, 0x20], { matrix: 2, fullRange: true }],
    ['with HDR metadata', [9, 16, 9, 0x10, ...new Array(24).fill(0)], { matrix: 9, fullRange: false }],
    ['no range given', [1, 1, 1, 0x00], undefined],
    ['cut off', [1, 1, 1], undefined],
    ['empty', [], undefined],
  ])('%s', (_name, bytes, expected) => {
    expect(parseColorSpace(Buffer.from(bytes))).toEqual(expected);
  });
});
