/**
 * Lost packets are asked for at once, repeated, and given up; what came is never asked for.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NackGenerator } from './nack.ts';

const ms = (n: number) => n * 1000;

test('a gap is asked for as soon as more packets overtook it than reordering explains', () => {
  const nack = new NackGenerator({ maxAgeMs: 1000, maxTries: 10 });
  nack.onPacket(65534, 0);
  nack.onPacket(0, ms(1));
  nack.onPacket(1, ms(1));
  expect(nack.due(ms(1))).toEqual([]);
  nack.onPacket(2, ms(2));
  expect(nack.due(ms(2))).toEqual([65535]);
  expect(nack.due(ms(2))).toEqual([]);
});

test('at the end of a burst, when nothing overtakes, it is asked for after 10 ms', () => {
  const nack = new NackGenerator({ maxAgeMs: 1000, maxTries: 10 });
  nack.onPacket(1, 0);
  nack.onPacket(3, 0);
  expect(nack.due(ms(9))).toEqual([]);
  expect(nack.due(ms(10))).toEqual([2]);
});

test('repeats begin at the round trip and grow; they end at the tries allowed', () => {
  const nack = new NackGenerator({ maxAgeMs: 10_000, maxTries: 4 });
  // Asked for after 10 ms, and there 40 ms later.
  for (const n of [1, 3]) nack.onPacket(n, ms(-100));
  expect(nack.due(ms(-90))).toEqual([2]);
  nack.onPacket(2, ms(-50));
  nack.onPacket(5, 0);
  const asked: number[] = [];
  for (let t = 0; t < 2000; t++) if (nack.due(ms(t)).length > 0) asked.push(t);
  expect(asked).toEqual([10, 50, 110, 200]);
  expect(nack.missing).toBe(0);
});

test('nothing is asked for after its time', () => {
  const nack = new NackGenerator({ maxAgeMs: 300, maxTries: 100 });
  nack.onPacket(1, 0);
  nack.onPacket(3, 0);
  let last = 0;
  for (let t = 0; t < 1000; t++) if (nack.due(ms(t)).length > 0) last = t;
  expect(last).toBeGreaterThan(100);
  expect(last).toBeLessThanOrEqual(300);
});

test('a jump is not asked for, forwards or to a new run, and what follows works on', () => {
  const nack = new NackGenerator({ maxAgeMs: 1000, maxTries: 10 });
  nack.onPacket(1, 0);
  nack.onPacket(2500, 0);
  nack.onPacket(40000, 0);
  nack.onPacket(40001, 0);
  expect(nack.due(ms(50))).toEqual([]);
  nack.onPacket(40004, ms(60));
  expect(nack.due(ms(80))).toEqual([40002, 40003]);
});

test('over any pattern of loss and order: only missing packets are asked for, each within its tries, and memory is bounded', () => {
  const arrival = fc.record({ drop: fc.integer({ min: 0, max: 3 }), late: fc.integer({ min: 0, max: 6 }) });
  fc.assert(
    fc.property(fc.nat(0xffff), fc.array(arrival, { minLength: 1, maxLength: 300 }), (start, plan) => {
      const nack = new NackGenerator({ maxAgeMs: 500, maxTries: 3 });
      const order = plan
        .map((p, n) => ({ sequence: (start + n) & 0xffff, at: n + p.late, dropped: n > 10 && p.drop === 0 }))
        .filter((p) => !p.dropped)
        .sort((a, b) => a.at - b.at);
      const came = new Set<number>();
      const tries = new Map<number, number>();
      for (const { sequence, at } of order) {
        nack.onPacket(sequence, ms(at * 5));
        came.add(sequence);
        for (const asked of nack.due(ms(at * 5))) {
          expect(came.has(asked)).toBe(false);
          tries.set(asked, (tries.get(asked) ?? 0) + 1);
        }
        expect(nack.missing).toBeLessThanOrEqual(1000);
      }
      for (const count of tries.values()) expect(count).toBeLessThanOrEqual(3);
    }),
  );
});

test('a long way is learned although packets are asked for before they can come, and is forgotten when it is short again', () => {
  const nack = new NackGenerator({ maxAgeMs: 10_000, maxTries: 10 });
  let sequence = 0;
  const ask = (at: number, roundTrip: number) => {
    nack.onPacket(sequence + 1, ms(at));
    sequence += 3;
    nack.onPacket(sequence, ms(at));
    const asked: number[] = [];
    for (let t = at; t < at + 10 + roundTrip; t++) if (nack.due(ms(t)).length > 0) asked.push(t - at);
    nack.onPacket(sequence - 1, ms(at + 10 + roundTrip));
    return asked;
  };
  expect(ask(0, 600)).toEqual([10, 110, 260, 485]);
  expect(ask(1000, 600)).toEqual([10]);
  expect(ask(2000, 50)).toEqual([10]);
  expect(ask(3000, 80)).toEqual([10, 60]);
});

test('what became of missing packets is counted: given up, or asked for and come; mere reordering is neither', () => {
  const tally = { lost: 0, recovered: 0 };
  const nack = new NackGenerator({ maxAgeMs: 300, maxTries: 10, tally });
  nack.onPacket(1, 0);
  // 2 comes late and was never asked for.
  nack.onPacket(3, 0);
  nack.onPacket(2, ms(1));
  expect(tally).toEqual({ lost: 0, recovered: 0 });
  // 4 and 5 are asked for; 5 comes, twice, and 4 does not.
  nack.onPacket(6, ms(10));
  expect(nack.due(ms(30))).toEqual([4, 5]);
  nack.onPacket(5, ms(60));
  nack.onPacket(5, ms(61));
  nack.due(ms(400));
  expect(tally).toEqual({ lost: 1, recovered: 1 });
  // What comes after it was given up does not make the loss undone: a counter never decreases.
  nack.onPacket(4, ms(500));
  expect(tally).toEqual({ lost: 1, recovered: 1 });
});

test('a gap that is too long to ask for is lost at once, and one of a sender that began anew is none', () => {
  const tally = { lost: 0, recovered: 0 };
  const nack = new NackGenerator({ maxAgeMs: 300, maxTries: 10, tally });
  nack.onPacket(1, 0);
  nack.onPacket(2002, ms(1));
  expect(tally.lost).toBe(2000);
  expect(nack.missing).toBe(0);
});
