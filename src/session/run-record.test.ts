import { expect, test } from 'vitest';
import { type FormerRun, stretchesOf } from './run-record.ts';

/** Runs from 1 on, each of this folder (undefined) or another. */
const runsOf = (...folders: (string | undefined)[]) =>
  folders.map((elsewhere, n) => ({ generation: n + 1, ...(elsewhere && { elsewhere }) }) as FormerRun);

test.each([
  ['no run', runsOf(), 1, []],
  ['runs of this folder alone', runsOf(undefined, undefined), 3, []],
  ['runs of another, then this one', runsOf('b', 'b'), 3, ['1 elsewhere', '3 here']],
  ['runs of two others', runsOf('b', 'c'), 3, ['1 elsewhere', '2 elsewhere', '3 here']],
  ['a run of this folder after those of another', runsOf('b', undefined), 3, ['1 elsewhere', '2 here']],
  // Nothing of the first is left here: it was stored, and its folder removed.
  ['runs of this folder before those of another', runsOf(undefined, 'b'), 3, ['1 elsewhere', '2 elsewhere', '3 here']],
])('%s', (_what, runs, next, expected) => {
  const stretches = stretchesOf(runs, next, []);
  expect(stretches.map(({ from, isHere }) => `${from} ${isHere ? 'here' : 'elsewhere'}`)).toEqual(expected);
});

test('what this node recorded first lies here while it is on the spool', () => {
  expect(stretchesOf(runsOf(undefined, 'b'), 3, [1])[0]).toEqual({ from: 1, isHere: true });
});
