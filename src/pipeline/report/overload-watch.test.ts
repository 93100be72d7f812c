import { expect, test } from 'vitest';
import { joinOverloads, OverloadWatch } from './overload-watch.ts';

const S = 1_000_000;

test('a recording from whose picture nothing was taken says nothing of it', () => {
  const watch = new OverloadWatch();
  watch.onRung(0, 'full', 0);
  expect(watch.report(10 * S)).toBeUndefined();
});

test('each step has its moment and its lag, and the time below the top is added up', () => {
  const watch = new OverloadWatch();
  watch.onRung(3 * S, 'fastCoding', 1.2 * S);
  watch.onRung(5 * S, 'fastestCoding', 2 * S);
  watch.onRung(15 * S, 'fastCoding', 0);
  watch.onRung(25 * S, 'full', 0);
  watch.onRung(40 * S, 'fastCoding', 1.5 * S);
  for (let n = 0; n < 7; n++) watch.onLeftOut();
  expect(watch.report(50 * S)).toEqual({
    rung: 'fastCoding',
    steps: [
      { atMs: 3000, rung: 'fastCoding', lagMs: 1200 },
      { atMs: 5000, rung: 'fastestCoding', lagMs: 2000 },
      { atMs: 15_000, rung: 'fastCoding', lagMs: 0 },
      { atMs: 25_000, rung: 'full', lagMs: 0 },
      { atMs: 40_000, rung: 'fastCoding', lagMs: 1500 },
    ],
    moreSteps: 0,
    degradedMs: 32_000,
    leftOutFrames: 7,
  });
});

test('a frame that was left out and made after all, as nothing came after it, was not left out', () => {
  const watch = new OverloadWatch();
  watch.onRung(3 * S, 'halfRate', 2 * S);
  for (let n = 0; n < 3; n++) watch.onLeftOut();
  watch.onMadeAfterAll();
  expect(watch.report(4 * S)?.leftOutFrames).toBe(2);
});

test('a machine that goes up and down for a day fills no memory', () => {
  const watch = new OverloadWatch();
  for (let n = 0; n < 10_000; n++) watch.onRung(n * S, n % 2 === 0 ? 'fastCoding' : 'full', 0);
  const report = watch.report(10_000 * S);
  expect(report?.steps).toHaveLength(100);
  expect(report?.moreSteps).toBe(9900);
  expect(report?.degradedMs).toBe(5_000_000);
});

test('two runs are one report', () => {
  const [first, second] = [new OverloadWatch(), new OverloadWatch()];
  first.onRung(3 * S, 'halfRate', 2 * S);
  first.onLeftOut();
  second.onRung(12 * S, 'halfRate', 0);
  second.onRung(20 * S, 'fastestCoding', 0);
  second.onLeftOut();
  const joined = joinOverloads(first.report(10 * S), second.report(30 * S));
  expect(joined).toMatchObject({ rung: 'fastestCoding', degradedMs: 7000 + 18_000, leftOutFrames: 2, moreSteps: 0 });
  expect(joined?.steps.map(({ atMs }) => atMs)).toEqual([3000, 12_000, 20_000]);
  expect(joinOverloads(first.report(10 * S), undefined)).toMatchObject({ rung: 'full', degradedMs: 7000 });
  expect(joinOverloads(undefined, undefined)).toBeUndefined();
  expect(joinOverloads(undefined, second.report(30 * S))).toEqual(second.report(30 * S));
});
