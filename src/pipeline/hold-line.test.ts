import { expect, test } from 'vitest';
import { HoldLine, usOfBlocks } from './hold-line.ts';
import { Timeline } from './timeline.ts';

const holding = () => {
  const line = new HoldLine(0, new Timeline(false));
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

test('each moment of the files is one of the recording that is not held, and the other way round', () => {
  const line = holding();
  for (const block of [0, 3.3, 9.9, 10, 12.5, 20.9, 21, 30]) {
    const at = line.blockAt(line.toRecording(usOfBlocks(block)));
    expect(line.isHeld(at + 0.001)).toBe(false);
    expect(at - line.heldBefore(at)).toBeCloseTo(block, 6);
  }
  line.change(40, true);
  expect(line.toRecording(usOfBlocks(27.9))).toBeLessThan(usOfBlocks(40));
  expect(line.toRecording(usOfBlocks(28))).toBe(Number.POSITIVE_INFINITY);
});

test('forgetting changes nothing of what comes later', () => {
  const [line, other] = [holding(), holding()];
  for (const at of [5, 12, 21, 31.5]) {
    line.forget(at);
    for (const later of [at, at + 3, 40]) {
      expect(line.heldBefore(later)).toBe(other.heldBefore(later));
      expect(line.isHeld(later)).toBe(other.isHeld(later));
    }
    expect(line.toRecording(usOfBlocks(28))).toBe(other.toRecording(usOfBlocks(28)));
  }
});

test('a change for a moment before the one before it holds from there on', () => {
  const line = new HoldLine(0, new Timeline(false));
  line.change(10, true);
  line.change(5, false);
  expect([9, 10, 11].map((at) => line.isHeld(at))).toEqual([false, false, false]);
});

test('told twice, a hold is one', () => {
  const line = new HoldLine(0, new Timeline(false));
  line.change(10, true);
  line.change(14, true);
  line.change(20, false);
  line.change(25, false);
  expect(line.between(0, usOfBlocks(40))).toEqual([{ fromUs: line.timeOf(10), untilUs: line.timeOf(20) }]);
  expect(line.heldBefore(40)).toBe(10);
});

test('what was held before the files begin shortens nothing', () => {
  const holds = new Timeline(true);
  holds.change(usOfBlocks(5), false);
  const line = new HoldLine(usOfBlocks(5), holds);
  expect([line.isHeld(0), line.heldBefore(10)]).toEqual([false, 0]);
});

test('a run that knows the newest holds alone counts on from what an earlier one counted', () => {
  const [whole, later] = [holding(), new HoldLine(0, new Timeline(false))];
  later.change(30.1, true);
  later.change(33, false);
  later.recount(25, whole.heldBefore(25));
  for (const at of [26, 32, 40]) expect(later.heldBefore(at)).toBe(whole.heldBefore(at));
  expect(later.toRecording(usOfBlocks(25))).toBeCloseTo(whole.toRecording(usOfBlocks(25)), 6);
});
