import { expect, test } from 'vitest';
import { lengthMs, qualityMark } from './quality-mark.ts';
import { type QualityReport, qualityReportSchema } from './quality-report.ts';

type Track = QualityReport['participants'][number]['tracks'][number];
const reception = {
  ...{ packets: 1, lost: 0, recovered: 0, reordered: 0, late: 0, duplicates: 0, overflowed: 0, otherPayloadTypes: 0 },
  ...{ restarts: 0, frames: 1, damaged: 0, withheld: 0 },
};
const trackOf = (changes: Partial<Track> = {}): Track => ({
  ...{ track: 1, kind: 'video', codec: 'h264', startedMs: 0, endedMs: 100_000, endedBy: 'left', reception },
  clock: { source: 'arrival', skewPpm: null, observedMs: 0 },
  ...{ gaps: [], moreGaps: 0, gapMs: 0 },
  ...changes,
});
const frozen = (durationMs: number, why: 'loss' | 'nothingSent'): Partial<Track> => ({
  video: {
    keyFrameWaits: { count: 0, longestMs: 0, totalMs: 0 },
    ...{ frozen: [{ fromMs: 10, durationMs, why }], moreFrozen: 0, frozenMs: durationMs },
    ...{ pictures: [], morePictures: 0 },
  },
});
function reportOf(tracks: Track[], changes: Partial<QualityReport> = {}): QualityReport {
  const participant = { uid: '1', presence: [], morePresence: 0, codecs: [], sync: null, tracks, moreTracks: 0 };
  return qualityReportSchema.parse({
    ...{ version: 1, sid: 's', mode: 'mix', state: 'final', zeroUtcMs: 1, filesFromMs: 0, measuredMs: 100_000 },
    ...{ endedMs: 100_000, endReason: 'stopped', participants: [participant], moreParticipants: 0 },
    ...{ degraded: [], moreDegraded: 0, machine: null },
    ...changes,
  });
}

test('nothing to judge has no mark', () => {
  expect(qualityMark(reportOf([], { filesFromMs: null }))).toBeNull();
});

test.each([
  ['nothing was spoilt', [trackOf()], 'good'],
  ['0.9 % was frozen by loss', [trackOf(frozen(900, 'loss'))], 'good'],
  ['1 % was', [trackOf(frozen(1000, 'loss'))], 'fair'],
  ['5 % was', [trackOf(frozen(5000, 'loss'))], 'poor'],
  ['half of it stood still because nothing was sent', [trackOf(frozen(50_000, 'nothingSent'))], 'good'],
  ['the sender was muted', [trackOf({ gaps: [{ fromMs: 0, durationMs: 50_000, why: 'notSent' }] })], 'good'],
  ['2 % never came', [trackOf({ gaps: [{ fromMs: 0, durationMs: 2000, why: 'networkLoss' }] })], 'fair'],
  [
    '5 % of one of ten was spoilt',
    [trackOf(frozen(5000, 'loss')), ...Array.from({ length: 9 }, () => trackOf())],
    'good',
  ],
] as const)('where %s it is %3$s', (_what, tracks, mark) => {
  expect(qualityMark(reportOf([...tracks]))).toBe(mark);
});

test('a lost recorder, and time without the whole picture, count', () => {
  const runs = [{ generation: 1, startedMs: 0, filesFromMs: 0, lastKnownMs: 4000 }];
  expect(qualityMark(reportOf([trackOf()], { runs }))).toBe('fair');
  expect(qualityMark(reportOf([trackOf()], { state: 'partial' }))).toBe('fair');
  const overload = { rung: 'full' as const, steps: [], moreSteps: 0, degradedMs: 20_000, leftOutFrames: 1 };
  expect(qualityMark(reportOf([trackOf()], { overload }))).toBe('poor');
});

test('the length is that of the files, without holds', () => {
  expect(lengthMs(reportOf([], { filesFromMs: 2000, heldMs: 3000 }))).toBe(95_000);
  expect(lengthMs(reportOf([], { filesFromMs: 2000, endedMs: null, measuredMs: 7000 }))).toBe(5000);
  expect(lengthMs(reportOf([], { filesFromMs: null }))).toBeUndefined();
});
