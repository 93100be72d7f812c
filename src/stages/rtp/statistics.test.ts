/**
 * Report blocks say what RFC 3550 §6.4.1 and its appendix A say they should.
 */

import { expect, test } from 'vitest';
import { encodeSenderReport } from '../../../test/support/rtcp.ts';
import type { Packet } from '../../media/packet.ts';
import { parseCompound, type SenderReport } from './rtcp.ts';
import { ReceptionStatistics } from './statistics.ts';

function packet(sequence: number, timestamp = 0, arrivalUs = 0): Packet {
  return { payloadType: 96, sequence, timestamp, ssrc: 5, marker: false, payload: Buffer.alloc(10), arrivalUs };
}

function feed(sequences: number[]): ReceptionStatistics {
  const statistics = new ReceptionStatistics(5);
  for (const sequence of sequences) statistics.onPacket(packet(sequence & 0xffff), 90000);
  return statistics;
}

const run = (from: number, count: number) => Array.from({ length: count }, (_, n) => from + n);

test.each([
  ['all came', run(10, 100), { fractionLost: 0, cumulativeLost: 0, extendedHighest: 109 }],
  [
    'a quarter lost',
    run(0, 100).filter((n) => n % 4 !== 1),
    { fractionLost: 64, cumulativeLost: 25, extendedHighest: 99 },
  ],
  ['wrapped', run(65500, 100), { fractionLost: 0, cumulativeLost: 0, extendedHighest: 65536 + 63 }],
  ['reordered', [1, 3, 2, 5, 4, 6], { fractionLost: 0, cumulativeLost: 0, extendedHighest: 6 }],
  ['duplicates', [1, 2, 2, 2, 3], { fractionLost: 0, cumulativeLost: -2, extendedHighest: 3 }],
  ['started over', [...run(10, 5), ...run(30000, 4)], { fractionLost: 0, cumulativeLost: 0, extendedHighest: 30003 }],
])('%s', (_, sequences, expected) => {
  expect(feed(sequences).reportBlock(0)).toMatchObject({ ssrc: 5, ...expected });
});

test('the fraction lost is that of the interval since the last report, the count is that of all', () => {
  const statistics = feed(run(0, 50).filter((n) => n !== 7 && n !== 8));
  expect(statistics.reportBlock(0)).toMatchObject({ fractionLost: Math.floor((2 * 256) / 50), cumulativeLost: 2 });
  for (const sequence of run(50, 10)) statistics.onPacket(packet(sequence), 90000);
  expect(statistics.reportBlock(0)).toMatchObject({ fractionLost: 0, cumulativeLost: 2 });
  expect(statistics.lost).toBe(2);
  expect(statistics.packets).toBe(58);
  expect(statistics.bytes).toBe(580);
});

test('what was lost before a restart is not forgotten', () => {
  const statistics = feed([1, 2, 4, 30000, 30001]);
  expect(statistics.lost).toBe(1);
});

test('jitter follows §A.8: steady packets have none, a spread of transit times goes in by a sixteenth', () => {
  const steady = new ReceptionStatistics(5);
  for (const n of run(0, 50)) steady.onPacket(packet(n, n * 960, n * 20_000), 48000);
  expect(steady.jitterMs).toBe(0);
  steady.onPacket(packet(50, 50 * 960, 50 * 20_000 + 16_000), 48000);
  expect(steady.jitterMs).toBeCloseTo(1, 6);
  expect(steady.reportBlock(0)?.jitter).toBe(48);
});

test('alternating transit times settle at their difference; a jump of the timestamps does not count', () => {
  const statistics = new ReceptionStatistics(5);
  for (const n of run(0, 400)) statistics.onPacket(packet(n, n * 960, n * 20_000 + (n % 2) * 8000), 48000);
  expect(statistics.jitterMs).toBeCloseTo(8, 3);
  statistics.onPacket(packet(400, 3_000_000_000, 400 * 20_000), 48000);
  expect(statistics.jitterMs).toBeCloseTo(8, 3);
});

test('LSR and DLSR name the last sender report and the time since (§6.4.1)', () => {
  const statistics = feed([1]);
  expect(statistics.reportBlock(0)).toMatchObject({ lastSr: 0, delaySinceLastSr: 0 });
  const bytes = encodeSenderReport({
    ssrc: 5,
    ntpUs: 0xabcd1234 * 1e6 + 500_000,
    rtpTimestamp: 0,
    packetCount: 1,
    octetCount: 1,
  });
  statistics.onSenderReport(parseCompound(bytes)[0] as SenderReport, 1_000_000);
  expect(statistics.reportBlock(3_500_000)).toMatchObject({ lastSr: 0x12348000, delaySinceLastSr: 2.5 * 65536 });
});

test('there is no block before the first packet', () => {
  expect(new ReceptionStatistics(5).reportBlock(0)).toBeUndefined();
});
