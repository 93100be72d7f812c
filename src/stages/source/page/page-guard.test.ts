import { expect, test } from 'vitest';
import { isPageError, tellable } from './page-guard.ts';

test.each([
  ['no URL here: a@b', 'no URL here: a@b'],
  ['at http://me:word@a.test/x and https://you@b.test', 'at http://a.test/x and https://b.test'],
  ['at http://a.test/x@y', 'at http://a.test/x@y'],
  [`at http://me:${'w'.repeat(300)}@a.test/`, 'at http://a.test/'],
  ['x'.repeat(300), 'x'.repeat(200)],
])('what a page says is told without passwords, and short: %s', (said, told) => {
  expect(tellable(said)).toBe(told);
});

test.each([
  [true, 'error', 'Uncaught TypeError', 'https://a.test/x.js'],
  [true, 'error', "Not allowed to launch 'tel:+1' because a user gesture is required.", 'https://a.test/'],
  // Of the empty page, whose words may come when the recorded one is there.
  [false, 'error', "Not allowed to launch 'mailto:' because a user gesture is required.", ''],
  [false, 'error', 'Failed to load resource: the server responded with a status of 404', 'https://a.test/favicon.ico'],
  [false, 'warning', 'slow', 'https://a.test/x.js'],
])('what is said on the console is an error of the page: %s, a %s, %s', (isError, type, text, url) => {
  expect(isPageError({ type, text, url })).toBe(isError);
});
