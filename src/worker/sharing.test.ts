import { expect, test } from 'vitest';
import { individualPlanOf, planOf } from '../../test/support/scripted-recording.ts';
import type { IndividualPlan, Plan } from '../contract/line/plan.ts';
import { newSid } from '../kernel/ids.ts';
import { Sharing } from './sharing.ts';

const recording = (maxUsers = 2, more: Partial<IndividualPlan> = {}): Plan =>
  individualPlanOf({ sid: newSid(), maxUsers, ...more });
const processOf = (plans: readonly Plan[], { lagUs = 0, open = true, own = false } = {}) => ({
  runs: plans.map((plan) => ({ start: { plan, shared: own ? undefined : (true as const) }, pong: { lagUs } })),
  takes: () => open,
});
const full = (count: number) => Array.from({ length: count }, () => recording());

test('recordings that only pass on what they receive share, and no others', () => {
  const sharing = new Sharing(8);
  expect(sharing.mayShare(recording())).toBe(true);
  expect(sharing.mayShare(recording(7))).toBe(true);
  expect(sharing.mayShare(recording(12))).toBe(false);
  expect(sharing.mayShare(recording(2, { snapshots: { intervalMs: 5000 } }))).toBe(false);
  expect(sharing.mayShare(planOf())).toBe(false);
  expect(new Sharing(1).mayShare(recording())).toBe(false);
  expect(new Sharing(2).mayShare(recording())).toBe(true);
});

test('a process is filled up to its places, and a recording of more users takes more of them', () => {
  const sharing = new Sharing(8);
  const [seven, eight] = [processOf(full(7)), processOf(full(8))];
  expect(sharing.find(recording(), [eight])).toBeUndefined();
  expect(sharing.find(recording(), [seven, eight])).toBe(seven);
  const four = processOf(full(4));
  expect(sharing.find(recording(7), [four])).toBe(four);
  expect(sharing.find(recording(7), [processOf([recording(7)])])).toBeDefined();
  expect(sharing.find(recording(7), [processOf([recording(7), ...full(2)])])).toBeUndefined();
});

test('the fullest process with room comes first, so that others become empty', () => {
  const [one, six, full8] = [processOf(full(1)), processOf(full(6)), processOf(full(8))];
  expect(new Sharing(8).find(recording(), [one, six, full8])).toBe(six);
});

test('nobody comes into a process that is late, closed, without work or another recording’s own', () => {
  const sharing = new Sharing(8);
  expect(sharing.find(recording(), [processOf(full(1), { lagUs: 3_500_000 })])).toBeUndefined();
  expect(sharing.find(recording(), [processOf(full(1), { open: false })])).toBeUndefined();
  expect(sharing.find(recording(), [processOf(full(1), { own: true })])).toBeUndefined();
  expect(sharing.find(recording(), [processOf([])])).toBeUndefined();
});

test('a recording whose process died goes alone, and the others do not', () => {
  const sharing = new Sharing(8);
  const [poison, other] = [recording(), recording()];
  sharing.suspect([poison.sid]);
  expect(sharing.mayShare(poison)).toBe(false);
  expect(sharing.mayShare(other)).toBe(true);
});
