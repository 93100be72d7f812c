import { expect, test } from 'vitest';
import { PROBLEMS } from '../contract/problems.ts';
import { waitBefore } from './retry.ts';

const answered = (status: number, code?: number, retryAfter: string | null = null) =>
  ({ kind: 'answered', status, code, retryAfter }) as const;

test('every error of the server that is the caller’s or the store’s is told at once, and its own are asked again', () => {
  for (const [name, problem] of Object.entries(PROBLEMS)) {
    const code = problem.shape === 'api' ? problem.code : undefined;
    const wait = waitBefore(answered(problem.http, code), 1, true);
    const isAskedAgain = problem.blame === 'self' || name === 'rate-limited';
    expect([name, wait]).toEqual([name, isAskedAgain ? 3000 : undefined]);
  }
});

test('it waits 3, 6 and 9 seconds, and no longer than that', () => {
  expect([1, 2, 3, 4, 9].map((tries) => waitBefore({ kind: 'lost' }, tries, true))).toEqual([
    3000, 6000, 9000, 9000, 9000,
  ]);
});

test.each([
  ['1', 1000],
  ['20', 20_000],
  ['100000', 60_000],
  ['Wed, 21 Oct 2026 07:28:00 GMT', 3000],
  ['-1', 3000],
])('Retry-After %j is %j ms', (header, ms) => {
  expect(waitBefore(answered(429, undefined, header), 1, true)).toBe(ms);
});

test('what must not be done twice is made again only when nothing was done of it', () => {
  expect(waitBefore({ kind: 'lost' }, 1, false)).toBeUndefined();
  expect(waitBefore(answered(500, 500), 1, false)).toBeUndefined();
  expect(waitBefore(answered(429), 1, false)).toBe(3000);
});
