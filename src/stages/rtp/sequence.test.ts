/**
 * Wrapping numbers grow on; a sender that starts over is told from late packets.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SequenceTracker, SequenceUnwrapper, TimestampUnwrapper } from './sequence.ts';

test.each([
  ['wraps forwards', [65534, 65535, 0, 1], [65534, 65535, 65536, 65537]],
  ['wraps backwards', [1, 65535, 2], [1, -1, 2]],
  ['tolerates reordering over the wrap', [65535, 1, 0, 65534, 2], [65535, 65537, 65536, 65534, 65538]],
])('a sequence number %s', (_, sent, grown) => {
  const unwrapper = new SequenceUnwrapper();
  expect(sent.map((s) => unwrapper.unwrap(s))).toEqual(grown);
});

test('any walk with steps of less than half the range is followed exactly', () => {
  const step = fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 });
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.array(step, { maxLength: 50 }), (start, steps) => {
      const unwrapper = new TimestampUnwrapper();
      let truth = start;
      expect(unwrapper.unwrap(start)).toBe(start);
      for (const s of steps) {
        truth += s;
        const sent = ((truth % 2 ** 32) + 2 ** 32) % 2 ** 32;
        expect(unwrapper.peek(sent)).toBe(truth);
        expect(unwrapper.unwrap(sent)).toBe(truth);
      }
    }),
  );
});

test('a timestamp of a sender that started over is placed above all before, congruent to what was sent', () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.integer({ min: -(2 ** 40), max: 2 ** 40 }), (sent, floor) => {
      const grown = new TimestampUnwrapper().unwrapAbove(sent, floor);
      expect(grown).toBeGreaterThan(floor);
      expect(grown).toBeLessThanOrEqual(floor + 2 ** 32);
      expect((((grown - sent) % 2 ** 32) + 2 ** 32) % 2 ** 32).toBe(0);
    }),
  );
});

test('two numbers in order far off are a restart, placed above all before; a single one is not (RFC 3550 §A.1)', () => {
  const tracker = new SequenceTracker();
  tracker.place(10);
  expect(tracker.place(40000)).toEqual({ kind: 'stray' });
  expect(tracker.place(11)).toEqual({ kind: 'placed', extended: 11, restarted: false });
  expect(tracker.place(40001)).toEqual({ kind: 'stray' });
  expect(tracker.place(40002)).toEqual({ kind: 'placed', extended: 14, restarted: true });
  expect(tracker.place(40003)).toEqual({ kind: 'placed', extended: 15, restarted: false });
  expect(tracker.place(40000)).toEqual({ kind: 'placed', extended: 12, restarted: false });
});
