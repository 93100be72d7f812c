/**
 * Why nothing came is told by the first packet that did again.
 */
import { expect, test } from 'vitest';
import type { GapReason } from '../../contract/line/quality-report.ts';
import { GapWatch } from './gap-watch.ts';
import { MOST_SPANS } from './kept.ts';

/**
 * 50 packets a second for 2 s, then a gap of 3 s, then a packet as `next` says; times are of the packet before the gap.
 */
function watch(next: { numbers: number; mediaS: number; ssrc?: number }): GapReason[] {
  const gaps = new GapWatch(48_000);
  const first = 65_500;
  let n = 0;
  for (; n < 100; n++) gaps.onPacket({ ssrc: 1, sequence: (first + n) & 0xffff, rtpTime: n * 960, atUs: n * 20_000 });
  const last = n - 1;
  gaps.onPacket({
    ssrc: next.ssrc ?? 1,
    sequence: (first + last + next.numbers) & 0xffff,
    rtpTime: last * 20_000 * 0.048 + next.mediaS * 48_000,
    atUs: last * 20_000 + 3_000_000,
  });
  const { gaps: found, totalUs } = gaps.until(last * 20_000 + 3_100_000, 'open');
  expect(found).toMatchObject([{ fromUs: 1_980_000, durationUs: 3_000_000 }]);
  expect(totalUs).toBe(3_000_000);
  return found.map(({ why }) => why);
}

test.each<[string, Parameters<typeof watch>[0], GapReason]>([
  ['numbers go on, media time as well', { numbers: 1, mediaS: 3 }, 'notSent'],
  ['a few were lost at its edge', { numbers: 4, mediaS: 3 }, 'notSent'],
  ['as many are missing as would have been sent', { numbers: 151, mediaS: 3 }, 'networkLoss'],
  ['more than the jitter buffer takes for one run', { numbers: 5000, mediaS: 3 }, 'networkLoss'],
  ['it was sent all along and came late', { numbers: 1, mediaS: 0.02 }, 'delayed'],
  ['another source', { numbers: 777, mediaS: 3, ssrc: 2 }, 'restarted'],
  ['numbers far back', { numbers: -9000, mediaS: 3 }, 'restarted'],
])('%s', (_, next, why) => {
  expect(watch(next)).toEqual([why]);
});

test('a late packet ends no gap, and short pauses are none', () => {
  const gaps = new GapWatch(90_000);
  const at = (sequence: number, atUs: number) => gaps.onPacket({ ssrc: 1, sequence, rtpTime: sequence * 3000, atUs });
  at(10, 0);
  at(11, 1_400_000);
  at(9, 3_000_000);
  expect(gaps.until(2_800_000, 'open').gaps).toEqual([]);
  expect(gaps.until(4_000_000, 'left').gaps).toEqual([{ fromUs: 1_400_000, durationUs: 2_600_000, why: 'left' }]);
});

test('only so many are listed; all are counted', () => {
  const gaps = new GapWatch(90_000);
  for (let n = 0; n <= MOST_SPANS + 3; n++)
    gaps.onPacket({ ssrc: 1, sequence: n, rtpTime: n * 180_000, atUs: n * 2_000_000 });
  const { gaps: listed, more, totalUs } = gaps.until((MOST_SPANS + 5) * 2_000_000, 'open');
  expect(listed).toHaveLength(MOST_SPANS);
  expect(more).toBe(4);
  expect(totalUs).toBe((MOST_SPANS + 5) * 2_000_000);
});

test('packets of padding between are no life, and none of them was lost', () => {
  const gaps = new GapWatch(48_000);
  for (let n = 0; n < 100; n++) gaps.onPacket({ ssrc: 1, sequence: n, rtpTime: n * 960, atUs: n * 20_000 });
  for (let n = 0; n < 150; n++) gaps.onEmpty();
  gaps.onPacket({ ssrc: 1, sequence: 250, rtpTime: 250 * 960, atUs: 250 * 20_000 });
  expect(gaps.until(250 * 20_000, 'open').gaps).toEqual([{ fromUs: 1_980_000, durationUs: 3_020_000, why: 'notSent' }]);
});
