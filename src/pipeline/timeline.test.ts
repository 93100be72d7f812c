import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Timeline } from './timeline.ts';

describe('Timeline', () => {
  test('a value holds from its own moment on, and not before', () => {
    const timeline = new Timeline('a');
    timeline.change(100, 'b');
    timeline.change(200, 'c');
    expect([-5, 99, 100, 199, 200, 1e9].map((at) => timeline.at(at))).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
    expect(timeline.newest).toBe('c');
  });

  test('changes count in the order they are told, whatever moments they name', () => {
    const timeline = new Timeline('a');
    expect(timeline.change(200, 'b')).toBe(200);
    expect(timeline.change(100, 'c')).toBe(200);
    expect(timeline.at(150)).toBe('a');
    expect(timeline.at(200)).toBe('c');
  });

  test('tells what holds from a moment on', () => {
    const timeline = new Timeline('a');
    timeline.change(100, 'b');
    timeline.change(200, 'c');
    expect(timeline.since(150)).toEqual([
      { fromUs: 100, value: 'b' },
      { fromUs: 200, value: 'c' },
    ]);
    expect(timeline.since(0).map(({ value }) => value)).toEqual(['a', 'b', 'c']);
  });

  test('forgetting changes nothing from that moment on', () => {
    const changes = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer()), { maxLength: 10 });
    fc.assert(
      fc.property(changes, fc.integer({ min: -5, max: 60 }), (told, beforeUs) => {
        const [whole, short] = [new Timeline(0), new Timeline(0)];
        for (const [at, value] of told) {
          whole.change(at, value);
          short.change(at, value);
        }
        short.forget(beforeUs);
        for (let at = beforeUs; at <= 60; at++) expect(short.at(at)).toBe(whole.at(at));
        expect(short.since(beforeUs)).toEqual(whole.since(beforeUs));
      }),
    );
  });
});
