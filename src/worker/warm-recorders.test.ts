import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { RecorderChild } from './recorder-child.ts';
import { type Mode, WarmRecorders } from './warm-recorders.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const NEVER = new Promise<void>(() => {});

type Child = { mode: Mode; isReady: boolean };

function open() {
  const clock = new ManualClock();
  const machine = { isBusy: false };
  const spawned: Child[] = [];
  const warm = new WarmRecorders({
    ...{ clock, log: silent },
    count: () => 1,
    refillMs: () => 1_000,
    isBusy: () => machine.isBusy,
    spawn(mode) {
      const child = { mode, isReady: true, exited: NEVER };
      spawned.push(child);
      return child as unknown as RecorderChild;
    },
  });
  return { clock, machine, spawned, warm };
}

test('a recorder that was taken is replaced only when no other is still starting', () => {
  const { clock, machine, spawned, warm } = open();
  warm.keep('mix');
  clock.advance(0);
  expect(warm.take('mix')).toBe(spawned[0]);
  machine.isBusy = true;
  clock.advance(1_000);
  clock.advance(1_000);
  expect(spawned).toHaveLength(1);
  machine.isBusy = false;
  clock.advance(1_000);
  expect(spawned).toHaveLength(2);
  clock.advance(10_000);
  expect(spawned).toHaveLength(2);
});

test('a recorder of another mode is lent when it is ready, and replaced; those of pages are not', () => {
  const { clock, spawned, warm } = open();
  for (const mode of ['web', 'individual'] as const) warm.keep(mode);
  clock.advance(0);
  const kept = spawned.find(({ mode }) => mode === 'individual') as Child;
  kept.isReady = false;
  expect(warm.lend()).toBeUndefined();
  kept.isReady = true;
  expect(warm.lend()).toBe(kept);
  expect(warm.lend()).toBeUndefined();
  clock.advance(1_000);
  expect(spawned.map(({ mode }) => mode)).toEqual(['web', 'individual', 'individual']);
});
