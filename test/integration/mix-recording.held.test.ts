/**
 * The composite line from feed to files, with scripted participants and a held clock: the files are judged, second by
 * second.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { codedColor, containerColor } from '../support/judge/color.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { blackIn, flashesIn, frozenIn, presenceIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions, floatingRegions } from '../support/judge/regions.ts';
import { beepsIn, dropoutsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, planOf, record as recordScript } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-mix-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  // Every native frame of the line was given back.
  expect(liveFrames()).toBe(0);
});

const record = (users: ScriptedUser[], plan: MixPlan, stopS: number, upAtS?: number) =>
  recordScript(dir, users, plan, stopS, upAtS);

const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
/** Full seconds of the file at which there is a mark, within `toleranceS`. */
const marksAt = (times: number[], toleranceS = 0.05) =>
  times.filter((t) => Math.abs(t - Math.round(t)) < toleranceS).map((t) => Math.round(t));

describe('a composite recording', () => {
  test('shows and sounds everyone at their time and place, in step', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'h264', fromS: -2, toS: 60 },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1.5, toS: 60, delayMs: { audio: 15, video: 140 } },
      { uid: '3', participant: BLUE, codec: 'vp8', fromS: 4, toS: 9.2 },
    ];
    const { mp4, dir: spool, files, ending } = await record(users, planOf(), 18.5);
    expect(ending).toMatchObject({ reason: 'stopped', recorded: true });

    const probe = probeFile(mp4);
    expect(probe.moovFirst).toBe(true);
    expect(probe.video).toMatchObject({ codec: 'h264', width: 640, height: 360 });
    expect(probe.durationS).toBeGreaterThan(18.4);
    expect(probe.durationS).toBeLessThan(18.6);

    // Two users, then three, then two: the regions are those of the layout for each stretch.
    const two = bestFitRegions(2);
    const three = bestFitRegions(3);
    const views = [...two, ...three].map((rect) => ({ rect }));
    const watched = watch(mp4, views).views;
    const span = (i: number, p: typeof RED) => presenceIn(watched[i]!, p.colour);
    const covered = (i: number, p: typeof RED, from: number, to: number) =>
      span(i, p).some((s) => s.fromS <= from && s.toS >= to);
    expect(span(4, BLUE)[0]?.fromS).toBeGreaterThan(3.9);
    expect(span(4, BLUE)[0]?.fromS).toBeLessThan(4.5);
    expect(span(4, BLUE).at(-1)?.toS).toBeGreaterThan(9);
    expect(span(4, BLUE).at(-1)?.toS).toBeLessThan(9.7);
    expect(blackIn(watched[0]!)).toEqual([]);
    expect(covered(2, RED, 5.2, 5.8)).toBe(true);
    expect(frozenIn(watched[2]!.filter((r) => r.atS > 4.6 && r.atS < 9))).toEqual([]);

    const heard = listen(mp4);
    for (const [participant, view] of [
      [RED, 0],
      [GREEN, 1],
    ] as const) {
      const flashes = flashesIn(watched[view]!).map((f) => f.atS);
      const beeps = beepsIn(heard, { toneHz: participant.toneHz }).map((b) => b.atS);
      // From the first second on: nothing is lost at the start. The regions of two users hold until 4 s and from 9.7 s.
      expect(marksAt(flashes.filter((t) => t > 0.5 && t < 3.9))).toEqual(seconds(1, 4));
      expect(marksAt(flashes.filter((t) => t > 9.8))).toEqual(seconds(10, 19));
      expect(marksAt(beeps.filter((t) => t > 0.5))).toEqual(seconds(1, 19));
      const offsets = avOffsets(
        flashes.filter((t) => t > 9.8),
        beeps.filter((t) => t > 9.8),
      );
      expect(Math.abs(offsets.medianMs)).toBeLessThanOrEqual(20);
      expect(Math.abs(offsets.worstMs)).toBeLessThanOrEqual(40);
    }

    const slices = files.filter((f) => f.type === 'slice');
    const said = { primaries: 1, transfer: 1, matrix: 6, fullRange: false };
    expect(codedColor(join(spool, slices[0]!.name))).toEqual(said);
    expect(containerColor(mp4)).toEqual(said);
    expect(slices.map((s) => s.durationUs)).toEqual([15_000_000, expect.any(Number)]);
    writeFileSync(join(spool, `${BASE}.m3u8`), renderPlaylist(slices, { extinfComma: false }));
    expect(judgePlaylist(spool, `${BASE}.m3u8`).problems).toEqual([]);
  });

  test('goes on at its steady rate while a participant stalls, holding the last good picture', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, stalls: [{ fromS: 3.2, toS: 5.7 }], gopS: 3 },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60 },
    ];
    const { mp4, feed, happenings } = await record(users, planOf({ files: { hls: false, mp4: true } }), 10);
    const degraded = happenings.flatMap((h) => (h.type === 'degraded' ? [h.what] : []));
    expect(degraded).toEqual([expect.stringMatching(/^the picture of user 1 was held for 4[89]\d\d ms/)]);
    const [red, green] = watch(
      mp4,
      bestFitRegions(2).map((rect) => ({ rect })),
    ).views;
    expect(probeFile(mp4).video?.packets).toBe(300);
    const frozen = frozenIn(red!);
    expect(frozen.length).toBe(1);
    expect(frozen[0]!.fromS).toBeGreaterThan(3);
    // The stream goes on at the first key frame after the loss, at 8 s: this sender does not answer requests for one.
    expect(frozen[0]!.toS).toBeGreaterThan(7.9);
    expect(frozen[0]!.toS).toBeLessThan(8.2);
    expect(presenceIn(red!, RED.colour).at(-1)!.toS).toBeGreaterThan(9.9);
    expect(frozenIn(green!)).toEqual([]);
    expect(feed.keyFrameRequests).toContain(1);
  });

  test('has what comes up to 1.6 s late in its place: out of a queue, or sent again behind a gap', async () => {
    const users: ScriptedUser[] = [
      // The flash and beep at 4 s wait in a queue with all that follows them; those at 7 s are lost and come again.
      {
        ...{ uid: '1', participant: RED, fromS: -1, toS: 60, gopS: 60 },
        lates: [
          { fromS: 3.9, toS: 5.5, untilS: 5.5 },
          { fromS: 6.9, toS: 7.15, untilS: 8.5 },
        ],
      },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60 },
    ];
    const { mp4, happenings } = await record(users, planOf({ files: { hls: false, mp4: true } }), 10);
    expect(happenings.filter((h) => h.type === 'degraded')).toEqual([]);
    const { views } = watch(
      mp4,
      bestFitRegions(2).map((rect) => ({ rect })),
    );
    expect(probeFile(mp4).video?.packets).toBe(300);
    const heard = listen(mp4);
    [RED, GREEN].forEach(({ toneHz }, i) => {
      const flashes = flashesIn(views[i]!).map((f) => f.atS);
      expect(marksAt(flashes).filter((s) => s > 0)).toEqual(seconds(1, 10));
      expect(marksAt(beepsIn(heard, { toneHz }).map((b) => b.atS)).filter((s) => s > 0)).toEqual(seconds(1, 10));
      expect(frozenIn(views[i]!)).toEqual([]);
    });
  });

  test('has sound in its place that is late for a second and more, and then in time again', async () => {
    /** Each packet of a stretch comes so much late. */
    const late = (fromS: number, toS: number, byS: number) =>
      Array.from({ length: Math.round((toS - fromS) * 100) }, (_, n) => {
        const atS = fromS + n / 100;
        return { fromS: atS, toS: atS + 0.01, untilS: atS + byS };
      });
    // As of senders that report every five seconds: none tells meanwhile that the packets are late on their way.
    const alter: ScriptedUser['alter'] = (datagrams, _, what, contentS) =>
      what === 'rtcp' && contentS > 4 && contentS < 8 ? [] : datagrams;
    const users: ScriptedUser[] = [
      // Too little to suppose that the microphone stood still, and so much that it is supposed.
      { uid: '1', participant: RED, fromS: -1, toS: 60, lates: late(4.075, 6.475, 0.25), alter },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60, lates: late(4.075, 5.175, 0.6), alter },
    ];
    const { mp4 } = await record(users, planOf({ files: { hls: false, mp4: true } }), 10);
    const heard = listen(mp4);
    for (const { toneHz } of [RED, GREEN]) {
      expect(dropoutsIn(heard, toneHz)).toEqual([]);
      expect(marksAt(beepsIn(heard, { toneHz }).map((b) => b.atS)).filter((s) => s > 0)).toEqual(seconds(1, 10));
    }
    expect(clicksIn(heard)).toEqual([]);
  });

  test('has what waited in a queue behind a packet of sound that never came', async () => {
    // The queue's first packet found no room; none behind it is too late for its place.
    const alter: ScriptedUser['alter'] = (datagrams, kind, what, contentS) =>
      kind === 'audio' && what === 'rtp' && Math.abs(contentS - 4) < 0.005 ? [] : datagrams;
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, lates: [{ fromS: 3.99, toS: 4.99, untilS: 4.99 }], alter },
    ];
    const { mp4 } = await record(users, planOf({ files: { hls: false, mp4: true } }), 8);
    const dropouts = dropoutsIn(listen(mp4), RED.toneHz);
    expect(dropouts.reduce((sum, { fromS, toS }) => sum + toS - fromS, 0)).toBeLessThan(0.05);
  });

  test('loses nothing of what waited while the channel’s server stood still for 6 s', async () => {
    const lates = [{ fromS: 3.4, toS: 9.4, untilS: 9.4, channelStandsStill: true as const }];
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, gopS: 60, lates },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60, lates },
    ];
    const { mp4, happenings } = await record(users, planOf({ files: { hls: false, mp4: true } }), 14);
    expect(happenings.filter((h) => h.type === 'degraded')).toEqual([]);
    const { views } = watch(
      mp4,
      bestFitRegions(2).map((rect) => ({ rect })),
    );
    const heard = listen(mp4);
    [RED, GREEN].forEach(({ toneHz }, i) => {
      const flashes = flashesIn(views[i]!).map((f) => f.atS);
      expect(marksAt(flashes).filter((s) => s > 0)).toEqual(seconds(1, 14));
      expect(marksAt(beepsIn(heard, { toneHz }).map((b) => b.atS)).filter((s) => s > 0)).toEqual(seconds(1, 14));
      expect(frozenIn(views[i]!)).toEqual([]);
    });
    expect(clicksIn(heard)).toEqual([]);
  });

  test('loses nothing of what came in the 4 s before the recorder was up, not even what was lost then and came again', async () => {
    const users: ScriptedUser[] = [
      {
        ...{ uid: '1', participant: RED, fromS: -1, toS: 60, gopS: 60 },
        lates: [{ fromS: 1.9, toS: 2.15, untilS: 3.2 }],
      },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60 },
    ];
    const { mp4, happenings } = await record(users, planOf({ files: { hls: false, mp4: true } }), 6, 4);
    expect(happenings.filter((h) => h.type === 'degraded')).toEqual([]);
    const { views } = watch(
      mp4,
      bestFitRegions(2).map((rect) => ({ rect })),
    );
    expect(probeFile(mp4).video?.packets).toBe(180);
    for (const view of views) {
      expect(marksAt(flashesIn(view).map((f) => f.atS)).filter((s) => s > 0)).toEqual(seconds(1, 6));
      expect(frozenIn(view)).toEqual([]);
    }
  });

  test('someone who leaves and comes back goes and appears within half a second, in step both times', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60 },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 3.5 },
      { uid: '2', participant: GREEN, codec: 'h264', fromS: 6.5, toS: 60 },
    ];
    const { mp4 } = await record(users, planOf({ files: { hls: false, mp4: true } }), 10.5);
    const whole = { x: 0, y: 0, width: 1, height: 1 };
    const [red, green, alone] = watch(
      mp4,
      [...bestFitRegions(2), whole].map((rect) => ({ rect })),
    ).views;
    const there = presenceIn(green!, GREEN.colour);
    const gone = there.find((span) => span.toS > 3.2 && span.toS < 6);
    const back = there.find((span) => span.fromS > 6);
    expect(gone?.toS).toBeLessThan(4);
    expect(back?.fromS).toBeLessThan(7);
    // Whoever stays has the picture alone meanwhile, and nobody's part of it is ever black.
    expect(presenceIn(alone!, RED.colour).some((s) => s.fromS < 4.2 && s.toS > 5.8)).toBe(true);
    expect(blackIn(red!)).toEqual([]);
    expect(blackIn(green!)).toEqual([]);
    const flashes = flashesIn(green!).map((f) => f.atS);
    const beeps = beepsIn(listen(mp4), { toneHz: GREEN.toneHz }).map((b) => b.atS);
    for (const [from, to] of [
      [0.5, 3.4],
      [7.5, 10.4],
    ] as const) {
      const within = (times: number[]) => times.filter((t) => t > from && t < to);
      expect(marksAt(within(beeps))).toEqual(seconds(Math.ceil(from), Math.ceil(to)));
      const offsets = avOffsets(within(flashes), within(beeps));
      expect(offsets.missing).toEqual([]);
      expect(Math.abs(offsets.worstMs)).toBeLessThanOrEqual(40);
    }
  });

  test('who comes into the picture is in it within half a second, however long ago the last key frame was', async () => {
    // One place, for whoever joined first.
    const region = { x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'crop' } as const;
    const plan = planOf();
    const video = { ...plan.video!, layout: { kind: 'custom' as const, regions: [region] } };
    const made = await record(
      [
        { uid: '1', participant: RED, fromS: -1, toS: 3.2 },
        { uid: '2', participant: BLUE, codec: 'vp8', fromS: -0.9, toS: 10, gopS: 60 },
      ],
      planOf({ video }),
      5,
    );
    const [view = []] = watch(made.mp4, [{ rect: region }]).views;
    const [red, blue] = [presenceIn(view, RED.colour), presenceIn(view, BLUE.colour)];
    const strangers = view.filter(({ atS }) => ![...red, ...blue].some((s) => s.fromS <= atS && atS < s.toS));
    // What is seen besides, if anything is: when, and which colours.
    expect(strangers.map(({ atS, luma, y, u, v, moved }) => ({ atS, luma, y, u, v, moved }))).toEqual([]);
    expect(red).toHaveLength(1);
    expect(blue).toHaveLength(1);
    expect(Math.abs(red[0]!.toS - 3.2)).toBeLessThanOrEqual(0.1);
    expect(blue[0]!.fromS - red[0]!.toS).toBeLessThanOrEqual(0.5);
    expect(blue[0]!.toS).toBeGreaterThan(4.8);
  });

  test('an empty channel between two visits is recorded as background, frame by frame', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 3 },
      { uid: '2', participant: GREEN, fromS: 11, toS: 60 },
    ];
    const plan = planOf({ files: { hls: false, mp4: true }, maxIdleMs: 30_000 });
    const { mp4, happenings } = await record(users, plan, 14);
    expect(happenings.filter((h) => h.type === 'degraded')).toEqual([]);
    expect(probeFile(mp4).video).toMatchObject({ packets: 420 });
    const [view] = watch(mp4, [{ rect: { x: 0, y: 0, width: 1, height: 1 } }]).views;
    expect(blackIn(view!).some((s) => s.fromS < 3.3 && s.toS > 10.8)).toBe(true);
    expect(presenceIn(view!, GREEN.colour)[0]?.fromS).toBeLessThan(11.5);
  });

  test('begins with the first media, and ends with the last user when nobody comes back', async () => {
    const users: ScriptedUser[] = [{ uid: '5', participant: BLUE, fromS: 3, toS: 8 }];
    const { mp4, ending, files } = await record(users, planOf({ maxIdleMs: 4000 }), 40);
    expect(ending).toMatchObject({ reason: 'idle', recorded: true });
    const probe = probeFile(mp4);
    expect(probe.durationS).toBeGreaterThan(4.85);
    expect(probe.durationS).toBeLessThan(5.1);
    expect(
      blackIn(watch(mp4, [{ rect: { x: 0, y: 0, width: 1, height: 1 } }]).views[0]!).filter(
        (s) => s.toS - s.fromS > 0.3,
      ),
    ).toEqual([]);
    expect(files.find((f) => f.type === 'mp4')!.startUtcMs % 60_000).toBeGreaterThan(2900);
  });

  test('records nothing when nobody ever comes', async () => {
    const { ending, dir: spool } = await record([], planOf({ maxIdleMs: 2000 }), 30);
    expect(ending).toMatchObject({ reason: 'idle', recorded: false });
    expect(readdirSync(spool).filter((f) => /ts|mp4/.test(f))).toEqual([]);
  });

  test('floating puts the second user over the first, and an audio-only user still has a place', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60 },
      { uid: '2', participant: GREEN, fromS: -1, toS: 60, video: false },
      { uid: '3', participant: BLUE, fromS: -1, toS: 60 },
    ];
    const plan = planOf({ files: { hls: false, mp4: true } });
    plan.video = { ...plan.video!, layout: { kind: 'floating' } };
    const { mp4 } = await record(users, plan, 4);
    const regions = floatingRegions(3);
    const [big, second, third] = watch(
      mp4,
      regions.map((rect) => ({ rect })),
    ).views;
    const full = (readings: typeof big, p: typeof RED) =>
      presenceIn(readings!, p.colour).some((s) => s.toS - s.fromS > 0.7);
    expect(full(big, RED)).toBe(true);
    expect(full(second, BLUE)).toBe(false);
    expect(full(third, BLUE)).toBe(true);
    expect(beepsIn(listen(mp4), { toneHz: GREEN.toneHz }).length).toBeGreaterThanOrEqual(3);
  });

  test('sound alone makes slices by time, and no picture', async () => {
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 60 }];
    const { video: _, ...plan } = planOf();
    const { dir: spool, files } = await record(users, plan, 17);
    const slices = files.filter((f) => f.type === 'slice');
    expect(slices.length).toBe(2);
    const probe = probeFile(join(spool, `${BASE}_0.mp4`));
    expect(probe.video).toBeUndefined();
    expect(probe.durationS).toBeGreaterThan(16.9);
    expect(readFileSync(join(spool, 'journal.ndjson'), 'utf8').trim().split('\n').length).toBe(4);
    expect(files.at(-1)).toMatchObject({ type: 'document', kind: 'report' });
  });
});
