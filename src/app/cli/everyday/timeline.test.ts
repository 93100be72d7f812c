import { expect, test } from 'vitest';
import { type QualityReport, qualityReportSchema } from '../../../contract/line/quality-report.ts';
import { SIGNS, timelineOf, timelineText } from './timeline.ts';

const reception = {
  ...{ packets: 1, lost: 0, recovered: 0, reordered: 0, late: 0, duplicates: 0, overflowed: 0, otherPayloadTypes: 0 },
  ...{ restarts: 0, frames: 1, damaged: 0, withheld: 0 },
};
const clock = { source: 'senderReports', skewPpm: null, observedMs: 0 } as const;
const gap = (fromMs: number, durationMs: number, why: string) => ({ fromMs, durationMs, why });
const track = (kind: string, startedMs: number, endedMs: number | null, more: object) => ({
  ...{ track: 1, kind, codec: kind === 'video' ? 'h264' : 'opus', startedMs, endedMs, endedBy: null, reception, clock },
  ...{ gaps: [], moreGaps: 0, gapMs: 0, ...more },
});
const still = { keyFrameWaits: { count: 1, longestMs: 0, totalMs: 0 }, pictures: [], morePictures: 0, frozenMs: 0 };
/** Ten seconds; one place of a row of ten is one second. */
const REPORT: QualityReport = qualityReportSchema.parse({
  ...{ version: 1, sid: 's', mode: 'mix', state: 'final', zeroUtcMs: 0, filesFromMs: 0, measuredMs: 10_000 },
  ...{ endedMs: 10_000, endReason: 'stopped', heldMs: 1000, holds: [{ fromMs: 8000, durationMs: 1000 }], moreHolds: 0 },
  runs: [
    { generation: 1, startedMs: 0, filesFromMs: 0, lastKnownMs: 4000 },
    { generation: 2, startedMs: 4500, filesFromMs: 4500, lastKnownMs: null },
  ],
  participants: [
    {
      uid: '7',
      presence: [{ joinedMs: 0, joinedUtcMs: 0, leftMs: 9000, leftUtcMs: 9000 }],
      ...{ morePresence: 0, codecs: [], sync: null, moreTracks: 0 },
      tracks: [
        track('video', 0, 9000, {
          gaps: [gap(2000, 2000, 'networkLoss')],
          video: { ...still, frozen: [gap(6000, 300, 'damage')], moreFrozen: 0 },
        }),
        track('audio', 1000, null, { gaps: [gap(3000, 3000, 'notSent')] }),
      ],
    },
  ],
  moreParticipants: 0,
  degraded: [{ atMs: 5000, what: 'a\u001b[2Jb', count: 3 }],
  ...{ moreDegraded: 0, machine: null },
});

test('each place of a row shows what came then, or why it did not', () => {
  const { came, muted, lost, frozen, held, absent } = SIGNS;
  expect(timelineOf(REPORT, 10).rows).toEqual([
    {
      title: '7 video h264',
      places: `${came}${came}${lost}${lost}${came}${came}${frozen}${came}${held}${absent}`,
    },
    { title: '7 audio opus', places: `${absent}${came}${came}${muted}${muted}${muted}${came}${came}${held}${came}` },
  ]);
});

test('what happened is told in order, with its reason, and no control character reaches the terminal', () => {
  expect(timelineOf(REPORT, 10).incidents.map(({ atMs, text }) => `${atMs} ${text}`)).toEqual([
    '0 7 joined',
    '2000 7: video for 2.0 s: it was lost on the network',
    '3000 7: audio for 3.0 s: it sent nothing',
    '4500 another recorder went on, run 2',
    '5000 a·[2Jb, 3 times',
    '6000 7: the picture stood still for 0.3 s: it was damaged',
    '8000 on hold for 1.0 s',
    '9000 7 left',
  ]);
});

test('lines are as wide as the terminal, and a narrow one still has rows', () => {
  for (const columns of [80, 120, 10]) {
    const [scale = '', row = ''] = timelineText(REPORT, columns).split('\n');
    expect(row.length).toBe(Math.max(columns, '7 video h264'.length + 23));
    expect(scale.length).toBe(row.length - 1);
    expect(scale.trimStart()).toMatch(/^00:00:00\.0 .*00:00:10\.0$|^00:00:00\.000:00:10\.0$/);
  }
});
