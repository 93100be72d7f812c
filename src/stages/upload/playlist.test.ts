import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Segment } from '../../media/segment.ts';
import { IndexFile, SliceRow } from './playlist.ts';

const T = Date.UTC(2026, 0, 1);

/** A slice of a stretch, in seconds of the recording. */
const slice = (stretch: number, index: number, fromS: number, toS: number): Segment => ({
  ...{ type: 'slice', name: `${'abcdef'[stretch]}${index}`, playlist: 'x.m3u8', index },
  ...{ startUtcMs: T + Math.round(fromS * 1000), durationUs: Math.round((toS - fromS) * 1e6), bytes: 1 },
  ...{ discontinuity: index === 0, starts: [], rotations: [] },
});

/** The slices of a stretch that begins at a second and is cut at these. */
const stretchOf = (stretch: number, [fromS, ...cuts]: readonly number[]): Segment[] =>
  cuts.map((toS, index) => slice(stretch, index, [fromS!, ...cuts][index]!, toS));

/** Every stretch but the last was made on other nodes. */
function rowOf(stretches: readonly (readonly Segment[])[]): SliceRow {
  const row = new SliceRow();
  for (const [n, slices] of stretches.entries())
    for (const each of slices) {
      if (n < stretches.length - 1) row.recall(each, n);
      else {
        row.add(each, n);
        row.store(each, n);
      }
    }
  return row;
}

const namesIn = (slices: readonly Segment[]) => slices.map(({ name }) => name).join(' ');

/** Tenths of a second that a slice has. */
function tenthsOf({ startUtcMs, durationUs }: Segment): number[] {
  const from = Math.round((startUtcMs - T) / 100);
  return Array.from({ length: Math.round(durationUs / 100_000) }, (_, n) => from + n);
}

/** Lengths of slices of a stretch, the first of which begins so long after the former stretch's first, tenths. */
const anyStretches = fc.array(
  fc.record({
    afterTenths: fc.integer({ min: 0, max: 200 }),
    lengths: fc.array(fc.integer({ min: 1, max: 160 }), { minLength: 1, maxLength: 5 }),
  }),
  { minLength: 1, maxLength: 5 },
);

function made(stretches: typeof anyStretches extends fc.Arbitrary<infer S> ? S : never): Segment[][] {
  let from = 0;
  return stretches.map(({ afterTenths, lengths }, n) => {
    from += afterTenths;
    const cuts = lengths.map((_, i) => (from + lengths.slice(0, i + 1).reduce((sum, each) => sum + each, 0)) / 10);
    return stretchOf(n, [from / 10, ...cuts]);
  });
}

describe('a row of several stretches', () => {
  test('names a slice whose beginning two later stretches lack, however long both go on beside it', () => {
    // What each of two others has of it adds up to more than the whole, and neither has its first two seconds.
    const row = rowOf([stretchOf(0, [0, 15, 20]), stretchOf(1, [17, 26]), stretchOf(2, [17.2, 40])]);
    expect(namesIn(row.named)).toBe('a0 a1 b0 c0');
  });

  test('names a slice of which a later stretch lacks the length of a mark', () => {
    const row = rowOf([stretchOf(0, [0, 15, 30.1]), stretchOf(1, [10, 20, 30])]);
    expect(namesIn(row.named)).toBe('a0 b0 a1 b1');
  });

  test('leaves out what later stretches have together, and what differs by less than a packet of sound', () => {
    expect(namesIn(rowOf([stretchOf(0, [0, 15, 30.015]), stretchOf(1, [10, 20, 30])]).named)).toBe('a0 b0 b1');
    const row = rowOf([stretchOf(0, [0, 15, 30]), stretchOf(1, [14, 22]), stretchOf(2, [21, 36])]);
    expect(namesIn(row.named)).toBe('a0 b0 c0');
  });

  test('leaves out what a node went on with that others had already, once the last has ended', () => {
    const row = rowOf([stretchOf(0, [0, 15, 24, 30]), stretchOf(1, [8, 18])]);
    expect(namesIn(row.named)).toBe('a0 b0 a1 a2');
    row.end();
    expect(namesIn(row.named)).toBe('a0 b0');
  });

  test('names what a node had alone, though it went on after the last had ended', () => {
    const row = rowOf([stretchOf(0, [0, 15, 30]), stretchOf(1, [16, 24])]);
    row.end();
    expect(namesIn(row.named)).toBe('a0 a1 b0');
  });

  test('names every slice, or others that have all of its time', () => {
    fc.assert(
      fc.property(anyStretches, (stretches) => {
        const all = made(stretches);
        const named = rowOf(all).named;
        const has = new Set(named.flatMap(tenthsOf));
        for (const each of all.flat()) {
          if (named.some(({ name }) => name === each.name)) continue;
          expect(
            tenthsOf(each).filter((tenth) => !has.has(tenth)),
            each.name,
          ).toEqual([]);
        }
        expect(new Set(named.map(({ name }) => name)).size).toBe(named.length);
        expect(named.map(({ startUtcMs }) => startUtcMs)).toEqual(named.map((s) => s.startUtcMs).sort((a, b) => a - b));
      }),
      { numRuns: 2000 },
    );
  });

  test('leaves out every slice of which one later slice has all', () => {
    fc.assert(
      fc.property(anyStretches, (stretches) => {
        const all = made(stretches);
        const named = rowOf(all).named;
        const isWithin = (inner: Segment, outer: Segment) =>
          inner.startUtcMs >= outer.startUtcMs &&
          inner.startUtcMs + inner.durationUs / 1000 <= outer.startUtcMs + outer.durationUs / 1000;
        for (const [n, slices] of all.entries()) {
          const later = named.filter(({ name }) => all.slice(n + 1).some((each) => each.some((s) => s.name === name)));
          for (const each of slices)
            if (later.some((other) => isWithin(each, other))) expect(namesIn(named)).not.toContain(each.name);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a playlist of several stretches', () => {
  test('has news where a slice takes the place of another', () => {
    const row = rowOf([stretchOf(0, [0, 15, 20]), []]);
    const index = new IndexFile();
    index.list(row);
    expect(namesIn(index.take().flat())).toBe('a0 a1');
    const [own] = stretchOf(1, [14, 29]);
    row.add(own!, 1);
    row.store(own!, 1);
    expect(index.isDue).toBe(true);
    expect(index.hasNews).toBe(true);
    expect(namesIn(index.take().flat())).toBe('a0 b0');
    expect(index.hasNews).toBe(false);
  });

  test('that is stored at every news names in the end what may be named, in whatever order slices come', () => {
    fc.assert(
      fc.property(anyStretches, fc.infiniteStream(fc.nat()), (stretches, random) => {
        const all = made(stretches);
        const here = all.length - 1;
        const waiting = all.flatMap((slices, n) => slices.map((each) => ({ each, n })));
        // What one node has come in its order, nodes among each other in any.
        const queues = all.map((_, n) => waiting.filter((one) => one.n === n));
        const row = new SliceRow();
        const index = new IndexFile();
        index.list(row);
        let stored: Segment[] = [];
        for (let left = waiting.length; left > 0; left--) {
          const open = queues.filter(({ length }) => length > 0);
          const { each, n } = open[random.next().value % open.length]!.shift()!;
          if (n < here) row.recall(each, n);
          else {
            row.add(each, n);
            row.store(each, n);
          }
          if (index.hasNews) stored = index.take().flat();
        }
        expect(namesIn(stored)).toBe(namesIn(row.named));
        expect(stored.map(({ discontinuity }) => discontinuity)).toEqual(row.named.map((s) => s.discontinuity));
      }),
      { numRuns: 1000 },
    );
  });
});
