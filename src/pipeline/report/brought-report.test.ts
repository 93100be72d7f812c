import { expect, test } from 'vitest';
import { type QualityReport, qualityReportSchema } from '../../contract/line/quality-report.ts';
import type { Track } from '../../media/track.ts';
import { withBrought } from './brought-report.ts';
import { goOnFrom } from './earlier-report.ts';
import { QualityCollector } from './quality-collector.ts';

const S = 1_000_000;
const trackOf = (track: number, uid: string): Track => ({
  ...{ track, uid },
  format: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
});
const collector = (generation: number, startedS: number) =>
  new QualityCollector({
    ...{ sid: 's', mode: 'mix', zeroUtcMs: 0 },
    run: { generation, startedUs: startedS * S },
  });
const told = (from: QualityCollector, atS: number, cpuS: number, ending?: 'stopped') =>
  from.report({ atUs: atS * S, lagUs: 0, machine: { cpuUs: cpuS * S, peakRssBytes: 100 } }, ending);

/** A node offers a recording at 10 s, and records on until 16 s; the other has its first publisher at 15 s. */
function moved(): { left: QualityReport; brought: QualityReport; report: QualityReport } {
  const [first, second] = [collector(1, 0), collector(2, 11)];
  first.onJoined('1', 0);
  first.onJoined('2', 1 * S);
  first.onTrack(trackOf(1, '1'), 0);
  first.onTrack(trackOf(2, '2'), 1 * S);
  first.onFilesBegun(0.5 * S);
  first.overload.onRung(8 * S, 'fastCoding', 2 * S);
  first.onDegraded('a thing', 1, 9 * S);
  const left = told(first, 10, 3);
  first.onTrack(trackOf(3, '1'), 12 * S);
  first.onJoined('3', 12.5 * S);
  first.onLeft('3', 13 * S);
  first.onDegraded('another thing', 2, 13 * S);
  first.overload.onRung(14 * S, 'full', 0);
  first.onLeft('2', 14 * S);
  first.onLeft('1', 16 * S);
  first.onEnd(16 * S);
  const brought = told(first, 16, 5, 'stopped');
  second.onJoined('1', 15 * S);
  second.onJoined('2', 18 * S);
  second.onTrack(trackOf(1, '1'), 15 * S);
  second.onFilesBegun(0.5 * S, 15.1 * S);
  second.onEnd(30 * S);
  return { left, brought, report: goOnFrom(left, told(second, 30, 4, 'stopped')) };
}

const staysIn = ({ participants }: QualityReport) =>
  participants.map(({ uid, presence }) => [uid, ...presence.map(({ joinedMs, leftMs }) => [joinedMs, leftMs])]);

test('what a node noted between the offer and the move is in the report of the whole', () => {
  const { left, brought, report } = moved();
  expect(staysIn(report)[0]).toEqual(['1', [0, 10_000], [15_000, null]]);
  const whole = withBrought(report, brought, left);
  expect(qualityReportSchema.parse(whole)).toEqual(whole);
  expect(staysIn(whole)).toEqual([
    ['1', [0, null]],
    ['2', [1000, 14_000], [18_000, null]],
    ['3', [12_500, 13_000]],
  ]);
  const tracks = whole.participants[0]!.tracks.map(({ track, startedMs }) => [track, startedMs]);
  expect(tracks).toEqual([
    [1, 0],
    [3, 12_000],
    [1, 15_000],
  ]);
  expect(whole.degraded.map(({ atMs, what }) => [atMs, what])).toEqual([
    [9000, 'a thing'],
    [13_000, 'another thing'],
  ]);
  expect(whole.runs).toEqual([
    { generation: 1, startedMs: 0, filesFromMs: 500, lastKnownMs: null },
    { generation: 2, startedMs: 11_000, filesFromMs: 15_100, lastKnownMs: null },
  ]);
  expect(whole.overload).toMatchObject({ rung: 'full', degradedMs: 6000 });
  expect(whole.overload!.steps.map(({ atMs }) => atMs)).toEqual([8000, 14_000]);
  // Three seconds were told of at the offer, and five at the end; the other node took four.
  expect(whole.machine).toMatchObject({ cpuMs: 9000 });
  expect(whole).toMatchObject({ state: 'final', filesFromMs: 500, endedMs: 30_000 });
});

test('it stays as it is when it is joined again, and when the node noted nothing more', () => {
  const { left, brought, report } = moved();
  const whole = withBrought(report, brought, left);
  expect(withBrought(whole, brought, brought)).toEqual(whole);
  expect(withBrought(report, left, left)).toEqual(report);
});

test('of a node whose report was never kept all is taken', () => {
  const { brought } = moved();
  const second = collector(2, 20);
  second.onJoined('4', 20 * S);
  const whole = withBrought(told(second, 30, 4, 'stopped'), brought, undefined);
  expect(qualityReportSchema.parse(whole)).toEqual(whole);
  expect(staysIn(whole).map(([uid]) => uid)).toEqual(['4', '1', '2', '3']);
  expect(whole.machine).toMatchObject({ cpuMs: 9000 });
});

test('a node that was lost knew of who was there until its last report, and of its run as well', () => {
  const { left, report } = moved();
  const first = collector(1, 0);
  first.onJoined('1', 0);
  first.onTrack(trackOf(1, '1'), 0);
  const whole = withBrought(report, told(first, 12, 4), left);
  expect(staysIn(whole)[0]).toEqual(['1', [0, 12_000], [15_000, null]]);
  expect(whole.participants[0]!.tracks[0]).toMatchObject({ track: 1, startedMs: 0, endedMs: 12_000 });
  expect(whole.runs![0]).toMatchObject({ generation: 1, lastKnownMs: 12_000 });
});
