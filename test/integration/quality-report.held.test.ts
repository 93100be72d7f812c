/**
 * The quality report tells what was done to a recording: loss, damage, a rejoin, a mute, a skewed clock, turned
 * pictures, with the times at which they were done; and what the server answers of it is what lies beside the files.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type QualityReport, qualityReportSchema } from '../../src/contract/line/quality-report.ts';
import { frozenIn } from '../support/judge/picture.ts';
import { dropoutsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, type Made, planOf, record, SID } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-quality-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));

const SIZE = { width: 320, height: 180 };
const LEFT = { x: 0, y: 0, width: 0.5, height: 1 };
const RIGHT = { ...LEFT, x: 0.5 };
/** User 1 on the left, user 2 on the right, as large as they are sent. */
const PLAN = planOf({
  video: {
    ...planOf().video!,
    width: 640,
    height: 180,
    layout: {
      kind: 'custom',
      regions: [
        { uid: '1', ...LEFT, alpha: 1, render: 'fit' },
        { uid: '2', ...RIGHT, alpha: 1, render: 'fit' },
      ],
    },
  },
  files: { hls: false, mp4: true },
});

function reportOf({ dir: spool, files }: Made): QualityReport {
  expect(files.at(-1)).toMatchObject({ type: 'document', kind: 'report', name: `${BASE}_report.json` });
  return qualityReportSchema.parse(JSON.parse(readFileSync(join(spool, `${BASE}_report.json`), 'utf8')));
}
const participant = (report: QualityReport, uid: string) => report.participants.find((p) => p.uid === uid)!;
const tracksOf = (report: QualityReport, uid: string, kind: 'audio' | 'video') =>
  participant(report, uid).tracks.filter((track) => track.kind === kind);
/** Within 150 ms: a gap is seen by arrival, a picture by its frame. */
const near = (ms: number) => ({
  asymmetricMatch: (value: unknown) => typeof value === 'number' && Math.abs(value - ms) <= 150,
  toString: () => `near ${ms}`,
});

describe('the quality report', () => {
  test('tells of loss, damage, mute, rejoin and turned pictures, when and why', async () => {
    const users: ScriptedUser[] = [
      {
        ...{ uid: '1', participant: RED, codec: 'h264', fromS: -1, toS: 60, gopS: 3 },
        // A frame is lost, and the sender's own next key frame is at 5 s; then it spoils one, to be mended at 8 s.
        stalls: [{ fromS: 2.99, toS: 3.01 }],
        // Sent again in time.
        lates: [{ fromS: 12.99, toS: 13.01, untilS: 13.3 }],
        spoils: [{ fromS: 5.49, toS: 5.51 }],
        orientations: [
          { fromS: -1, bits: 0 },
          { fromS: 9, bits: 1 },
        ],
      },
      {
        ...{ uid: '2', participant: GREEN, codec: 'vp8', fromS: 1, toS: 4, delayMs: { audio: 20, video: 110 } },
      },
      {
        ...{ uid: '2', participant: GREEN, codec: 'h264', fromS: 6, toS: 60 },
        mutes: [{ fromS: 8, toS: 11 }],
        stalls: [{ fromS: 12, toS: 14.5 }],
        answersKeyFrameRequests: true,
      },
    ];
    const made = await record(dir, users, PLAN, 17);
    const report = reportOf(made);
    expect(report).toMatchObject({
      ...{ sid: SID, mode: 'mix', state: 'final', endReason: 'stopped', endedMs: near(17_000), filesFromMs: 0 },
      ...{ moreParticipants: 0, moreDegraded: 0 },
    });
    expect(report.degraded.some(({ what }) => what.startsWith('the picture of user 1 was held'))).toBe(true);

    const [first] = tracksOf(report, '1', 'video');
    expect(first!.video!.frozen).toEqual([
      { fromMs: near(2967), durationMs: near(2033), why: 'loss' },
      { fromMs: near(5467), durationMs: near(2533), why: 'damage' },
    ]);
    expect(first!.reception).toMatchObject({ restarts: 0, duplicates: 0, late: 0 });
    expect(first!.reception.lost).toBeGreaterThanOrEqual(1);
    expect(first!.reception.recovered).toBeGreaterThanOrEqual(1);
    const heard = tracksOf(report, '1', 'audio')[0]!;
    // One packet each.
    expect(heard.reception).toMatchObject({ lost: 1, recovered: 1, late: 0 });
    expect(heard.audio).toMatchObject({ concealedMs: 20, silenceMs: 0, lostMs: 0 });
    // Given up after 0.7 s; the damage is seen a second after it came.
    const waits = first!.video!.keyFrameWaits;
    expect(waits).toEqual({ count: 2, longestMs: near(1500), totalMs: near(2800) });
    expect(first!.video!.pictures).toEqual([
      { atMs: near(-1000), ...SIZE, turn: 0, flip: false },
      { atMs: near(9000), ...SIZE, turn: 90, flip: false },
    ]);
    expect(first!.gaps).toEqual([]);

    const zero = report.zeroUtcMs;
    expect(participant(report, '2').presence).toEqual([
      { joinedMs: 1000, joinedUtcMs: zero + 1000, leftMs: 4000, leftUtcMs: zero + 4000 },
      { joinedMs: 6000, joinedUtcMs: zero + 6000, leftMs: null, leftUtcMs: null },
    ]);
    expect(participant(report, '2').codecs).toEqual([
      { atMs: 1000, kind: 'video', codec: 'vp8' },
      { atMs: 1000, kind: 'audio', codec: 'opus' },
      { atMs: 6000, kind: 'video', codec: 'h264' },
    ]);
    const [before, after] = tracksOf(report, '2', 'video');
    expect(before).toMatchObject({ startedMs: 1000, endedMs: 4000, endedBy: 'left', gaps: [] });
    expect(after).toMatchObject({ startedMs: 6000, endedMs: null, endedBy: null });
    const gaps = [
      { fromMs: near(8000), durationMs: near(3000), why: 'notSent' },
      { fromMs: near(12_000), durationMs: near(2500), why: 'networkLoss' },
    ];
    expect(after!.gaps).toEqual(gaps);
    expect(after!.video!.frozen).toMatchObject([
      { fromMs: near(8000), durationMs: near(3000), why: 'nothingSent' },
      { fromMs: near(12_000), why: 'loss' },
    ]);
    // What the file shows is the judge; turned pictures have no stamps to read.
    const [left, right] = watch(made.mp4, [
      { rect: LEFT, source: SIZE },
      { rect: RIGHT, source: SIZE },
    ]).views;
    const shown = (view: typeof left, fromS: number, toS: number) =>
      frozenIn(view!.filter(({ atS }) => atS > fromS && atS < toS)).map((span) => ({
        fromMs: near(span.fromS * 1000),
        durationMs: near((span.toS - span.fromS) * 1000),
      }));
    expect(first!.video!.frozen).toMatchObject(shown(left, 0, 8.9));
    expect(shown(right, 6.5, 16.5)).toHaveLength(2);
    expect(after!.video!.frozen).toMatchObject(shown(right, 6.5, 16.5));

    const sound = tracksOf(report, '2', 'audio').at(-1)!;
    expect(sound.gaps).toEqual(gaps);
    expect(sound.audio!.silenceMs).toEqual(near(5500));
    expect(sound.audio!.lostMs).toEqual(near(2500));
    expect(sound.audio!.dtx.count).toBe(0);
    // 20 ms packets.
    expect(Math.abs(sound.reception.lost - 2500 / 20)).toBeLessThan(4);
  });

  test('tells how fast a sender counts, and how far apart its sound and picture come and are placed', async () => {
    const users: ScriptedUser[] = [
      {
        ...{ uid: '1', participant: RED, codec: 'vp8', fromS: -1, toS: 60, skewPpm: 400 },
        delayMs: { audio: 20, video: 140 },
      },
      { ...{ uid: '2', participant: GREEN, fromS: -1, toS: 60, skewPpm: -250, video: false } },
    ];
    const report = reportOf(await record(dir, users, PLAN, 40));
    for (const track of participant(report, '1').tracks) {
      expect(track.clock.source).toBe('senderReports');
      expect(Math.abs(track.clock.skewPpm! - 400)).toBeLessThan(40);
    }
    expect(Math.abs(tracksOf(report, '2', 'audio')[0]!.clock.skewPpm! + 250)).toBeLessThan(40);
    const { sync } = participant(report, '1');
    expect(Math.abs(sync!.arrivalOffsetMs - 120)).toBeLessThanOrEqual(5);
    expect(Math.abs(sync!.recordedOffsetMs)).toBeLessThanOrEqual(5);
    expect(participant(report, '2').sync).toBeNull();
  });

  test('tells of sound that came when its place had been written', async () => {
    // Longer than a recorder waits for it.
    const lates = [{ fromS: 4, toS: 6.4, untilS: 6.4 }];
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 60, lates }];
    const made = await record(dir, users, PLAN, 9);
    const heard = listen(made.mp4);
    const silentMs = dropoutsIn(heard, RED.toneHz).reduce((sum, { fromS, toS }) => sum + (toS - fromS) * 1000, 0);
    expect(silentMs).toBeGreaterThan(500);
    const { audio, gaps } = tracksOf(reportOf(made), '1', 'audio')[0]!;
    expect(audio).toMatchObject({ silenceMs: near(silentMs), lostMs: near(silentMs), dtx: { count: 0 } });
    expect(gaps).toMatchObject([{ why: 'delayed' }]);
  });

  test('of a recording of nobody is there, and says so', async () => {
    const made = await record(dir, [], { ...PLAN, maxIdleMs: 1000 }, 5);
    expect(made.files).toHaveLength(1);
    expect(reportOf(made)).toMatchObject({
      ...{ state: 'final', endReason: 'idle', filesFromMs: null, participants: [] },
    });
    expect(existsSync(made.mp4)).toBe(false);
  });

  test('is told as it grows', async () => {
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 60, video: false }];
    const { happenings } = await record(dir, users, { ...planOf(), video: undefined } as typeof PLAN, 12);
    const told = happenings.flatMap((h) => (h.type === 'qualityMeasured' ? [h.report] : []));
    expect(told.map(({ state, measuredMs }) => [state, measuredMs])).toEqual([
      ['recording', near(5000)],
      ['recording', near(10_000)],
    ]);
    const packets = told.map((report) => tracksOf(report, '1', 'audio')[0]!.reception.packets);
    expect(packets[1]! - packets[0]!).toBeGreaterThan(200);
  });
});
