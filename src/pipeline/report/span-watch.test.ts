import { expect, test } from 'vitest';
import { SpanWatch } from './span-watch.ts';

const S = 1_000_000;

test('stretches of some length are told, and those that go on', () => {
  const watch = new SpanWatch(2 * S);
  const changes = [
    [1, true],
    [2, true],
    [2.5, false],
    [3, true],
    [6, false],
    [7, false],
    [10, true],
  ] as const;
  for (const [s, holds] of changes) watch.note(s * S, holds);
  expect(watch.report(11 * S)).toEqual({ spans: [{ fromMs: 3000, durationMs: 3000 }], more: 0, totalMs: 3000 });
  expect(watch.report(14 * S)).toMatchObject({ spans: [{}, { fromMs: 10_000, durationMs: 4000 }], totalMs: 7000 });
});

test('beyond the first many they are counted', () => {
  const watch = new SpanWatch(S);
  for (let n = 0; n < 60; n++) {
    watch.note(n * 3 * S, true);
    watch.note((n * 3 + 1) * S, false);
  }
  watch.note(200 * S, true);
  const { spans, more, totalMs } = watch.report(202 * S);
  expect([spans.length, more, totalMs]).toEqual([50, 11, 62_000]);
});
