/**
 * A composite recording whose runs are lost and go on, against the same one recorded whole: frame by frame and sample
 * by sample.
 */
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Overlays } from '../../src/contract/line/overlays.ts';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import type { Segment } from '../../src/media/segment.ts';
import { completeRecording, completeSpool } from '../../src/pipeline/complete.ts';
import { readSlices } from '../../src/stages/mux/read-slices.ts';
import { JOURNAL_NAME } from '../../src/stages/spool/journal.ts';
import { readRuns } from '../../src/stages/spool/recording-spool.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { blackIn, flashesIn, presenceIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { differenceOf } from '../support/judge/sameness.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { type ChangeAt, joinRuns, type Kill, type Killed, recordKilled } from '../support/killed-recording.ts';
import { BLUE, GREEN, RED, YELLOW } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, planOf } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-going-on-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const gather = (made: Pick<Killed, 'spool'>, name: string) => joinRuns(made, join(dir, name));

async function timesOf({ folder, slices }: { folder: string; slices: Segment[] }) {
  const [video, audio]: [number[], number[]] = [[], []];
  for await (const { kind, ptsUs } of readSlices(slices.map(({ name }) => join(folder, name))))
    (kind === 'video' ? video : audio).push(ptsUs);
  return { video: video.sort((a, b) => a - b), audio };
}

async function compare(users: ScriptedUser[], plan: MixPlan, stopS: number, kills: Kill[], changes: ChangeAt[] = []) {
  mkdirSync(join(dir, 'w'));
  mkdirSync(join(dir, 'k'));
  const whole = gather(await recordKilled(join(dir, 'w'), users, plan, stopS, { changes }), 'whole');
  const made = await recordKilled(join(dir, 'k'), users, plan, stopS, { kills, changes });
  expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
  expect(made.dirs.length).toBe(kills.length + 1);
  const killed = gather(made, 'killed');
  return { whole, killed, made, times: { whole: await timesOf(whole), killed: await timesOf(killed) } };
}

/** The same pictures and the same sound, and no click where they were joined. */
function expectSame(whole: string, killed: string): void {
  expect(differenceOf(whole, killed)).toMatchObject({ unlike: [], soundsUnlike: [] });
  expect(clicksIn(listen(killed))).toEqual(clicksIn(listen(whole)));
}

const H264_AND_VP8: ScriptedUser[] = [
  { uid: '1', participant: RED, codec: 'h264', fromS: -1, toS: 60 },
  { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60 },
];
const HLS = planOf({ files: { hls: true, mp4: false } });

describe('a composite recording whose run is lost', () => {
  test('goes on at the next frame and the next sample, in one playlist', async () => {
    const { whole, killed, made, times } = await compare(H264_AND_VP8, HLS, 14, [{ atS: 6.33, downS: 0.8 }]);
    expect(made.happenings.filter((h) => h.type === 'degraded')).toEqual([]);
    expect(times.killed).toEqual(times.whole);
    const [first, second, ...more] = killed.slices;
    expect(more).toEqual([]);
    expect(first).toMatchObject({ index: 0, discontinuity: true });
    expect(second).toMatchObject({ index: 1, discontinuity: true, starts: [] });
    expect(Math.abs(first!.startUtcMs + first!.durationUs / 1000 - second!.startUtcMs)).toBeLessThan(1);
    expectSame(whole.playlist, killed.playlist);
    expect(judgePlaylist(killed.folder, `${BASE}.m3u8`).problems).toEqual([]);
    // What is to be made again is little, and made fast.
    expect(first!.durationUs).toBeGreaterThan(4_000_000);
    expect(Math.max(...made.lagsUs)).toBeLessThan(500_000);
  });

  test('shows who came, left and was moved around that moment as the run before would have', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'vp8', fromS: -1, toS: 60, skewPpm: 200 },
      { uid: '2', participant: GREEN, codec: 'h264', fromS: 2, toS: 6.4, gopS: 3 },
      { uid: '3', participant: BLUE, codec: 'vp8', fromS: 5.6, toS: 60, delayMs: { audio: 30, video: 180 } },
      { uid: '4', participant: YELLOW, codec: 'h264', fromS: 7.1, toS: 60 },
    ];
    const layouts: ChangeAt[] = [
      { atS: 5.1, change: { type: 'changeLayout', layout: { kind: 'vertical' }, backgroundColor: '#204060' } },
      { atS: 6.9, change: { type: 'changeLayout', layout: { kind: 'floating' }, backgroundColor: '#604020' } },
    ];
    const { whole, killed, times } = await compare(users, HLS, 12, [{ atS: 6.71, downS: 1.1 }], layouts);
    expect(times.killed).toEqual(times.whole);
    expectSame(whole.playlist, killed.playlist);
  });

  test('shows who speaks, and what is drawn over it all, as the run before would have', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'vp8', fromS: -1, toS: 60, mutes: [{ kind: 'audio', fromS: 3.1, toS: 60 }] },
      {
        uid: '2',
        participant: GREEN,
        codec: 'h264',
        fromS: -1,
        toS: 60,
        mutes: [{ kind: 'audio', fromS: -1, toS: 3 }],
      },
      { uid: '3', participant: BLUE, codec: 'vp8', fromS: -1, toS: 60, audio: false, videoToS: 2 },
    ];
    const overlays: Overlays = {
      speaker: { border: '#FFFF00', layout: 'large' },
      nameLabels: { names: { 1: 'Ada', 2: 'Борис' }, corner: 'top-left' },
      clock: { timeZone: 'Asia/Tokyo', format: 'HH:mm:ss', corner: 'top-right' },
      watermark: { shown: { kind: 'text', text: 'test' }, place: 'center', size: 0.2, opacity: 0.5 },
      hidesWithoutVideo: true,
    };
    const changes: ChangeAt[] = [
      { atS: 1.1, change: { type: 'changeOverlays', overlays } },
      { atS: 5.9, change: { type: 'changeOverlays', overlays: { ...overlays, clock: undefined } } },
    ];
    // Of the first, the silence is heard that makes room for the next speaker; of the second, the next one is not yet.
    const kills = [4.43, 5.12].map((atS) => ({ atS, downS: 0.4 }));
    const { whole, killed, times } = await compare(users, HLS, 8, kills, changes);
    expect(times.killed).toEqual(times.whole);
    expectSame(whole.playlist, killed.playlist);
  });

  test('goes on as well when the next one is lost soon after, and at any moment', async () => {
    const kills = [0.4, 3.05, 4.3, 9.77, 10.9].map((atS) => ({ atS, downS: 0.5 }));
    const { whole, killed, times } = await compare(H264_AND_VP8, HLS, 15, kills);
    expect(times.killed).toEqual(times.whole);
    expectSame(whole.playlist, killed.playlist);
    expect(killed.slices.map(({ index }) => index)).toEqual(killed.slices.map((_, n) => n));
    expect(killed.slices.every(({ discontinuity }) => discontinuity)).toBe(true);
    expect(judgePlaylist(killed.folder, `${BASE}.m3u8`).problems).toEqual([]);
    // A picture's end is the next slice's beginning, though a run's sound begins a little earlier.
    const ends = killed.slices.map(({ startUtcMs, durationUs }) => startUtcMs + durationUs / 1000);
    for (const [n, { startUtcMs }] of killed.slices.slice(1).entries())
      expect(Math.abs(ends[n]! - startUtcMs)).toBeLessThan(1.5);
  });

  test('loses nothing when the next one is lost in a slice of which the first had put nothing on disk', async () => {
    const small = { width: 160, height: 90, fps: 10, bitrateKbps: 100 };
    const plan: MixPlan = { ...HLS, video: { ...HLS.video!, ...small } };
    const kills = [17.3, 20.4].map((atS) => ({ atS, downS: 0.7 }));
    const { times } = await compare(H264_AND_VP8.slice(0, 1), plan, 22, kills);
    expect(times.killed).toEqual(times.whole);
  });

  test('makes the MP4 that no run wrote from the slices, and what is beyond those that are whole', async () => {
    const folder = join(dir, 'k');
    mkdirSync(folder);
    // The first MP4 is whole when the run is lost in the second.
    const limit = { durationMs: 6000, bytes: 2_000_000_000 };
    const plan = planOf({ files: { hls: true, mp4: true }, mp4Limit: limit });
    const made = await recordKilled(folder, H264_AND_VP8, plan, 14, { kills: [{ atS: 9.2, downS: 0.7 }] });
    const mp4s = () => made.spool.files.filter(({ file }) => file.type === 'mp4').map(({ file }) => file.name);
    expect(mp4s()).toEqual([`${BASE}_0.mp4`]);
    const last = join(folder, 'last');
    mkdirSync(last);
    for (const { dir: from, file } of made.spool.files) linkSync(join(from, file.name), join(last, file.name));
    const lines = made.spool.files.map(({ file }) => `${JSON.stringify(file)}\n`);
    writeFileSync(join(last, JOURNAL_NAME), lines.join(''));
    expect(await completeSpool(last, { mp4: { durationMs: 1e7, bytes: 1e12 } })).toEqual([`${BASE}_1.mp4`]);
    const seen = [`${BASE}_0.mp4`, `${BASE}_1.mp4`].map((name) => {
      const path = join(last, name);
      const flashes = flashesIn(watch(path, [{ rect: bestFitRegions(2)[0]! }]).views[0]!).map(({ atS }) => atS);
      const beeps = beepsIn(listen(path), { toneHz: RED.toneHz }).map(({ atS }) => atS);
      return { frames: probeFile(path).video?.packets, flashes: flashes.map(Math.round), beeps: beeps.map(Math.round) };
    });
    expect(seen.map(({ frames }) => frames)).toEqual([180, 240]);
    for (const [n, seconds] of [6, 8].entries()) {
      const all = Array.from({ length: seconds }, (_, s) => s);
      expect(seen[n]!.flashes).toEqual(expect.arrayContaining(all.slice(1)));
      expect(seen[n]!.beeps).toEqual(expect.arrayContaining(all.slice(1)));
    }
  });

  test.each([
    ['was lost with it', {}, 5.8],
    ['was lost, and it ended its files', { endsItself: true as const }, 6.4],
  ])(
    'goes on at the same place when its channel %s: nobody is there, and then those who come back',
    async (_, how, byS) => {
      const folder = join(dir, 'k');
      mkdirSync(folder);
      const back: ScriptedUser[] = [{ uid: '1', participant: RED, codec: 'vp8', fromS: 10, toS: 60 }];
      const { spool, ending } = await recordKilled(folder, H264_AND_VP8, { ...HLS, maxIdleMs: 30_000 }, 14, {
        kills: [{ atS: 6.1, downS: 1.5, newChannel: back, ...how }],
      });
      expect(ending).toMatchObject({ reason: 'stopped', recorded: true });
      const killed = gather({ spool }, 'killed');
      expect(judgePlaylist(killed.folder, `${BASE}.m3u8`).problems).toEqual([]);
      const { video, audio } = await timesOf(killed);
      expect(video.length).toBe(14 * 30);
      expect(Math.max(...video.slice(1).map((us, n) => us - video[n]!))).toBeLessThan(33_400);
      expect(Math.max(...audio.slice(1).map((us, n) => us - audio[n]!))).toBeLessThan(21_400);
      const [view] = watch(killed.playlist, [{ rect: { x: 0, y: 0, width: 1, height: 1 } }]).views;
      expect(blackIn(view!).some(({ fromS, toS }) => fromS < byS && toS > 9.9)).toBe(true);
      expect(presenceIn(view!, RED.colour).at(-1)!.toS).toBeGreaterThan(13.9);
    },
  );

  test('is made whole with a break for each run, when the last is lost as well', async () => {
    const folder = join(dir, 'k');
    mkdirSync(folder);
    const kills: Kill[] = [
      { atS: 4.2, downS: 0.7 },
      { atS: 9.4, downS: 0.7, last: true },
    ];
    const made = await recordKilled(folder, H264_AND_VP8, HLS, 14, { kills });
    const spoolDir = join(folder, 'whole');
    mkdirSync(spoolDir);
    await completeRecording({ spoolDir, earlierDirs: made.dirs });
    const { folder: all, slices } = gather({ spool: await readRuns([spoolDir]) }, 'all');
    expect(slices.map(({ discontinuity }) => discontinuity)).toEqual([true, true]);
    expect(judgePlaylist(all, `${BASE}.m3u8`).problems).toEqual([]);
  });

  test('of sound alone goes on at the next sample', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, video: false },
      { uid: '2', participant: GREEN, fromS: -1, toS: 60, video: false, skewPpm: -300 },
    ];
    const plan = planOf({ files: { hls: true, mp4: false } });
    delete plan.video;
    const { whole, killed, times } = await compare(users, plan, 12, [{ atS: 5.4, downS: 0.6 }]);
    expect(times.killed).toEqual(times.whole);
    expect(killed.slices.length).toBe(2);
    const [heard, heardKilled] = [listen(whole.playlist), listen(killed.playlist)];
    expect(heardKilled.gaps).toEqual(heard.gaps);
    expect(beepsIn(heardKilled, { toneHz: RED.toneHz }).length).toBe(beepsIn(heard, { toneHz: RED.toneHz }).length);
  });
});
