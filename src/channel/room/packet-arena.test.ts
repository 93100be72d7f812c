import { expect, test } from 'vitest';
import { PacketArena, SLAB_BYTES } from './packet-arena.ts';

const USER = { oldestUs: 0, dropOldest: () => {} };

test('the memory of a second is used again in the next one, however much comes in', () => {
  const arena = new PacketArena(1e9);
  const take = (count: number) => Array.from({ length: count }, () => arena.take(USER, SLAB_BYTES));
  // Three seconds of what comes in are kept; each second what is oldest is freed, and a second's packets come.
  const kept = take(3000);
  const former = new Set(kept.splice(0, 1000));
  for (const slab of former) arena.give(slab);
  expect(take(1000).every((slab) => former.has(slab))).toBe(true);
  expect(arena.bytes).toBe(3000 * SLAB_BYTES);
});

test('what was in use lately is used again, also when all of it was given back at once', () => {
  const arena = new PacketArena(1e9);
  const take = () => Array.from({ length: 3000 }, () => arena.take(USER, SLAB_BYTES));
  const used = new Set(take());
  for (const slab of used) arena.give(slab);
  expect(take().every((slab) => used.has(slab))).toBe(true);
});

test('of what is free most is given back once less comes in, and at once when nobody keeps anything', () => {
  const few = 500;
  const arena = new PacketArena(1e9);
  const take = (count: number) => Array.from({ length: count }, () => arena.take(USER, SLAB_BYTES));
  const giveAll = (slabs: Iterable<Buffer>) => {
    for (const slab of slabs) arena.give(slab);
  };
  const before = new Set(take(3000));
  giveAll(before);
  // Five gigabytes, a little at a time.
  for (let n = 0; n < 600; n++) giveAll(take(few));
  expect(take(3000).filter((slab) => before.has(slab))).toHaveLength(few);
  const used = new Set(take(3000));
  giveAll(used);
  arena.leave(USER);
  expect(take(3000).filter((slab) => used.has(slab))).toHaveLength(256);
});
