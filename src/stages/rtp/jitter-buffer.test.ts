/**
 * Packets come out in order and at once where possible; gaps are waited for as long as allowed and no longer.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Packet } from '../../media/packet.ts';
import { JitterBuffer, type Ordered } from './jitter-buffer.ts';

const MAX_DELAY_US = 100_000;
const buffer = (more = {}) => new JitterBuffer({ maxDelayUs: MAX_DELAY_US, clockRate: 48000, ...more });

function packet(sequence: number, arrivalUs = 0, more: Partial<Packet> = {}): Packet {
  const payload = Buffer.alloc(10);
  return {
    payloadType: 96,
    sequence: sequence & 0xffff,
    timestamp: (sequence * 960) >>> 0,
    ssrc: 5,
    marker: false,
    payload,
    arrivalUs,
    ...more,
  };
}

const numbers = (list: Ordered[]) => list.map((o) => o.packet.sequence);
const losses = (list: Ordered[]) => list.map((o) => o.lostBefore);

test('packets in order come out at once, over the wrap too', () => {
  const b = buffer();
  for (const s of [65534, 65535, 65536, 65537]) {
    b.push(packet(s));
    expect(numbers(b.pop(0))).toEqual([s & 0xffff]);
  }
  expect(b.counters).toEqual({
    lost: 0,
    recovered: 0,
    reordered: 0,
    duplicates: 0,
    late: 0,
    overflowed: 0,
    restarts: 0,
  });
});

test('a gap holds back what follows until it is filled', () => {
  const b = buffer();
  for (const s of [1, 3, 4]) b.push(packet(s, 0));
  expect(numbers(b.pop(50_000))).toEqual([1]);
  b.push(packet(2, 60_000));
  const rest = b.pop(60_000);
  expect(numbers(rest)).toEqual([2, 3, 4]);
  expect(losses(rest)).toEqual([0, 0, 0]);
});

test('what comes out of order at the very start is put in order too, as nothing was let go yet', () => {
  const b = buffer();
  for (const s of [65537, 65535, 65536]) b.push(packet(s));
  const all = b.pop(0);
  expect(numbers(all)).toEqual([65535, 0, 1]);
  expect(losses(all)).toEqual([0, 0, 0]);
  expect(b.counters.late).toBe(0);
  b.push(packet(65534));
  expect(b.counters.late).toBe(1);
});

test('a gap is given up when the packet behind it has waited its time, not before', () => {
  const b = buffer();
  b.push(packet(1, 0));
  b.push(packet(4, 10_000));
  expect(numbers(b.pop(109_999))).toEqual([1]);
  const rest = b.pop(110_000);
  expect(numbers(rest)).toEqual([4]);
  expect(losses(rest)).toEqual([2]);
  expect(b.push(packet(2, 111_000))).toBeUndefined();
  expect(b.counters).toMatchObject({ lost: 2, late: 1 });
});

test('a packet that fills a gap in time is recovered, one that few overtook is only out of order', () => {
  const b = buffer();
  b.push(packet(1, 0));
  b.push(packet(3, 1000));
  b.push(packet(4, 1000));
  b.push(packet(2, 1500));
  expect(b.counters).toMatchObject({ recovered: 0, reordered: 1 });
  // Seen to be missing at 2 ms: after 10 ms it is asked for...
  b.push(packet(6, 2000));
  b.push(packet(5, 12_001));
  expect(b.counters).toMatchObject({ recovered: 1, reordered: 1 });
  // ...and at once when three have overtaken it.
  for (const s of [8, 9, 10]) b.push(packet(s, 13_000));
  b.push(packet(7, 13_500));
  b.push(packet(7, 13_600));
  expect(b.counters).toMatchObject({ recovered: 2, reordered: 1, duplicates: 1, lost: 0 });
  // One that is given up and comes after all was not recovered.
  b.pop(13_600);
  b.push(packet(12, 20_000));
  b.pop(20_000 + MAX_DELAY_US);
  b.push(packet(11, 130_000));
  expect(b.counters).toMatchObject({ recovered: 2, reordered: 1, lost: 1, late: 1 });
});

test('a gap filled in part does not make the packets behind it wait longer', () => {
  const b = buffer();
  b.push(packet(1, 0));
  b.push(packet(6, 10_000));
  b.push(packet(3, 90_000));
  const rest = [...b.pop(0), ...b.pop(110_000)];
  expect(numbers(rest)).toEqual([1, 3, 6]);
  expect(losses(rest)).toEqual([0, 1, 2]);
});

test('duplicates are dropped, held ones and those gone', () => {
  const b = buffer();
  for (const s of [1, 3, 3]) b.push(packet(s));
  b.pop(0);
  b.push(packet(1));
  expect(b.counters).toMatchObject({ duplicates: 1, late: 1 });
  expect(b.held).toBe(1);
});

test('a sender that starts over is followed at once, and what was held of before comes first', () => {
  const b = buffer();
  for (const s of [1, 3]) b.push(packet(s));
  for (const s of [40000, 40001, 40002]) b.push(packet(s));
  const all = b.pop(0);
  expect(numbers(all)).toEqual([1, 3, 40000, 40001, 40002]);
  expect(losses(all)).toEqual([0, 1, 1, 0, 0]);
  expect(b.counters.restarts).toBe(1);
});

test('a start over a little behind is noticed after a run of late packets', () => {
  const b = buffer();
  for (let s = 1000; s < 1010; s++) b.push(packet(s));
  b.pop(0);
  for (let s = 10; s < 210; s++) b.push(packet(s));
  expect(numbers(b.pop(0))).toEqual(Array.from({ length: 101 }, (_, n) => 109 + n));
});

test('another SSRC is a start over; its time goes on as it came in, and stragglers of the old one are dropped', () => {
  const b = buffer();
  const first = b.push(packet(500, 0, { timestamp: 4_000_000_000 }));
  const second = b.push(packet(7, 1000, { ssrc: 6, timestamp: 1000 }));
  b.push(packet(501, 2000, { timestamp: 4_000_000_960 }));
  const third = b.push(packet(8, 2000, { ssrc: 6, timestamp: 1960 }));
  expect(second).toBe(first! + 48);
  expect(third! - second!).toBe(960);
  expect(numbers(b.pop(2000))).toEqual([500, 7, 8]);
  expect(b.counters).toMatchObject({ late: 1, restarts: 1 });
  expect(b.rtpTimeOf(2920, 0)).toBe(third! + 960);
});

test('a newer packet with a far older timestamp goes on as it came in', () => {
  const b = buffer();
  const first = b.push(packet(1, 0, { timestamp: 3_000_000_000 }))!;
  const second = b.push(packet(2, 20_000, { timestamp: 2_900_000_000 }))!;
  expect(second).toBe(first + 960);
});

test('a report that comes before the first packet fixes the line for both', () => {
  const b = buffer();
  const report = b.rtpTimeOf(2 ** 32 - 480, 0);
  expect(b.push(packet(1, 0, { timestamp: 480 }))! - report).toBe(960);
});

test('it holds no more than it may: gaps are given up early, then packets are dropped and counted', () => {
  const b = buffer({ maxPackets: 8 });
  for (const s of [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]) b.push(packet(s));
  expect(b.held).toBe(8);
  expect(b.counters.overflowed).toBe(2);
  expect(numbers(b.pop(0))).toEqual([1, 3, 5]);
  const small = buffer({ maxBytes: 30 });
  for (const s of [1, 3, 5, 7]) small.push(packet(s));
  expect(small.counters.overflowed).toBe(1);
});

test('flush lets everything go in order, and the buffer works on', () => {
  const b = buffer();
  for (const s of [1, 5, 3]) b.push(packet(s));
  expect(numbers(b.flush())).toEqual([1, 3, 5]);
  b.push(packet(6));
  expect(numbers(b.pop(0))).toEqual([6]);
});

test('under any loss, reordering and duplication: in order, once, losses add up, nobody waits too long', () => {
  const fate = fc.record({
    lost: fc.integer({ min: 0, max: 9 }),
    lateMs: fc.integer({ min: 0, max: 180 }),
    twice: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.nat(0xffff), fc.array(fate, { minLength: 1, maxLength: 200 }), (start, fates) => {
      const b = buffer();
      const arrivals = fates
        .flatMap((f, n) => {
          const at = n === 0 ? 0 : n * 5000 + f.lateMs * 1000;
          if (n > 0 && f.lost === 0) return [];
          return f.twice
            ? [
                { n, at },
                { n, at: at + 3000 },
              ]
            : [{ n, at }];
        })
        .sort((a, c) => a.at - c.at);
      const out: Ordered[] = [];
      let nowUs = 0;
      const collect = () => {
        for (const ordered of b.pop(nowUs)) {
          expect(nowUs - ordered.packet.arrivalUs).toBeLessThanOrEqual(MAX_DELAY_US + 5000);
          out.push(ordered);
        }
      };
      for (const { n, at } of arrivals) {
        while (nowUs + 5000 < at) {
          nowUs += 5000;
          collect();
        }
        nowUs = at;
        b.push(packet(start + n, at));
        collect();
      }
      out.push(...b.flush());
      let expected = start - 1;
      for (const { packet: p, lostBefore } of out) {
        expected += 1 + lostBefore;
        expect(p.sequence).toBe(expected & 0xffff);
      }
      const { lost, duplicates, late } = b.counters;
      expect(out.length + duplicates + late).toBe(arrivals.length);
      expect(lost).toBe(out.reduce((sum, o) => sum + o.lostBefore, 0));
      expect(b.held).toBe(0);
    }),
  );
});
