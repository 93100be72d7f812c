import { expect, test } from 'vitest';
import { parseAudioLevel } from './audio-level.ts';

test.each([
  ['80', 0],
  ['00', 0],
  ['ff', -127],
  ['7f', -127],
  ['9e', -30],
  // Two-byte form, with a byte of padding.
  ['1e00', -30],
])('%s is %d dBov, with voice or without', (hex, level) => {
  expect(parseAudioLevel(Buffer.from(hex, 'hex'))).toBe(level);
});

test('an empty element says nothing', () => {
  expect(parseAudioLevel(Buffer.alloc(0))).toBeUndefined();
});
