/**
 * Transport-wide feedback is read back as it was written, its layout is the draft's, and no bytes crash the reader.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../kernel/fault.ts';
import { encodeTransportWideFeedback, parseCompound } from './rtcp.ts';
import {
  canFollow,
  encodeTransportFeedback,
  parseTransportFeedback,
  REFERENCE_US,
  TICK_US,
  type TransportFeedback,
} from './transport-feedback.ts';

/** Arrival times on the wire come round again after this long: 24 bits of reference time. */
const ARRIVAL_SPAN_US = 2 ** 24 * REFERENCE_US;

function about(baseSequence: number, arrivals: [sequence: number, arrivalUs: number][], count?: number) {
  const last = arrivals.at(-1)![0];
  return {
    baseSequence,
    statusCount: count ?? ((last - baseSequence) & 0xffff) + 1,
    feedbackCount: 7,
    arrivals: arrivals.map(([sequence, arrivalUs]) => ({ sequence, arrivalUs })),
  };
}
/** Packets 1 ms apart from 1.000 s (640 µs into a reference time) with these numbers. */
const every = (ms: number, sequences: number[]): [number, number][] =>
  sequences.map((sequence, n) => [sequence & 0xffff, 1_024_000 + n * ms * 1000]);
const run = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);

describe('the layout (§3.1)', () => {
  test.each<[string, TransportFeedback, string]>([
    // 1_024_000 µs is reference time 16; 1 ms is 4 ticks.
    ['a run of small deltas', about(5, every(1, [5, 6, 7])), '0005 0003 000010 07 2003 00 04 04'],
    ['large deltas after a small one', about(5, every(100, [5, 6, 7])), '0005 0003 000010 07 da00 00 0190 0190'],
    ['lost ones between, as a vector of one bit', about(0, every(1, [0, 2, 3])), '0000 0004 000010 07 ac00 00 04 04'],
    [
      'a vector of two bits where a packet came before the one ahead of it',
      about(65535, [
        [65535, 1_030_000],
        [0, 1_029_000],
        [2, 1_031_000],
      ]),
      'ffff 0004 000010 07 d840 18 fffc 08',
    ],
    [
      'a long loss, as a run',
      about(10, every(1, [10, 1000]), 991),
      // One that came and 13 lost, 976 lost, one that came.
      '000a 03df 000010 07 a000 03d0 2001 00 04',
    ],
    ['the reference time wraps', about(1, [[1, ARRIVAL_SPAN_US + 1_024_000]]), '0001 0001 000010 07 2001 00'],
  ])('%s', (_what, feedback, hex) => {
    expect(encodeTransportFeedback(feedback).toString('hex')).toBe(hex.replaceAll(' ', ''));
  });

  test('a packet is padded to whole words, and says so', () => {
    const packet = encodeTransportWideFeedback(0x01020304, 0x0a0b0c0d, about(5, every(1, [5, 6, 7])));
    expect(packet.toString('hex')).toBe('afcd0006010203040a0b0c0d00050003000010072003000404000003');
    expect(parseCompound(packet)).toEqual([
      { type: 'transportFeedback', senderSsrc: 0x01020304, mediaSsrc: 0x0a0b0c0d, ...about(5, every(1, [5, 6, 7])) },
    ]);
  });
});

test('what was written is read back: each status as it was, each time within 250 µs', () => {
  const step = fc.record({
    // Mostly neighbours, some lost, now and then many.
    gap: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.nat(30), fc.nat(9000)),
    afterUs: fc.oneof(
      { weight: 6, arbitrary: fc.nat(20_000) },
      { weight: 2, arbitrary: fc.integer({ min: -50_000, max: 200_000 }) },
      fc.integer({ min: -8_000_000, max: 8_000_000 }),
    ),
  });
  const scene = fc.record({
    base: fc.nat(0xffff),
    startUs: fc.integer({ min: 0, max: 2 ** 45 }),
    steps: fc.array(step, { minLength: 1, maxLength: 120 }),
    tail: fc.nat(40),
    feedbackCount: fc.nat(255),
  });
  fc.assert(
    fc.property(scene, ({ base, startUs, steps, tail, feedbackCount }) => {
      let place = -1;
      let arrivalUs = startUs;
      const arrivals: { sequence: number; arrivalUs: number }[] = [];
      for (const { gap, afterUs } of steps) {
        if (place + 1 + gap + tail >= 0xffff) break;
        place += 1 + gap;
        if (canFollow(arrivalUs, arrivalUs + afterUs)) arrivalUs += afterUs;
        arrivals.push({ sequence: (base + place) & 0xffff, arrivalUs });
      }
      const statusCount = place + 1 + tail;
      const [read, ...rest] = parseCompound(
        encodeTransportWideFeedback(1, 2, { baseSequence: base, statusCount, feedbackCount, arrivals }),
      );
      expect(rest).toEqual([]);
      expect(read).toMatchObject({ type: 'transportFeedback', baseSequence: base, statusCount, feedbackCount });
      const got = (read as unknown as TransportFeedback).arrivals;
      expect(got.map((a) => a.sequence)).toEqual(arrivals.map((a) => a.sequence));
      const offset = Math.floor(startUs / REFERENCE_US / 2 ** 24) * ARRIVAL_SPAN_US;
      // The first's delta counts from the reference time, so all are shifted alike by whole spans.
      const firstOffset = Math.round((arrivals[0]!.arrivalUs - got[0]!.arrivalUs) / ARRIVAL_SPAN_US) * ARRIVAL_SPAN_US;
      expect(Math.abs(firstOffset - offset)).toBeLessThanOrEqual(ARRIVAL_SPAN_US);
      got.forEach((a, n) => {
        expect(Math.abs(a.arrivalUs + firstOffset - arrivals[n]!.arrivalUs)).toBeLessThan(TICK_US);
      });
    }),
    { numRuns: 500 },
  );
});

test.each<[string, TransportFeedback]>([
  ['no packet that came', { ...about(1, [[1, 0]]), arrivals: [] }],
  ['a packet beyond its count', about(1, [[9, 0]], 4)],
  ['packets out of order', about(1, [[2, 0], [1, 0]], 4)], // biome-ignore format: pairs
  ['neighbours nine seconds apart', about(1, [[1, 0], [2, 9_000_000]])], // biome-ignore format: pairs
  ['a count of none', about(1, [[1, 0]], 0)],
])('%s is refused', (_what, feedback) => {
  expect(() => encodeTransportFeedback(feedback)).toThrow(RangeError);
});

test.each([
  ['cut short in the head', '00050003000010'],
  ['without its statuses', '0005000300001007'],
  ['without its times', '00050003 00001007 2003 00 04'],
  ['with a reserved status', '00050003 00001007 6003 00 04 04'],
  ['with an empty run', '00050003 00001007 2000 2003 00 04 04'],
  ['with a run of packets that have no times', '0005ffff 00001007 3fff 3fff'],
])('a packet %s is malformed', (_what, hex) => {
  expect(() => parseTransportFeedback(Buffer.from(hex.replaceAll(' ', ''), 'hex'))).toThrow(/transport feedback/);
});

test('random and damaged bodies give feedback or a Fault, never another error', () => {
  const written = encodeTransportFeedback(about(3, every(3, [...run(3, 20), ...run(40, 9), 90, 91, 95, 1000])));
  const damaged = fc.tuple(fc.nat(written.length - 1), fc.nat(255), fc.nat(written.length)).map(([at, value, end]) => {
    const out = Buffer.from(written);
    out[at] = value;
    return out.subarray(0, end);
  });
  const random = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(damaged, random), (body) => {
      try {
        const { statusCount, arrivals } = parseTransportFeedback(body);
        expect(arrivals.length).toBeLessThanOrEqual(Math.min(statusCount, body.length));
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
        expect((error as Fault).code).toBe('rtcp-malformed');
      }
    }),
    { numRuns: 2000 },
  );
});
