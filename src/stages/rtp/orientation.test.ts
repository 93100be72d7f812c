import { describe, expect, test } from 'vitest';
import { parseOrientation } from './orientation.ts';

describe('parseOrientation', () => {
  test.each([
    ['upright', [0x00], { turn: 0, flip: false }],
    ['a quarter clockwise', [0x01], { turn: 90, flip: false }],
    ['upside down', [0x02], { turn: 180, flip: false }],
    ['three quarters clockwise', [0x03], { turn: 270, flip: false }],
    ['mirrored', [0x04], { turn: 0, flip: true }],
    ['the back camera, mirrored, a quarter', [0x0d], { turn: 90, flip: true }],
    ['the camera alone changes nothing', [0x08], { turn: 0, flip: false }],
    ['bits that are not of this extension', [0xf2], { turn: 180, flip: false }],
    ['empty', [], undefined],
    ['too long', [0x01, 0x00], undefined],
  ])('%s', (_name, bytes, expected) => {
    expect(parseOrientation(Buffer.from(bytes))).toEqual(expected);
  });
});
