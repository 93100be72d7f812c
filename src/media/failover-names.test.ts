import { expect, test } from 'vitest';
import { failoverBase, withoutFailover } from './failover-names.ts';

const BASE = `${'b'.repeat(32)}_room`;

test('the first run has no prefix, each later one the number of its takeover from 0', () => {
  expect([1, 2, 3, 12].map((generation) => failoverBase(BASE, generation))).toEqual([
    BASE,
    `bak0_${BASE}`,
    `bak1_${BASE}`,
    `bak10_${BASE}`,
  ]);
});

test('a prefix is taken off, and nothing else that looks like one', () => {
  expect(withoutFailover(`bak10_${BASE}.m3u8`)).toBe(`${BASE}.m3u8`);
  for (const name of [`${BASE}.m3u8`, `${BASE}_bak0_x.ts`, `bak_${BASE}.ts`, `ba${'b'.repeat(30)}_r.ts`])
    expect(withoutFailover(name)).toBe(name);
});
