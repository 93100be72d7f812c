/**
 * The bad network judged: each part does what it says, and the same seed does it again.
 */
import { describe, expect, test } from 'vitest';
import { ImpairedWay, type Impairment } from './impairment.ts';

/** Fates of `count` datagrams of 1000 bytes, one every millisecond from 0. */
function fates(impairment: Impairment, count = 20_000, seed = 7): number[][] {
  const way = new ImpairedWay(impairment, seed);
  return Array.from({ length: count }, (_, ms) => way.pass(ms, 1000, 0));
}
const lostOf = (all: number[][]) => all.flatMap((due, i) => (due.length === 0 ? [i] : []));
/** How many arrive before one that was sent earlier. */
function overtakers(all: number[][]): number {
  let latest = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const [due] of all) {
    if (due === undefined) continue;
    if (due < latest) count++;
    latest = Math.max(latest, due);
  }
  return count;
}

describe('an impaired way', () => {
  test('without impairment passes everything at once', () => {
    expect(fates({}, 5)).toEqual([[0], [1], [2], [3], [4]]);
  });

  test('is the same again with the same seed, and another with another', () => {
    const impairment: Impairment = { loss: 0.1, jitterMs: 20, duplicate: 0.1, bursts: { begin: 0.01, end: 0.2 } };
    expect(fates(impairment, 500)).toEqual(fates(impairment, 500));
    expect(fates(impairment, 500, 8)).not.toEqual(fates(impairment, 500));
  });

  test('loses its share, each datagram for itself', () => {
    const lost = lostOf(fates({ loss: 0.05 }));
    expect(lost.length / 20_000).toBeCloseTo(0.05, 2);
    // Two in a row are lost by chance alone: 0.25 % of all pairs.
    const pairs = lost.filter((n, i) => lost[i + 1] === n + 1).length / 20_000;
    expect(pairs).toBeGreaterThan(0.0015);
    expect(pairs).toBeLessThan(0.0035);
  });

  test('loses the same datagrams when something else is added', () => {
    expect(lostOf(fates({ loss: 0.05, jitterMs: 10, duplicate: 0.5 }))).toEqual(lostOf(fates({ loss: 0.05 })));
  });

  test('loses in bursts of the length that their end makes likely', () => {
    const lost = lostOf(fates({ bursts: { begin: 0.01, end: 0.25 } }));
    const begins = lost.filter((n, i) => lost[i - 1] !== n - 1).length;
    expect(lost.length / begins).toBeGreaterThan(3.5);
    expect(lost.length / begins).toBeLessThan(4.5);
    expect(lost.length / 20_000).toBeGreaterThan(0.03);
    expect(lost.length / 20_000).toBeLessThan(0.05);
  });

  test('delays by what it says, in order', () => {
    expect(fates({ delayMs: 300 }, 3)).toEqual([[300], [301], [302]]);
  });

  test('jitter lies within its bounds and changes the order', () => {
    const all = fates({ delayMs: 10, jitterMs: 50 }, 2000);
    const added = all.map(([due], n) => (due as number) - n);
    expect(Math.min(...added)).toBeGreaterThanOrEqual(10);
    expect(Math.max(...added)).toBeLessThan(60);
    expect(Math.max(...added) - Math.min(...added)).toBeGreaterThan(48);
    expect(overtakers(all)).toBeGreaterThan(1000);
  });

  test('holds its share back so that later ones overtake', () => {
    const all = fates({ reorder: { share: 0.02, byMs: 15 } });
    expect(all.filter(([due], n) => due === n + 15).length / 20_000).toBeCloseTo(0.02, 2);
    expect(overtakers(all)).toBeGreaterThan(1000);
  });

  test('duplicates its share', () => {
    const twice = fates({ duplicate: 0.2 }).filter((due) => due.length === 2);
    expect(twice.length / 20_000).toBeCloseTo(0.2, 2);
    expect(twice.every(([a, b]) => a === b)).toBe(true);
  });

  test('a bottleneck lets its rate through, queues up to its bound and drops the rest', () => {
    // 8224 bits a millisecond want through 4112 kbit/s: half of them.
    const all = fates({ rate: { kbps: 4112, maxQueueMs: 100 } }, 4000);
    const through = all.filter((due) => due.length > 0);
    expect(through.length).toBeGreaterThan(1990);
    expect(through.length).toBeLessThan(2080);
    expect(overtakers(all)).toBe(0);
    const waits = all.flatMap(([due], n) => (due === undefined ? [] : [due - n]));
    expect(waits[0]).toBe(2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(102);
    expect(Math.max(...waits)).toBeGreaterThan(99);
  });

  test('a blackout lets nothing through while it lasts, and is none before its zero is told', () => {
    const impairment = { blackouts: [{ fromS: 1, toS: 1.5 }] };
    expect(lostOf(fates(impairment, 3000))).toEqual(Array.from({ length: 500 }, (_, i) => 1000 + i));
    const way = new ImpairedWay(impairment, 1);
    expect(way.pass(1200, 100)).toEqual([1200]);
    expect(way.counters).toEqual({ taken: 1, lost: 0, duplicated: 0 });
  });

  test.each([
    [{ loss: 1.1 }, /loss is a share from 0 to 1, not 1\.1/],
    [{ bursts: { begin: 0.1, end: -1 } }, /end is a share/],
    [{ delayMs: Number.NaN }, /delayMs is a time/],
    [{ rate: { kbps: 0, maxQueueMs: 1 } }, /kbps is a rate above 0/],
    [{ blackouts: [{ fromS: 2, toS: 1 }] }, /never is/],
  ] as [Impairment, RegExp][])('refuses %o', (impairment, words) => {
    expect(() => new ImpairedWay(impairment, 1)).toThrow(words);
  });
});
