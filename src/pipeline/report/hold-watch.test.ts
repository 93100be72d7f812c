import { expect, test } from 'vitest';
import { goOnFrom } from './earlier-report.ts';
import { HoldWatch } from './hold-watch.ts';
import { QualityCollector } from './quality-collector.ts';

const S = 1_000_000;

test('holds are told with what they take of a span, told twice they are one', () => {
  const watch = new HoldWatch();
  for (const [atS, onhold] of [
    [2, true],
    [3, true],
    [5, false],
    [6, false],
    [8, true],
  ] as const)
    watch.onHold(atS * S, onhold);
  expect(watch.heldIn(1 * S, 4 * S)).toBe(2 * S);
  expect(watch.heldIn(4 * S, 10 * S)).toBe(3 * S);
  expect(watch.report(10 * S)).toEqual({
    holds: [
      { fromMs: 2000, durationMs: 3000 },
      { fromMs: 8000, durationMs: null },
    ],
    moreHolds: 0,
    heldMs: 5000,
  });
});

test('of very many the first are listed, and all are counted', () => {
  const watch = new HoldWatch();
  for (let n = 0; n < 1000; n++) {
    watch.onHold(n * S, true);
    watch.onHold((n + 0.25) * S, false);
  }
  const { holds, moreHolds, heldMs } = watch.report(1000 * S);
  expect([holds?.length, moreHolds, heldMs]).toEqual([100, 900, 250_000]);
  expect(watch.heldIn(998 * S, 999 * S)).toBe(S / 4);
});

test('a hold over the loss of a run is one, whatever the next run was told of it', () => {
  const of = (holds: [number | undefined, boolean][], startedUs: number, atUs: number) => {
    const collector = new QualityCollector({ sid: 's', mode: 'mix', zeroUtcMs: 0, run: { generation: 1, startedUs } });
    for (const [atS, onhold] of holds) collector.onHold(atS === undefined ? undefined : atS * S, onhold);
    return collector.report({ atUs, lagUs: 0, machine: undefined });
  };
  const first = of(
    [
      [1, true],
      [2, false],
      [4, true],
    ],
    0,
    6 * S,
  );
  const again = of(
    [
      [1, true],
      [2, false],
      [4, true],
      [9, false],
    ],
    7 * S,
    12 * S,
  );
  const folded = of(
    [
      [undefined, true],
      [9, false],
    ],
    7 * S,
    12 * S,
  );
  for (const next of [again, folded])
    expect(goOnFrom(first, next)).toMatchObject({
      holds: [
        { fromMs: 1000, durationMs: 1000 },
        { fromMs: 4000, durationMs: 5000 },
      ],
      heldMs: 6000,
    });
});
