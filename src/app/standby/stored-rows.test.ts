import { expect, test } from 'vitest';
import { storedRows } from './stored-rows.ts';

const BASE = `${'a'.repeat(32)}_room__uid_s_`;
const ZERO = Date.UTC(2026, 0, 2, 3, 4, 0);
/** A slice of 15 s. */
const slice = (row: string, s: number, isStored = true) => {
  const stamp = new Date(ZERO + s * 1000).toISOString().replaceAll(/[-T:.Z]/g, '');
  return { name: `${BASE}${row}_${stamp}.ts`, startUtcMs: ZERO + s * 1000, endUtcMs: ZERO + (s + 15) * 1000, isStored };
};
const [V, A] = ['1__uid_e_video', '1__uid_e_audio'];
const seconds = (ends: Map<string, number>) => [...ends].map(([row, ms]) => [row, (ms - ZERO) / 1000]);

test('tells of each row up to where the store has it without a gap', () => {
  const known = [slice(V, 0), slice(V, 15), slice(V, 30), slice(A, 2), slice(A, 17, false), slice(A, 32)];
  const own = [slice(V, 7), slice(V, 22), slice(A, 8), slice('2__uid_e_video', 9)];
  expect(seconds(storedRows(known, own))).toEqual([
    ['1 video', 45],
    ['1 audio', 17],
  ]);
});

test('what another node left behind before the standby began counts for nothing', () => {
  const known = [slice(V, 0, false), slice(V, 15), slice(V, 30)];
  expect(seconds(storedRows(known, [slice(V, 16)]))).toEqual([['1 video', 45]]);
  expect(seconds(storedRows(known, [slice(V, 60)]))).toEqual([]);
});
