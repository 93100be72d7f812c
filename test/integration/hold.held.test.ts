/**
 * Composite recordings that are put on hold and go on, judged by their files: what was held is cut out of picture and
 * sound, and nothing else is.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import type { Segment } from '../../src/media/segment.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { changesOf, type HeldSpan, inFile, marksIn, onBlocks, worstStamp } from '../support/held-recording.ts';
import { seededRandom } from '../support/impair/random.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { flashesIn, isColour } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { type ChangeAt, joinRuns, type Kill, type Killed, recordKilled } from '../support/killed-recording.ts';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, planOf } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-hold-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const SOURCE = { width: 320, height: 180 };
const FRAME_S = 1 / 30;
/** How late media arrives, and is shown and heard. */
const DELAY_S = 0.02;
const TWO: ScriptedUser[] = [
  { uid: '1', participant: RED, codec: 'h264', fromS: -1, toS: 60 },
  { uid: '2', participant: GREEN, codec: 'vp8', fromS: -1, toS: 60 },
];
const HLS = { files: { hls: true, mp4: false } };

type Made = Killed & { folder: string; slices: Segment[]; playlist: string; mp4: string };

async function record(
  users: ScriptedUser[],
  over: Partial<MixPlan>,
  stopS: number,
  changes: ChangeAt[],
  kills: Kill[] = [],
): Promise<Made> {
  const work = mkdtempSync(join(dir, 'w'));
  const made = await recordKilled(work, users, planOf(over), stopS, { changes, kills });
  const joined = joinRuns(made, join(work, 'all'));
  return { ...made, ...joined, mp4: join(joined.folder, `${BASE}_0.mp4`) };
}

/** Every frame and every beep of the first user is where the model has it, and nothing clicks. */
function expectHeld(path: string, holds: readonly HeldSpan[], endS: number, regions = bestFitRegions(2)): void {
  const [view = []] = watch(path, [{ rect: regions[0]!, source: SOURCE }]).views;
  const heard = listen(path);
  const lengthS = inFile(holds, endS);
  expect(Math.abs(view.length - lengthS * 30)).toBeLessThanOrEqual(1.01);
  const steps = view.slice(1).map(({ atS }, n) => atS - view[n]!.atS);
  expect(Math.max(...steps)).toBeLessThan(FRAME_S + 0.001);
  const stamps = worstStamp(view, holds);
  expect(stamps.read).toBeGreaterThan(view.length * 0.8);
  expect([stamps.worstS < FRAME_S + 0.011, stamps]).toEqual([true, stamps]);
  const marks = marksIn(holds, 0, endS);
  const flashes = flashesIn(view).map(({ atS }) => atS);
  const beeps = beepsIn(heard, { toneHz: RED.toneHz }).map(({ atS }) => atS);
  for (const atS of marks) {
    expect(Math.min(...flashes.map((flash) => Math.abs(flash - atS - DELAY_S)))).toBeLessThan(FRAME_S + 0.002);
    expect(Math.min(...beeps.map((beep) => Math.abs(beep - atS - DELAY_S)))).toBeLessThan(0.008);
  }
  const near = (atS: number) => marks.some((mark) => Math.abs(mark - atS) < 0.1);
  const offsets = avOffsets(flashes.filter(near), beeps.filter(near));
  expect([offsets.missing, offsets.extra]).toEqual([[], []]);
  expect(Math.abs(offsets.worstMs)).toBeLessThan(40);
  expect(heard.gaps).toEqual([]);
  expect(Math.abs(heard.endS - heard.startS - lengthS)).toBeLessThan(0.06);
  expect(clicksIn(heard)).toEqual([]);
}

function reportOf({ folder, spool }: Pick<Made, 'folder' | 'spool'>): QualityReport {
  const report = spool.files.find(({ file }) => file.type === 'document')!;
  return JSON.parse(readFileSync(join(folder, report.file.name), 'utf8'));
}

describe('a composite recording on hold', () => {
  test('is one playlist and one MP4 without what was held, in step before and after', async () => {
    const spans: HeldSpan[] = [
      [4.33, 7.21],
      [9.5, 9.57],
    ];
    const again = [...changesOf(spans), ...changesOf([[5, 8.1]])].sort((a, b) => a.atS - b.atS);
    const made = await record(TWO, {}, 13, again);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
    const holds = onBlocks(spans);
    expectHeld(made.mp4, holds, 13);
    expectHeld(made.playlist, holds, 13);
    expect(judgePlaylist(made.folder, `${BASE}.m3u8`).problems).toEqual([]);
    // One transport stream, whose slices end at holds and are named after when they really began.
    expect(made.slices.map(({ discontinuity }) => discontinuity)).toEqual([true, false, false]);
    const zeroUtcMs = made.slices[0]!.startUtcMs;
    const began = [0, ...holds.map(([, toS]) => toS)];
    for (const [n, { startUtcMs, heldUs = 0 }] of made.slices.entries()) {
      expect(Math.abs(startUtcMs - zeroUtcMs - began[n]! * 1000)).toBeLessThan(FRAME_S * 1000 + 1);
      expect(heldUs / 1e6).toBeCloseTo(began[n]! - inFile(holds, began[n]!), 4);
    }
    const report = reportOf(made);
    expect(report.holds?.map(({ fromMs, durationMs }) => [fromMs, durationMs])).toEqual(
      holds.map(([fromS, toS]) => [Math.round(fromS * 1000), Math.round((toS - fromS) * 1000)]),
    );
    const tracks = report.participants.flatMap((participant) => participant.tracks);
    expect(tracks.map(({ gaps, video }) => [...gaps, ...(video?.frozen ?? [])])).toEqual(tracks.map(() => []));
    expect(tracks.map(({ audio }) => audio?.silenceMs ?? 0)).toEqual(tracks.map(() => 0));
  });

  test('has MP4s that are cut at their limit before, behind and within holds, each in step from its zero', async () => {
    const limit = { durationMs: 3000, bytes: 1e12 };
    // The first MP4 is full while the first hold goes on, and the second ends right at the next.
    const spans: HeldSpan[] = [
      [2.9, 4.2],
      [7.2, 7.31],
      [8.05, 9.4],
    ];
    const made = await record(TWO, { mp4Limit: limit }, 12, changesOf(spans));
    const holds = onBlocks(spans);
    const parts = made.spool.files.flatMap(({ file }) => (file.type === 'mp4' ? [file.name] : []));
    expect(parts.length).toBeGreaterThan(1);
    expect(parts).toEqual(parts.map((_, n) => `${BASE}_${n}.mp4`));
    let beginS = 0;
    for (const name of parts) {
      const path = join(made.folder, name);
      const { video, audio } = probeFile(path);
      expect([video!.startS, Math.abs(video!.endS - audio!.endS) < 0.05]).toEqual([0, true]);
      const [view = []] = watch(path, [{ rect: bestFitRegions(2)[0]!, source: SOURCE }]).views;
      // Where this part begins in the whole of what was not held.
      const inWhole = view.map((reading) => ({ ...reading, atS: reading.atS + beginS }));
      const stamps = worstStamp(inWhole, holds);
      expect([stamps.worstS < FRAME_S + 0.011, stamps]).toEqual([true, stamps]);
      const heard = listen(path);
      expect([heard.gaps, clicksIn(heard)]).toEqual([[], []]);
      const beeps = beepsIn(heard, { toneHz: RED.toneHz }).map(({ atS }) => atS + beginS);
      const endS = beginS + view.length * FRAME_S;
      for (const atS of marksIn(holds, 0, 12))
        if (atS > beginS + 0.1 && atS < endS - 0.2)
          expect(Math.min(...beeps.map((beep) => Math.abs(beep - atS - DELAY_S)))).toBeLessThan(0.008);
      beginS = endS;
    }
    expect(Math.abs(beginS - inFile(holds, 12))).toBeLessThan(2 * FRAME_S);
  });

  test('begins on hold, shows who came and what was asked for meanwhile, and ends on hold', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'vp8', fromS: -1, toS: 60 },
      { uid: '2', participant: GREEN, codec: 'h264', fromS: -1, toS: 5.5 },
      { uid: '3', participant: BLUE, codec: 'vp8', fromS: 5.2, toS: 60, gopS: 30 },
    ];
    const layout: ChangeAt = {
      atS: 5.8,
      change: { type: 'changeLayout', layout: { kind: 'floating' }, backgroundColor: '#204060' },
    };
    const spans: HeldSpan[] = [
      [4.5, 7.4],
      [10.4, 12],
    ];
    const resumed: ChangeAt = { atS: 1.5, change: { type: 'changeHold', onhold: false } };
    const changes = [resumed, ...changesOf(spans), layout].sort((a, b) => a.atS - b.atS);
    const made = await record(users, { ...HLS, onhold: true }, 11.6, changes);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    // What was held before the files begin is none of their time.
    const [first, last] = onBlocks(spans, 1.5) as [HeldSpan, HeldSpan];
    const frames = Math.round((first[0] - 1.5 + last[0] - first[1]) * 30);
    const [view = [], small = []] = watch(made.playlist, [
      { rect: { x: 0.55, y: 0.3, width: 0.4, height: 0.4 } },
      { rect: { x: 0.03, y: 0.77, width: 0.2, height: 0.2 } },
    ]).views;
    expect(Math.abs(view.length - frames)).toBeLessThanOrEqual(1);
    const cutAt = Math.round((first[0] - 1.5) * 30);
    expect(isColour(view[cutAt - 3]!, GREEN.colour)).toBe(true);
    // In the other layout, without who left, and with who came, though the only whole picture was sent long before.
    expect(isColour(view[cutAt + 2]!, RED.colour)).toBe(true);
    expect(isColour(small[cutAt + 2]!, BLUE.colour)).toBe(true);
    expect(judgePlaylist(made.folder, `${BASE}.m3u8`).problems).toEqual([]);
  });

  test('goes on as if nothing had been when its run is lost on hold, and right after it', async () => {
    const spans: HeldSpan[] = [
      [4.33, 7.9],
      [8.7, 9.6],
    ];
    const kills: Kill[] = [
      { atS: 6.1, downS: 0.8 },
      { atS: 9.64, downS: 0.6 },
    ];
    const made = await record(TWO, {}, 13, changesOf(spans), kills);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
    expectHeld(made.playlist, onBlocks(spans), 13);
    expect(judgePlaylist(made.folder, `${BASE}.m3u8`).problems).toEqual([]);
    expect(reportOf(made).holds?.map(({ fromMs }) => Math.round(fromMs / 50))).toEqual([87, 174]);
    // Of several runs the MP4 is made at the end, from the slices.
    const spoolDir = join(dir, 'complete');
    mkdirSync(spoolDir);
    await completeRecording({ spoolDir, earlierDirs: made.dirs, mp4: { durationMs: 1e7, bytes: 1e12 } });
    expectHeld(join(spoolDir, `${BASE}_0.mp4`), onBlocks(spans), 13);
  });

  test('keeps to a model through any sequence of holds', async () => {
    const random = seededRandom(14);
    const spans: HeldSpan[] = [];
    for (let atS = 0.5 + random(); atS < 19; ) {
      const lengthS = random() < 0.4 ? 0.04 + random() * 0.3 : random() * 3;
      const toS = Math.round((atS + lengthS) * 100) / 100;
      spans.push([Math.round(atS * 100) / 100, toS]);
      atS = toS + 0.05 + random() * 2.5;
    }
    const made = await record(TWO, {}, 20, changesOf(spans));
    const holds = onBlocks(spans);
    expectHeld(made.mp4, holds, 20);
    expect(judgePlaylist(made.folder, `${BASE}.m3u8`).problems).toEqual([]);
  });
});
