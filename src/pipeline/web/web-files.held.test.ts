import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { avOffsets } from '../../../test/support/judge/offsets.ts';
import { judgePlaylist } from '../../../test/support/judge/playlist.ts';
import { readMedia } from '../../../test/support/judge/read-media.ts';
import { beepsIn, listen } from '../../../test/support/judge/sound.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { WebPlan } from '../../contract/line/plan.ts';
import type { QualityReport } from '../../contract/line/quality-report.ts';
import { newSid } from '../../kernel/ids.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { Segment } from '../../media/segment.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { renderPlaylist } from '../../stages/mux/hls/playlist.ts';
import { readRuns } from '../../stages/spool/recording-spool.ts';
import { readEarlierRuns } from '../mix/earlier-runs.ts';
import type { Happening } from '../recording.ts';
import { QualityCollector } from '../report/quality-collector.ts';
import { WebFiles } from './web-files.ts';

const [WIDTH, HEIGHT, FPS] = [160, 90, 30];
const STEP_S = 0.02;
/** Until sound is written, and pictures wait no more. */
const DELAY_S = 0.5;
const BEEP_S = 0.1;
const STALL_S = 1;
const BEEP_HZ = 1000;
const ZERO_UTC_MS = Date.UTC(2026, 0, 1);
/** Luma of a picture tells its moment: so many steps of so much, one each tenth of a second, for nine of them. */
const [DARKEST, LUMA_STEP] = [30, 2];

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-web-files-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

type HoldAt = { atS: number; onhold: boolean };

/** A recording whose page flashes and beeps at each full second, and otherwise grows brighter. */
class ScriptedPage {
  readonly happenings: Happening[] = [];
  readonly dirs: string[] = [];
  /** Of the last run. */
  report: QualityReport | undefined;
  readonly #holds: readonly HoldAt[];
  readonly #plan: WebPlan = {
    ...{ mode: 'web', sid: newSid(), baseName: 'x', audio: { channels: 1, bitrateKbps: 48 } },
    video: { width: WIDTH, height: HEIGHT, fps: FPS, bitrateKbps: 300 },
    files: { hls: true, mp4: true },
    mp4Limit: { durationMs: 3_600_000, bytes: 1e9 },
    ...{ maxAgeMs: 3_600_000, onhold: false },
  };

  constructor(holds: readonly HoldAt[]) {
    this.#holds = holds;
  }

  /**
   * One run, from and to so many seconds of the recording; one that is `lost` finishes nothing.
   * @param lagS how long pictures wait for the encoder at a second of the recording
   */
  async run(
    fromS: number,
    toS: number,
    { lost = false, stallAtS = Number.POSITIVE_INFINITY, lagS = (_nowS: number): number => 0 } = {},
  ): Promise<boolean | undefined> {
    const spoolDir = join(dir, `run${this.dirs.length + 1}`);
    mkdirSync(spoolDir);
    const start = {
      ...{ type: 'start', plan: this.#plan, generation: this.dirs.length + 1, spoolDir, earlierDirs: [...this.dirs] },
      ...{ changes: [], zeroUtcMs: ZERO_UTC_MS, zeroMonoUs: 0, source: { kind: 'page' } },
    } as unknown as StartCommand;
    const report = new QualityCollector({ sid: this.#plan.sid, mode: 'web', zeroUtcMs: ZERO_UTC_MS });
    const emit = (happening: Happening) => void this.happenings.push(happening);
    const clock = new ManualClock();
    const files = new WebFiles({ start, plan: this.#plan, report, page: report.onPage(FPS), clock, emit });
    const pool = new PicturePool();
    const holds = [...this.#holds];
    const changeHolds = (untilS: number) => {
      for (let next = holds[0]; next && next.atS <= untilS; next = holds[0]) {
        files.changeHold(next.atS * 1e6, next.onhold);
        holds.shift();
      }
    };
    changeHolds(fromS);
    await files.begin(fromS * 1e6, await readEarlierRuns(start, this.#plan));
    let frame = Math.ceil(fromS * FPS);
    const waiting: number[] = [];
    let soundS = fromS - STEP_S;
    const hear = (nowS: number) => {
      for (; soundS < nowS - STEP_S + 1e-6; soundS += STEP_S)
        files.addSound(soundFrom(soundS), Math.round((soundS - fromS) * SOUND_RATE), nowS * 1e6);
    };
    for (let nowS = fromS; nowS < toS + DELAY_S + STEP_S; nowS += STEP_S) {
      // The process got no time for a while: its timers come first, and then all that came meanwhile.
      const isStalled = nowS >= stallAtS && nowS < stallAtS + STALL_S;
      clock.advance(STEP_S * 1000);
      if (isStalled) continue;
      changeHolds(nowS);
      const hasStalled = nowS >= stallAtS + STALL_S && nowS < stallAtS + STALL_S + STEP_S;
      if (!hasStalled) hear(nowS);
      for (; frame / FPS <= Math.min(nowS, toS - 0.001); frame++) waiting.push(frame);
      const untilUs = Math.min(files.soundDueUs(nowS * 1e6), toS * 1e6);
      files.observeLag(lagS(nowS) * 1e6);
      do {
        for (let next = waiting[0]; next !== undefined && files.takesPicture((next * 1e6) / FPS); next = waiting[0]) {
          waiting.shift();
          const picture = pool.allocate(WIDTH, HEIGHT);
          picture.planes[0].fill(lumaAt(next / FPS));
          for (const plane of picture.planes.slice(1)) plane.fill(128);
          await files.addPicture({ picture, atUs: (next * 1e6) / FPS, changed: true });
          picture.free();
        }
      } while (await files.recordSound(untilUs));
    }
    this.dirs.push(spoolDir);
    const recorded = lost ? undefined : await files.finish();
    files.close();
    pool.close();
    this.report = report.report({ atUs: toS * 1e6, lagUs: 0, machine: undefined }, 'stopped');
    return recorded;
  }

  /** All slices, with a playlist of them, in one folder. @param allowed what the judge may say all the same */
  async slices(allowed = /^$/): Promise<{ folder: string; slices: Segment[]; playlist: string }> {
    const { files } = await readRuns(this.dirs);
    const folder = join(dir, 'all');
    mkdirSync(folder);
    for (const { dir: from, file } of files) linkSync(join(from, file.name), join(folder, file.name));
    const slices = files.flatMap(({ file }) => (file.type === 'slice' ? [file] : []));
    slices.sort((a, b) => a.index - b.index);
    const playlist = join(folder, 'x.m3u8');
    writeFileSync(playlist, renderPlaylist(slices, { extinfComma: false }));
    expect(judgePlaylist(folder, 'x.m3u8').problems.filter((problem) => !allowed.test(problem))).toEqual([]);
    return { folder, slices, playlist };
  }
}

const isMarked = (s: number) => s % 1 < BEEP_S;
const lumaAt = (s: number) => (isMarked(s + 1e-6) ? 235 : DARKEST + LUMA_STEP * (Math.floor(s * 10 + 1e-6) % 90));

/** 20 ms of what the page plays. */
function soundFrom(fromS: number) {
  const samples = Math.round(STEP_S * SOUND_RATE);
  const first = Math.round(fromS * SOUND_RATE);
  const valueAt = (n: number) =>
    n >= 0 && isMarked(n / SOUND_RATE) ? 0.5 * Math.sin((2 * Math.PI * BEEP_HZ * n) / SOUND_RATE) : 0;
  const values = Float32Array.from({ length: samples }, (_, i) => valueAt(first + i));
  return { samples, channels: [values, values] };
}

/** What a file shows: the page's moments, in tenths of seconds, one for each picture that has one; and its marks. */
function judge(path: string) {
  const tenths: number[] = [];
  const atS: number[] = [];
  const flashes: number[] = [];
  let wasWhite = false;
  readMedia(path, {
    onPicture(picture) {
      const luma = picture.planes[0]![(HEIGHT / 2) * picture.strides[0]! + WIDTH / 2]!;
      const isWhite = luma > 220;
      // Where the file begins there is no onset.
      if (isWhite && !wasWhite && picture.atS > 0.01) flashes.push(picture.atS);
      if (!isWhite) tenths.push(Math.round((luma - DARKEST) / LUMA_STEP));
      wasWhite = isWhite;
      atS.push(picture.atS);
    },
  });
  const heard = listen(path);
  const offsets = avOffsets(
    flashes,
    beepsIn(heard, { toneHz: BEEP_HZ }).map((beep) => beep.atS),
  );
  const steps = atS.slice(1).map((s, i) => s - atS[i]!);
  return { tenths, atS, frames: atS.length, longestS: Math.max(...steps), offsets, heard };
}

describe('a page’s files', () => {
  test('end their slice at each hold, and go on in step as if no time had passed', async () => {
    const page = new ScriptedPage([
      ...[
        { atS: 2.45, onhold: true },
        { atS: 4.45, onhold: false },
      ],
      // One that is over before its sound is written, and another right behind it.
      ...[
        { atS: 5.5, onhold: true },
        { atS: 5.6, onhold: false },
        { atS: 5.7, onhold: true },
      ],
      { atS: 5.8, onhold: false },
    ]);
    expect(await page.run(0, 8)).toBe(true);
    const { folder, slices, playlist } = await page.slices();
    expect(slices.map(({ discontinuity }) => discontinuity)).toEqual([true, false, false, false]);
    // Named after when they began in the world, not after where they lie in the files.
    const beganS = slices.map(({ startUtcMs }) => (startUtcMs - ZERO_UTC_MS) / 1000);
    for (const [n, s] of [0, 4.45, 5.6, 5.8].entries()) expect(Math.abs(beganS[n]! - s)).toBeLessThan(0.06);
    for (const path of [playlist, join(folder, 'x_0.mp4')]) {
      const { tenths, frames, longestS, offsets, heard } = judge(path);
      expect(Math.abs(frames - 5.8 * FPS)).toBeLessThanOrEqual(3);
      expect(longestS).toBeLessThan(2.1 / FPS);
      expect(tenths).toEqual(tenths.toSorted((a, b) => a - b));
      expect(tenths.filter((tenth) => tenth > 25 && tenth < 44)).toEqual([]);
      expect([offsets.missing, offsets.extra]).toEqual([[], []]);
      expect(offsets.eachMs).toHaveLength(5);
      expect(Math.abs(offsets.worstMs)).toBeLessThan(1000 / FPS + 1);
      expect(Math.abs(heard.endS - heard.startS - 5.8)).toBeLessThan(0.06);
    }
    expect(liveFrames()).toBe(0);
  });

  test('have no hole between two slices, wherever between two pictures a hold begins and ends', async () => {
    const holds = Array.from({ length: 14 }, (_, n) => {
      const fromS = 0.5 + n * 0.4573;
      return [
        { atS: fromS, onhold: true },
        { atS: fromS + 0.2 + n * 0.0041, onhold: false },
      ];
    });
    const page = new ScriptedPage(holds.flat());
    expect(await page.run(0, 7.2)).toBe(true);
    const { slices, playlist } = await page.slices();
    expect(slices).toHaveLength(15);
    const { tenths, offsets } = judge(playlist);
    expect(tenths).toEqual(tenths.toSorted((a, b) => a - b));
    expect(Math.abs(offsets.worstMs)).toBeLessThan(2000 / FPS);
  });

  test('hold nothing of a hold in which the recorder was lost, nor of the time until the next was there', async () => {
    const page = new ScriptedPage([
      { atS: 2.45, onhold: true },
      { atS: 5.45, onhold: false },
    ]);
    await page.run(0, 4, { lost: true });
    expect(await page.run(5, 8)).toBe(true);
    const { tenths, frames, longestS, offsets } = judge((await page.slices()).playlist);
    expect(Math.abs(frames - 5 * FPS)).toBeLessThanOrEqual(3);
    expect(longestS).toBeLessThan(3.1 / FPS);
    expect(tenths.filter((tenth) => tenth > 25 && tenth < 54)).toEqual([]);
    expect([offsets.missing, offsets.extra]).toEqual([[], []]);
    expect(Math.abs(offsets.worstMs)).toBeLessThan(2000 / FPS);
    const lost = page.happenings.flatMap((each) => (each.type === 'degraded' ? [each.what] : []));
    expect(lost).toEqual([expect.stringMatching(/^\d\d? ms of the page are lost with an earlier run$/)]);
  });

  test('lack no sound that came while the process got no time', async () => {
    const page = new ScriptedPage([]);
    await page.run(0, 6, { stallAtS: 2.7 });
    const { offsets, heard } = judge((await page.slices()).playlist);
    expect([offsets.missing, offsets.extra]).toEqual([[], []]);
    expect(offsets.eachMs).toHaveLength(5);
    expect(Math.abs(offsets.worstMs)).toBeLessThan(1000 / FPS + 1);
    expect(heard.gaps).toEqual([]);
  });

  test('have fewer pictures while the encoder is behind, all sound, and every picture again afterwards', async () => {
    const page = new ScriptedPage([]);
    await page.run(0, 22, { lagS: (nowS) => (nowS >= 2 && nowS < 8.5 ? 0.8 : 0) });
    const rungs = page.happenings.flatMap((each) => (each.type === 'rungChanged' ? [each.rung] : []));
    expect(rungs).toEqual(['fastCoding', 'fastestCoding', 'halfRate', 'fastestCoding']);
    const { folder, playlist } = await page.slices(/^[\d.]+ ms of video missing before /);
    for (const path of [playlist, join(folder, 'x_0.mp4')]) {
      const { atS, offsets, heard } = judge(path);
      const made = (fromS: number, toS: number) => atS.filter((s) => s >= fromS - 0.01 && s < toS - 0.01).length;
      expect([made(1, 7), made(9, 18), made(19.5, 21.5)]).toEqual([6 * FPS, (9 * FPS) / 2, 2 * FPS]);
      expect([offsets.missing, offsets.extra, heard.gaps]).toEqual([[], [], []]);
      expect(offsets.eachMs).toHaveLength(21);
      expect(Math.abs(offsets.worstMs)).toBeLessThan(1000 / FPS + 1);
      expect(page.report!.overload).toMatchObject({ leftOutFrames: 22 * FPS - atS.length, rung: 'fastestCoding' });
      expect(page.report!.page).toMatchObject({ frames: atS.length, leftOutFrames: 22 * FPS - atS.length });
    }
  });

  test.each([
    ['as it records', []],
    ['on hold', [{ atS: 17.83, onhold: true }]],
  ])('show their picture up to a hold and to their end %s, also where the encoder is behind there', async (_, last) => {
    // One picture in two is made at the first hold, and one in a second at the others.
    const page = new ScriptedPage([
      { atS: 5.57, onhold: true },
      { atS: 6.1, onhold: false },
      { atS: 14.27, onhold: true },
      { atS: 15.4, onhold: false },
      ...last,
    ]);
    await page.run(0, last.length > 0 ? 18.5 : 17.83, { lagS: (nowS) => (nowS >= 2 ? 0.8 : 0) });
    const rungs = page.happenings.flatMap((each) => (each.type === 'rungChanged' ? [each.rung] : []));
    expect(rungs.at(-1)).toBe('oneASecond');
    const { folder, slices, playlist } = await page.slices(/^[\d.]+ ms of video missing before /);
    expect(slices).toHaveLength(3);
    for (const { name } of slices) {
      const { atS, heard } = judge(join(folder, name));
      expect(Math.abs(atS.at(-1)! + 1 / FPS - heard.endS), name).toBeLessThan(1.1 / FPS);
    }
    expect(judge(playlist).tenths.at(-1)).toBe(178 % 90);
    const { frames } = judge(join(folder, 'x_0.mp4'));
    const places = Math.round((17.83 - 0.53 - 1.13) * FPS);
    expect(page.report!.page!.frames).toBe(frames);
    const { leftOutFrames } = page.report!.overload!;
    expect(page.report!.page!.leftOutFrames).toBe(leftOutFrames);
    expect(Math.abs(leftOutFrames + frames - places)).toBeLessThanOrEqual(2);
    expect(liveFrames()).toBe(0);
  });

  test('begin on the rung of the run that was lost', async () => {
    const page = new ScriptedPage([]);
    await page.run(0, 6, { lost: true, lagS: (nowS) => (nowS >= 1 && nowS < 3.5 ? 0.8 : 0) });
    await page.run(7, 9);
    const rungs = page.happenings.flatMap((each) => (each.type === 'rungChanged' ? [each.rung] : []));
    expect(rungs).toEqual(['fastCoding', 'fastCoding']);
  });

  test('are there when the run after a lost one ends on hold', async () => {
    const page = new ScriptedPage([{ atS: 2.45, onhold: true }]);
    await page.run(0, 4, { lost: true });
    expect(await page.run(5, 6)).toBe(true);
    expect(Math.abs(judge((await page.slices()).playlist).frames - 2.45 * FPS)).toBeLessThanOrEqual(2);
  });
});
