import { expect, test } from 'vitest';
import { clockOf, counted, placeOf, shown, sizeOf, tableOf } from './words.ts';

test('lengths and places', () => {
  expect([0, 999, 61_000, 86_400_000 * 5].map(clockOf)).toEqual(['00:00:00', '00:00:00', '00:01:01', '120:00:00']);
  expect([-2_540, 0, 59_960].map(placeOf)).toEqual(['-00:00:02.5', '00:00:00.0', '00:01:00.0']);
});

test('sizes', () => {
  expect([0, 999, 1000, 999_949, 999_951, 2.5e12, 9e15].map(sizeOf)).toEqual([
    ...['0 B', '999 B', '1.0 kB', '999.9 kB', '1.0 MB', '2.5 TB', '9000.0 TB'],
  ]);
});

test('of one there is no plural', () => {
  expect([0, 1, 2].map((n) => counted(n, 'file'))).toEqual(['0 files', '1 file', '2 files']);
});

test('text of others cannot move the cursor, nor fill the screen', () => {
  expect(shown('a\u001b]0;x\u0007\u202eb')).toBe('a·]0;x··b');
  expect(shown('x'.repeat(300))).toHaveLength(200);
});

test('columns are as wide as their widest cell', () => {
  expect(
    tableOf([
      ['a', 'bb'],
      ['ccc', 'd'],
    ]),
  ).toBe('a    bb\nccc  d');
});
