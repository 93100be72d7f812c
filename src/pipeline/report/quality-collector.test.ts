/**
 * The report has every participant's stays and tracks with times of the recording and of the day, and stays small.
 */
import { expect, test } from 'vitest';
import { qualityReportSchema } from '../../contract/line/quality-report.ts';
import type { Track } from '../../media/track.ts';
import type { ClockReading } from '../../stages/rtp/sender-clock.ts';
import { QualityCollector } from './quality-collector.ts';
import type { TrackSource } from './track-report.ts';

const ZERO = 1_800_000_000_000;
const S = 1_000_000;
const collector = () => new QualityCollector({ sid: 'a'.repeat(32), mode: 'mix', zeroUtcMs: ZERO });
const audio = (uid: string, track = 1): Track => ({
  ...{ track, uid },
  format: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
});
const video = (uid: string, codec: 'h264' | 'vp8', track = 2): Track => ({
  ...{ track, uid },
  format: { kind: 'video', codec, payloadType: 96, clockRate: 90000, fmtp: '' },
});
const at = (s: number) => ({ atUs: s * S, lagUs: 0, machine: undefined });

const COUNTERS = {
  ...{ packets: 100, lost: 3, recovered: 2, reordered: 1, duplicates: 0, late: 0, overflowed: 0, restarts: 1 },
  ...{ otherPayloadTypes: 0, damaged: 0, withheld: 0, samples: 90 },
};
function source(reading: Partial<ClockReading> = {}): TrackSource {
  const none = { hasReports: true, wallOffsetUs: 0, placedOffsetUs: 0, skewPpm: undefined, observedUs: 0 };
  return { counters: () => ({ ...COUNTERS }), clock: () => ({ ...none, ...reading }) };
}

test('tells who came and went, again and again, by both clocks', () => {
  const made = collector();
  made.onJoined('7', -2 * S);
  made.onJoined('8', 1 * S);
  made.onLeft('7', 4 * S);
  made.onJoined('7', 6 * S);
  const report = made.report(at(9));
  expect(report.participants.map(({ uid, presence }) => ({ uid, presence }))).toEqual([
    {
      uid: '7',
      presence: [
        { joinedMs: -2000, joinedUtcMs: ZERO - 2000, leftMs: 4000, leftUtcMs: ZERO + 4000 },
        { joinedMs: 6000, joinedUtcMs: ZERO + 6000, leftMs: null, leftUtcMs: null },
      ],
    },
    { uid: '8', presence: [{ joinedMs: 1000, joinedUtcMs: ZERO + 1000, leftMs: null, leftUtcMs: null }] },
  ]);
  expect(report).toMatchObject({ state: 'recording', endedMs: null, endReason: null, measuredMs: 9000, machine: null });
});

test('reads a track as it is until it is closed, and as it was from then on', () => {
  const made = collector();
  const track = made.onTrack(video('7', 'vp8'), 0);
  const now = { ...COUNTERS };
  track.readFrom({ counters: () => ({ ...now }), clock: source({ skewPpm: 12.345, observedUs: 20 * S }).clock });
  const read = () => made.report(at(1)).participants[0]!.tracks[0]!;
  expect(read().reception).toMatchObject({ packets: 100, frames: 90, lost: 2, restarts: 1, recovered: 2 });
  expect(read().clock).toEqual({ source: 'senderReports', skewPpm: 12.3, observedMs: 20_000 });
  now.packets = 150;
  track.onEnd(1.5 * S, 'left');
  track.close();
  now.packets = 999;
  expect(read()).toMatchObject({ endedMs: 1500, endedBy: 'left', reception: { packets: 150 } });
});

test('tells codecs when they change, also over several tracks', () => {
  const made = collector();
  made.onTrack(audio('7'), 0);
  made.onTrack(video('7', 'vp8'), 0);
  made.onTrack(video('7', 'vp8', 3), 4 * S);
  made.onTrack(video('7', 'h264', 4), 8 * S);
  expect(made.report(at(9)).participants[0]!.codecs).toEqual([
    { atMs: 0, kind: 'audio', codec: 'opus' },
    { atMs: 0, kind: 'video', codec: 'vp8' },
    { atMs: 8000, kind: 'video', codec: 'h264' },
  ]);
});

test('measures how far sound and picture arrive and are placed apart, and keeps the worst', () => {
  const made = collector();
  const placed = { us: 80_000 };
  made.onTrack(audio('7'), 0).readFrom(source({ wallOffsetUs: 20_000, placedOffsetUs: 10_000 }));
  const picture = made.onTrack(video('7', 'vp8'), 0);
  picture.readFrom({
    counters: source().counters,
    clock: () => source({ wallOffsetUs: 150_000, placedOffsetUs: 10_000 + placed.us }).clock(),
  });
  made.measure(at(5));
  placed.us = -3000;
  made.onEnd(10 * S);
  picture.close();
  // A picture that is gone is not compared any more.
  expect(made.report(at(20), 'stopped').participants[0]!.sync).toEqual({
    ...{ measuredMs: 10_000, arrivalOffsetMs: 130, recordedOffsetMs: -3, worstRecordedOffsetMs: 80 },
  });
});

test('is null where no sender report relates sound and picture', () => {
  const made = collector();
  made.onTrack(audio('7'), 0).readFrom(source());
  made.onTrack(video('7', 'vp8'), 0).readFrom(source({ hasReports: false, wallOffsetUs: undefined }));
  const [participant] = made.report(at(5)).participants;
  expect(participant!.sync).toBeNull();
  expect(participant!.tracks.map((track) => track.clock.source)).toEqual(['senderReports', 'arrival']);
});

test('the final one ends where the recording does', () => {
  const made = collector();
  made.onFilesBegun(40_000);
  made.onEnd(8 * S);
  const machine = { cpuUs: 1_234_567, peakRssBytes: 2 ** 27 };
  made.measure({ atUs: 5 * S, lagUs: 700_000 });
  expect(made.report({ atUs: 9 * S, lagUs: 0, machine }, 'stopped')).toMatchObject({
    ...{ state: 'final', filesFromMs: 40, endedMs: 8000, endReason: 'stopped' },
    machine: { cpuMs: 1235, peakRssBytes: 2 ** 27, worstLagMs: 700 },
  });
});

test('is bounded, whatever comes', () => {
  const made = collector();
  for (let n = 0; n < 1000; n++) {
    const uid = String(n);
    made.onJoined(uid, n);
    for (let t = 0; t < 4; t++) made.onTrack(audio(uid, 4 * n + t), n);
    made.onDegraded(`this and that ${n}`, 1, n);
    made.onDegraded(`this and that ${n}`, 2, n);
  }
  const report = qualityReportSchema.parse(made.report(at(1), 'stopped'));
  expect(report.participants).toHaveLength(200);
  expect(report.moreParticipants).toBe(800);
  expect(report.participants.flatMap((p) => p.tracks)).toHaveLength(600);
  expect(report.participants[199]!.moreTracks).toBe(4);
  expect(report.degraded).toHaveLength(100);
  expect(report.degraded[0]).toEqual({ atMs: 0, what: 'this and that 0', count: 3 });
  expect(report.moreDegraded).toBe(1800);
});
