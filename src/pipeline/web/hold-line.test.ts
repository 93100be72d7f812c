import { expect, test } from 'vitest';
import { HoldLine } from './hold-line.ts';

const holding = () => {
  const line = new HoldLine(false);
  line.change(9.5, true);
  line.change(20, false);
  line.change(30.1, true);
  line.change(33, false);
  return line;
};

test('holds begin and end between blocks', () => {
  const line = holding();
  const held = [9, 9.9, 10, 19.9, 20, 30.5, 31, 32, 33].map((at) => line.isHeld(at));
  expect(held).toEqual([false, false, true, true, false, false, true, true, false]);
});

test('what comes after a hold follows what was before it', () => {
  const line = holding();
  const inFile = [0, 10, 15, 20, 25, 31, 32, 33, 40].map((at) => at - line.heldBefore(at));
  expect(inFile).toEqual([0, 10, 10, 10, 15, 21, 21, 21, 28]);
});

test('forgetting changes nothing of what comes later', () => {
  const [line, other] = [holding(), holding()];
  for (const at of [5, 12, 21, 31.5]) {
    line.forget(at);
    for (const later of [at, at + 3, 40]) {
      expect(line.heldBefore(later)).toBe(other.heldBefore(later));
      expect(line.isHeld(later)).toBe(other.isHeld(later));
    }
  }
});

test('a change for a moment before the one before it holds from there on', () => {
  const line = new HoldLine(false);
  line.change(10, true);
  line.change(5, false);
  expect([9, 10, 11].map((at) => line.isHeld(at))).toEqual([false, false, false]);
});
