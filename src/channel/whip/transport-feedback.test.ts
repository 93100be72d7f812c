/**
 * Feedback tells of every packet that came, once and in order, whatever the way did to them, and keeps little.
 */
import { describe, expect, test } from 'vitest';
import { parseCompound, type RtcpPacket } from '../../stages/rtp/rtcp.ts';
import { TransportFeedbackCollector } from './transport-feedback.ts';

type Told = Extract<RtcpPacket, { type: 'transportFeedback' }>;

function number(sequence: number): Buffer {
  const out = Buffer.alloc(2);
  out.writeUInt16BE(sequence & 0xffff);
  return out;
}

function setUp() {
  const collector = new TransportFeedbackCollector(1);
  const told: Told[] = [];
  const datagrams: Buffer[] = [];
  const due = (nowUs: number) => {
    for (const datagram of collector.due(nowUs, 9)) {
      datagrams.push(datagram);
      told.push(...(parseCompound(datagram) as Told[]));
    }
  };
  /** One packet a millisecond, and a look at what is due every 20 ms. */
  const feed = (sequences: readonly (number | undefined)[], fromMs = 1000) => {
    sequences.forEach((sequence, n) => {
      const nowUs = (fromMs + n) * 1000;
      if (sequence !== undefined) collector.onPacket(number(sequence), nowUs);
      if (n % 20 === 19) due(nowUs);
    });
    due((fromMs + sequences.length + 100) * 1000);
  };
  const numbers = () => told.flatMap((t) => t.arrivals.map((a) => a.sequence));
  return { collector, told, datagrams, due, feed, numbers };
}
const run = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);

test('feedback goes out about every 60 ms, counted, each beginning where the last ended', () => {
  const { told, feed, numbers } = setUp();
  feed(run(65_400, 600));
  expect(numbers()).toEqual(run(65_400, 600).map((n) => n & 0xffff));
  // 20 ms at the first look, then every third one; 50 ms have not passed at the second.
  expect(told.length).toBeGreaterThanOrEqual(10);
  expect(told.length).toBeLessThanOrEqual(12);
  told.forEach((t, n) => {
    expect(t).toMatchObject({ senderSsrc: 1, mediaSsrc: 9, feedbackCount: n });
    const former = told[n - 1];
    if (former) expect(t.baseSequence).toBe((former.baseSequence + former.statusCount) & 0xffff);
    for (const { sequence, arrivalUs } of t.arrivals)
      expect(arrivalUs).toBe((1000 + ((sequence - 65_400) & 0xffff)) * 1000);
  });
});

test('many packets are not kept waiting, and share feedback packets that fit a datagram', () => {
  const { collector, datagrams, due, numbers } = setUp();
  collector.onPacket(number(0), 0);
  due(0);
  // Each lies alone between lost ones, which takes the most room.
  const spread = run(1, 1000).map((n) => n * 20);
  for (const sequence of spread) collector.onPacket(number(sequence), 1000);
  due(1000);
  expect(numbers()).toEqual([0, ...spread]);
  expect(datagrams.length).toBeGreaterThan(5);
  for (const datagram of datagrams) expect(datagram.length).toBeLessThan(1200);
});

test('lost packets are told of by their place, in the feedback that spans them', () => {
  const { told, feed, numbers } = setUp();
  feed(run(0, 100).map((n) => (n % 10 === 3 ? undefined : n)));
  expect(numbers()).toEqual(run(0, 100).filter((n) => n % 10 !== 3));
  expect(told.reduce((sum, t) => sum + t.statusCount, 0)).toBe(100);
});

describe('a packet that comes late', () => {
  test('within the same feedback stands in its place', () => {
    const { feed, numbers } = setUp();
    feed([1, 2, 4, 5, 3, 6]);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('after it was told lost is told of again, with those since and their first times', () => {
    const { collector, told, due } = setUp();
    for (const sequence of [10, 11, 13]) collector.onPacket(number(sequence), 1_000_000);
    due(1_000_000);
    collector.onPacket(number(12), 1_050_000);
    collector.onPacket(number(14), 1_051_000);
    due(1_060_000);
    expect(told[1]).toMatchObject({
      baseSequence: 12,
      statusCount: 3,
      arrivals: [
        { sequence: 12, arrivalUs: 1_050_000 },
        { sequence: 13, arrivalUs: 1_000_000 },
        { sequence: 14, arrivalUs: 1_051_000 },
      ],
    });
    // And what follows goes on from there.
    collector.onPacket(number(15), 1_100_000);
    due(1_150_000);
    expect(told[2]).toMatchObject({ baseSequence: 15, statusCount: 1 });
  });

  test('by more than half a second is of no use and passed over', () => {
    const { collector, feed, due, told } = setUp();
    feed(run(0, 1000).map((n) => (n === 5 ? undefined : n)));
    const before = told.length;
    collector.onPacket(number(5), 2_200_000);
    due(2_300_000);
    expect(told).toHaveLength(before);
  });
});

test('a duplicate changes nothing', () => {
  const { collector, told, due } = setUp();
  collector.onPacket(number(1), 1_000_000);
  collector.onPacket(number(1), 1_010_000);
  due(1_100_000);
  collector.onPacket(number(1), 1_110_000);
  due(1_200_000);
  expect(told).toHaveLength(1);
  expect(told[0]!.arrivals).toEqual([{ sequence: 1, arrivalUs: 1_000_000 }]);
});

test('a pause of any length, a counter that begins anew and arrivals seconds apart are all told of', () => {
  const { collector, told, due } = setUp();
  const at = (sequence: number, nowUs: number) => {
    collector.onPacket(number(sequence), nowUs);
    due(nowUs);
  };
  at(100, 1_000_000);
  at(101, 60_000_000);
  at(30_000, 60_100_000);
  at(30_001, 60_200_000);
  expect(told.map((t) => [t.baseSequence, t.statusCount])).toEqual([
    [100, 1],
    [101, 1],
    [30_000, 1],
    [30_001, 1],
  ]);
  // Not asked for ten seconds: one packet cannot hold both.
  collector.onPacket(number(30_002), 61_000_000);
  collector.onPacket(number(30_003), 71_000_000);
  due(71_000_000);
  expect(told.slice(4).map((t) => t.arrivals)).toEqual([
    [{ sequence: 30_002, arrivalUs: 61_000_000 }],
    [{ sequence: 30_003, arrivalUs: 71_000_000 }],
  ]);
});

test('a sender that jumps about without end is held to the last few thousand packets', () => {
  const { collector, datagrams, told, due } = setUp();
  for (let n = 0; n < 50_000; n++) collector.onPacket(number(n * 8000), 1_000_000 + n);
  due(2_000_000);
  expect(told.reduce((sum, t) => sum + t.arrivals.length, 0)).toBeLessThanOrEqual(4096);
  expect(datagrams.every((d) => d.length < 1200)).toBe(true);
});

test('a packet that comes twice is told of once, though thousands came in between', () => {
  const { collector, due, numbers } = setUp();
  const sequences = run(1, 4200);
  for (const sequence of [...sequences, 1]) collector.onPacket(number(sequence), 1_000_000 + sequence);
  due(1_100_000);
  expect(numbers()).toEqual(sequences);
});

test('nothing is sent when nothing came, nor for an extension too short to hold a number', () => {
  const { collector, told, due } = setUp();
  due(1_000_000);
  collector.onPacket(Buffer.alloc(1), 1_000_000);
  due(2_000_000);
  expect(told).toEqual([]);
});
