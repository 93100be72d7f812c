import { expect, test } from 'vitest';
import { retryAfterMs, retryDelayMs } from './retry.ts';

test('retries come back between half of the pause and all of it', () => {
  expect([1, 2, 6, 7, 50].map((attempt) => retryDelayMs(attempt, true, 0))).toEqual([
    1000, 2000, 32_000, 60_000, 60_000,
  ]);
  expect(retryDelayMs(3, true, 0.999_999)).toBe(2000);
  expect(retryDelayMs(1, false, 0.5)).toBe(60_000);
});

test.each([
  ['20', undefined, 20_000],
  ['3600', undefined, 60_000],
  ['Thu, 26 Nov 2026 19:00:30 GMT', Date.UTC(2026, 10, 26, 19), 30_000],
  ['Thu, 26 Nov 2026 18:00:00 GMT', Date.UTC(2026, 10, 26, 19), 0],
  ['Thu, 26 Nov 2026 19:00:30 GMT', undefined, undefined],
  ['soon', 0, undefined],
  [undefined, 0, undefined],
])('Retry-After: %s at %s is a pause of %s ms', (header, nowMs, pauseMs) => {
  expect(retryAfterMs(header, nowMs)).toBe(pauseMs);
});
