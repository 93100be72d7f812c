import { expect, test } from 'vitest';
import { Announced } from './announced.ts';

test('a saying holds from its picture on until the next', () => {
  const said = new Announced<string>();
  expect(said.at(0)).toBeUndefined();
  said.note(100, 'a');
  said.note(300, 'b');
  expect([99, 100, 299, 300, 1000].map((t) => said.at(t))).toEqual([undefined, 'a', 'a', 'b', 'b']);
});

test('packets out of order, and a value said again and again, change nothing', () => {
  const said = new Announced<string>();
  for (const [time, value] of [
    [500, 'b'],
    [100, 'a'],
    [400, 'a'],
    [200, 'b'],
    [300, 'a'],
    [500, 'b'],
  ] as const)
    said.note(time, value);
  expect([100, 200, 300, 450, 500].map((t) => said.at(t))).toEqual(['a', 'b', 'a', 'a', 'b']);
});

test('the last word on one picture counts', () => {
  const said = new Announced<string>();
  said.note(100, 'a');
  said.note(100, 'b');
  expect(said.at(100)).toBe('b');
});

test('what is never asked for is bounded, and the newest is kept', () => {
  const said = new Announced<number>();
  for (let n = 0; n < 5000; n++) said.note(n, n);
  expect(said.at(100)).toBeUndefined();
  expect(said.at(4999)).toBe(4999);
});
