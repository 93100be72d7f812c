/**
 * Changes of a running composite recording, layout and subscription, with scripted participants and a held clock: that
 * each holds from its own frame on is judged in the file.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ChangeCommand } from '../../src/contract/line/commands.ts';
import type { Layout, MixPlan, Subscription } from '../../src/contract/line/plan.ts';
import type { Ending, Happening } from '../../src/pipeline/recording.ts';
import { startRecording } from '../../src/pipeline/start-recording.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { blackIn, flashesIn, isColour, presenceIn, spansWhere } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions, floatingRegions, type Rect } from '../support/judge/regions.ts';
import { beepsIn, dropoutsIn, listen } from '../support/judge/sound.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { BLUE, GREEN, RED, type Yuv, yuvOf } from '../support/media/participants.ts';
import { ScriptedFeed, type ScriptedUser } from '../support/scripted-feed.ts';

const BASE = `${'b'.repeat(32)}_room`;
const FPS = 30;
/** A change may be this far from where it was asked for. */
const TWO_FRAMES_S = 2 / FPS;
const RED_BACKGROUND = yuvOf({ r: 255, g: 0, b: 0 });
const ALL: Subscription = { kind: 'all' };
const NONE: Subscription = { kind: 'none' };
const WHOLE: Rect = { x: 0, y: 0, width: 1, height: 1 };

const PLAN: MixPlan = {
  mode: 'mix',
  sid: 'b'.repeat(32),
  baseName: BASE,
  video: {
    width: 640,
    height: 360,
    fps: FPS,
    bitrateKbps: 1500,
    layout: { kind: 'bestFit' },
    backgroundColor: '#000000',
  },
  audio: { channels: 1, bitrateKbps: 64 },
  subscribe: { audio: ALL, video: ALL },
  files: { hls: true, mp4: true },
  maxIdleMs: 2000,
  mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
};

type ChangeAt = { atS: number } & (
  | { layout: Layout; backgroundColor: string }
  | { subscribe: { audio: Subscription; video: Subscription } }
);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-changes-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

/**
 * Plays the script against one recording until `stopS`, and makes the changes at their seconds.
 * @param upAtS when the recorder's process is up; packets and changes from before have waited for it
 */
async function record(users: ScriptedUser[], plan: MixPlan, changes: ChangeAt[], stopS: number, upAtS = 0) {
  const clock = new ManualClock();
  clock.advance(60_000);
  const zeroMonoUs = clock.monoUs();
  const zeroUtcMs = clock.nowMs();
  const feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), users, zeroMonoUs, zeroMonoUs + upAtS * 1e6);
  const spoolDir = mkdtempSync(join(dir, 'spool-'));
  const happenings: (Happening & { atS: number })[] = [];
  clock.advance(upAtS * 1000);
  const recording = await startRecording(
    {
      type: 'start',
      plan,
      generation: 1,
      source: { kind: 'feed', path: feed.path },
      spoolDir,
      earlierDirs: [],
      changes: [],
      // The clock may outrun the machine that the test is on, which is no overload.
      lowestRung: 'full',
      zeroUtcMs,
      zeroMonoUs,
    },
    { clock, emit: (h) => happenings.push({ ...h, atS: (clock.monoUs() - zeroMonoUs) / 1e6 }) },
  );
  let ending: Ending | undefined;
  let failure: unknown;
  recording.done.then(
    (e) => {
      ending = e;
    },
    (e) => {
      failure = e;
    },
  );
  const waiting = [...changes];
  for (let ms = upAtS * 1000; !ending && !failure; ms += 10) {
    if (ms > stopS * 1000 + 60_000) throw new Error('the recording did not end');
    for (let next = waiting[0]; next && next.atS * 1000 <= ms; next = waiting[0]) {
      recording.change(commandOf(next, zeroMonoUs));
      waiting.shift();
    }
    if (ms === Math.round(stopS * 1000)) recording.stop(clock.monoUs(), 'stopped');
    await feed.playUntil(clock.monoUs(), upAtS > 0 ? 20 : undefined);
    // The clock runs several times faster than a real one, and waits for the encoder where that cannot follow.
    let waits = 0;
    do await pause(1);
    while (recording.lagUs() > 500_000 && ++waits < 20 && !failure && !ending);
    clock.advance(10);
  }
  await feed.close();
  if (failure) throw failure;
  expect(waiting).toEqual([]);
  return { mp4: join(spoolDir, `${BASE}_0.mp4`), ending: ending as Ending, happenings, feed, zeroUtcMs };
}

function commandOf({ atS, ...change }: ChangeAt, zeroMonoUs: number): ChangeCommand {
  const atMonoUs = zeroMonoUs + atS * 1e6;
  if ('layout' in change) return { type: 'changeLayout', atMonoUs, ...change };
  return { type: 'changeSubscription', atMonoUs, ...change };
}

/**
 * Fails unless the region shows the colour (or a participant's flash) in each of the spans, frame by frame, and nowhere
 * else.
 */
function expectSpans(readings: Reading[], colour: Yuv, expected: [number, number][]) {
  const spans = presenceIn(readings, colour).map((s) => [s.fromS, s.toS]);
  expect(spans.length, JSON.stringify(spans)).toBe(expected.length);
  expected.forEach(([fromS, toS], i) => {
    expect(Math.abs((spans[i]?.[0] as number) - fromS), `from ${spans[i]}`).toBeLessThanOrEqual(TWO_FRAMES_S);
    expect(Math.abs((spans[i]?.[1] as number) - toS), `to ${spans[i]}`).toBeLessThanOrEqual(TWO_FRAMES_S);
  });
}

const marksAt = (times: number[]) => times.filter((t) => Math.abs(t - Math.round(t)) < 0.05).map((t) => Math.round(t));

/** Two regions with the users swapped and a rim of background around each. */
const SWAPPED: Layout = {
  kind: 'custom',
  regions: [
    { uid: '2', x: 0.1, y: 0.1, width: 0.3, height: 0.8, alpha: 1, render: 'crop' },
    { uid: '1', x: 0.6, y: 0.1, width: 0.3, height: 0.8, alpha: 1, render: 'crop' },
  ],
};

describe('a change of the layout', () => {
  test('moves users and repaints the background from its frame on, and back', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: GREEN, fromS: -1, toS: 60 },
      { uid: '2', participant: BLUE, codec: 'vp8', fromS: -1, toS: 60 },
    ];
    const changes: ChangeAt[] = [
      { atS: 3.45, layout: SWAPPED, backgroundColor: '#FF0000' },
      { atS: 6.2, layout: { kind: 'floating' }, backgroundColor: '#000000' },
    ];
    const { mp4, happenings, zeroUtcMs } = await record(users, PLAN, changes, 9);
    expect(probeFile(mp4).video).toMatchObject({ packets: 9 * FPS, width: 640, height: 360 });
    const [small] = floatingRegions(2).slice(1) as [Rect];
    const rims: Rect[] = [
      { x: 0, y: 0, width: 0.1, height: 1 },
      { x: 0.9, y: 0, width: 0.1, height: 0.7 },
      { x: 0, y: 0, width: 1, height: 0.1 },
      { x: 0.4, y: 0, width: 0.2, height: 0.7 },
    ];
    const inside: Rect[] = [
      { x: 0.12, y: 0.15, width: 0.26, height: 0.55 },
      { x: 0.62, y: 0.15, width: 0.26, height: 0.55 },
    ];
    const { views } = watch(
      mp4,
      [...inside, small, ...rims].map((rect) => ({ rect })),
    );
    const [left, right, corner, ...around] = views as [Reading[], Reading[], Reading[], ...Reading[][]];
    expectSpans(left, GREEN.colour, [
      [0, 3.45],
      [6.2, 9],
    ]);
    expectSpans(left, BLUE.colour, [[3.45, 6.2]]);
    expectSpans(right, BLUE.colour, [[0, 3.45]]);
    expectSpans(right, GREEN.colour, [[3.45, 9]]);
    // The second user's small window: before, its place belongs to the first one and to the swapped one.
    expect(presenceIn(corner, BLUE.colour).at(-1)?.toS).toBeGreaterThan(8.9);
    for (const rim of around) {
      const spans = spansWhere(rim, (r) => isColour(r, RED_BACKGROUND));
      expect(spans).toHaveLength(1);
      expect(Math.abs((spans[0]?.fromS ?? 0) - 3.45)).toBeLessThanOrEqual(TWO_FRAMES_S);
      expect(Math.abs((spans[0]?.toS ?? 0) - 6.2)).toBeLessThanOrEqual(TWO_FRAMES_S);
    }
    // Nobody is interrupted by it: every flash is there, in whichever region its user is shown.
    for (const view of [left, right])
      expect(marksAt(flashesIn(view).map((f) => f.atS)).filter((s) => s > 0)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    const begun = happenings.filter((h) => h.type === 'sliceStarted');
    expect(begun).toMatchObject([{ startUtcMs: zeroUtcMs, discontinueUtcMs: zeroUtcMs, trackType: 'audio_and_video' }]);
    expect(happenings.indexOf(begun[0] as (typeof happenings)[number])).toBeLessThan(
      happenings.findIndex((h) => h.type === 'fileSpooled'),
    );
  });

  test('of the background alone repaints what nobody covers', async () => {
    const users: ScriptedUser[] = [{ uid: '1', participant: GREEN, fromS: -1, toS: 60 }];
    const changes: ChangeAt[] = [{ atS: 1.5, layout: SWAPPED, backgroundColor: '#FF0000' }];
    const plan = { ...PLAN, video: { ...(PLAN.video as NonNullable<MixPlan['video']>), layout: SWAPPED } };
    const { mp4 } = await record(users, plan, changes, 3);
    // The place kept for a user who is not there, and the space between the two.
    const rects = [
      { x: 0.1, y: 0.1, width: 0.3, height: 0.8 },
      { x: 0.42, y: 0, width: 0.16, height: 1 },
    ];
    for (const view of watch(
      mp4,
      rects.map((rect) => ({ rect })),
    ).views) {
      expect(blackIn(view)).toMatchObject([{ fromS: 0 }]);
      const red = spansWhere(view, (r) => isColour(r, RED_BACKGROUND));
      expect(red).toHaveLength(1);
      expect(Math.abs((red[0]?.fromS ?? 0) - 1.5)).toBeLessThanOrEqual(TWO_FRAMES_S);
      expect(red[0]?.toS).toBeGreaterThan(2.9);
    }
  });

  test('that was told while the recorder was starting still holds from its own frame', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: GREEN, fromS: -1, toS: 60 },
      { uid: '2', participant: BLUE, codec: 'vp8', fromS: -1, toS: 60 },
    ];
    const changes: ChangeAt[] = [
      { atS: 1.2, layout: SWAPPED, backgroundColor: '#FF0000' },
      { atS: 1.8, subscribe: { audio: ALL, video: { kind: 'only', uids: ['1'] } } },
    ];
    const { mp4 } = await record(users, PLAN, changes, 4, 2.5);
    const [left, right] = watch(mp4, [
      { rect: { x: 0.12, y: 0.15, width: 0.26, height: 0.55 } },
      { rect: { x: 0.62, y: 0.15, width: 0.26, height: 0.55 } },
    ]).views as [Reading[], Reading[]];
    expectSpans(left, GREEN.colour, [[0, 1.2]]);
    expectSpans(left, BLUE.colour, [[1.2, 1.8]]);
    expectSpans(right, GREEN.colour, [[1.2, 4]]);
  });
});

describe('a change of the subscription', () => {
  test('takes a user out of picture and sound, and in again, in step', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60 },
      // Key frames come at each n.4 s.
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -0.6, toS: 60, delayMs: { audio: 15, video: 140 } },
    ];
    const without: Subscription = { kind: 'except', uids: ['2'] };
    const changes: ChangeAt[] = [
      { atS: 3.45, subscribe: { audio: without, video: without } },
      { atS: 6.2, subscribe: { audio: ALL, video: ALL } },
    ];
    const { mp4, happenings, feed } = await record(users, PLAN, changes, 10.5);
    expect(happenings.filter((h) => h.type === 'degraded')).toEqual([]);
    const [left, right] = watch(
      mp4,
      bestFitRegions(2).map((rect) => ({ rect })),
    ).views as [Reading[], Reading[]];
    // Who stays has the picture alone meanwhile. Who is back gets a place with the first picture, the one of 6.4 s.
    expectSpans(left, RED.colour, [[0, 10.5]]);
    expectSpans(right, GREEN.colour, [
      [0, 3.45],
      [6.4, 10.5],
    ]);
    expectSpans(right, RED.colour, [[3.45, 6.4]]);
    expect(feed.keyFrameRequests).toContain(3);

    const heard = listen(mp4);
    const silent = dropoutsIn(heard, GREEN.toneHz);
    // One stretch, but for the splash of the other's beeps as they begin and end.
    silent.slice(1).forEach((span, i) => {
      expect(span.fromS - (silent[i]?.toS ?? 0)).toBeLessThan(0.04);
    });
    expect(Math.abs((silent[0]?.fromS ?? 0) - 3.45)).toBeLessThanOrEqual(TWO_FRAMES_S);
    expect(Math.abs((silent.at(-1)?.toS ?? 0) - 6.2)).toBeLessThanOrEqual(TWO_FRAMES_S);
    expect(dropoutsIn(heard, RED.toneHz, 0.1)).toEqual([]);
    const beeps = beepsIn(heard, { toneHz: GREEN.toneHz }).map((b) => b.atS);
    expect(marksAt(beeps).filter((s) => s > 0)).toEqual([1, 2, 3, 7, 8, 9, 10]);
    const after = (times: number[]) => times.filter((t) => t > 6.5);
    const offsets = avOffsets(after(flashesIn(right).map((f) => f.atS)), after(beeps));
    expect(offsets.missing).toEqual([]);
    expect(Math.abs(offsets.worstMs)).toBeLessThanOrEqual(40);

    const told = happenings.flatMap((h) =>
      h.type === 'streamStateChanged' && h.uid === '2' ? [{ kind: h.kind, receiving: h.receiving, atS: h.atS }] : [],
    );
    for (const kind of ['audio', 'video']) {
      const states = told.filter((t) => t.kind === kind);
      expect(states.map((t) => t.receiving)).toEqual([true, false, true, false]);
      expect(states[1]?.atS).toBeCloseTo(3.45, 1);
      // A picture counts from its key frame on, the one of 6.4 s, which is 0.14 s on its way.
      expect(Math.abs((states[2]?.atS ?? 0) - (kind === 'audio' ? 6.2 : 6.54))).toBeLessThan(0.15);
    }
  });

  test('to nobody leaves the background, and does not make the channel an empty one', async () => {
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 60 }];
    const { mp4, ending } = await record(users, PLAN, [{ atS: 1.5, subscribe: { audio: NONE, video: NONE } }], 6);
    expect(ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(probeFile(mp4).video?.packets).toBe(6 * FPS);
    const [view] = watch(mp4, [{ rect: WHOLE }]).views as [Reading[]];
    expectSpans(view, RED.colour, [[0, 1.5]]);
    expect(blackIn(view)).toHaveLength(1);
    expect(blackIn(view)[0]?.toS).toBeGreaterThan(5.9);
  });

  test('works on sound alone, where one of the layout has no effect', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60 },
      { uid: '2', participant: GREEN, fromS: -1, toS: 60, video: false },
    ];
    const { video: _, ...plan } = PLAN;
    const changes: ChangeAt[] = [
      { atS: 1.5, layout: SWAPPED, backgroundColor: '#FF0000' },
      { atS: 2.5, subscribe: { audio: { kind: 'only', uids: ['2'] }, video: NONE } },
    ];
    const { mp4, ending, happenings } = await record(users, plan, changes, 5.5);
    expect(ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(probeFile(mp4).video).toBeUndefined();
    const heard = listen(mp4);
    const seconds = (toneHz: number) => marksAt(beepsIn(heard, { toneHz }).map((b) => b.atS)).filter((s) => s > 0);
    expect(seconds(RED.toneHz)).toEqual([1, 2]);
    expect(seconds(GREEN.toneHz)).toEqual([1, 2, 3, 4, 5]);
    expect(happenings.filter((h) => h.type === 'sliceStarted')).toMatchObject([{ trackType: 'audio' }]);
  });
});
