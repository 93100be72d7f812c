import { expect, test } from 'vitest';
import { tellable } from './page-guard.ts';

test.each([
  ['no URL here: a@b', 'no URL here: a@b'],
  ['at http://me:word@a.test/x and https://you@b.test', 'at http://a.test/x and https://b.test'],
  ['at http://a.test/x@y', 'at http://a.test/x@y'],
  [`at http://me:${'w'.repeat(300)}@a.test/`, 'at http://a.test/'],
  ['x'.repeat(300), 'x'.repeat(200)],
])('what a page says is told without passwords, and short: %s', (said, told) => {
  expect(tellable(said)).toBe(told);
});
