/**
 * Recordings of single users that are put on hold and go on, judged by their files: by the slices, on the recording's
 * own time, and by what is made of the whole, where what was held is cut out.
 */
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Manifest, manifestSchema } from '../../src/contract/line/manifest.ts';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { castOf } from '../../src/pipeline/remix/cast.ts';
import { readSlicesIn } from '../../src/pipeline/remix/read-slice.ts';
import { remix } from '../../src/pipeline/remix/remix.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import { readSpool } from '../../src/stages/spool/journal.ts';
import {
  changesOf,
  type HeldSpan,
  heldAt,
  inFile,
  inRecording,
  marksIn,
  onBlocks,
  worstStamp,
} from '../support/held-recording.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { flashesIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { bestFitRegions, type Rect } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { hear, slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { watch } from '../support/judge/watch.ts';
import { type Kill, type Killed, recordKilled } from '../support/killed-recording.ts';
import { GREEN, type Participant, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, SID } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-hold-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const SOURCE = { width: 320, height: 180 };
const WHOLE: Rect = { x: 0, y: 0, width: 1, height: 1 };
/** How late media arrives, and is shown and heard. */
const DELAY_S = 0.02;
/** So long after a hold the first picture is there at the latest: it was asked for when the hold ended. */
const FIRST_PICTURE_S = 0.35;
const nameOf = (uid: string, type: 'audio' | 'video' | 'av') => `${BASE}__uid_s_${uid}__uid_e_${type}.m3u8`;

type Made = Killed & { folder: string; files: SpooledFile[] };

/** The recording with what is made of the whole, in one folder. */
async function record(
  users: ScriptedUser[],
  over: Partial<IndividualPlan>,
  stopS: number,
  holds: readonly HeldSpan[],
  kills: Kill[] = [],
): Promise<Made> {
  const work = mkdtempSync(join(dir, 'w'));
  const plan = individualPlanOf(over);
  const made = await recordKilled(work, users, plan, stopS, { changes: changesOf(holds), kills });
  const folder = join(work, 'all');
  mkdirSync(folder);
  const { extras } = plan;
  if (extras.mp4 || extras.manifest) {
    const command = { spoolDir: folder, earlierDirs: made.dirs, extras: { sid: SID, cname: 'room', ...extras } };
    await completeRecording(command);
  } else for (const { dir: from, file } of made.spool.files) linkSync(join(from, file.name), join(folder, file.name));
  const files = extras.mp4 ? (await readSpool(folder)).files : made.spool.files.map(({ file }) => file);
  writePlaylists(folder, files);
  return { ...made, folder, files };
}

/** Each sample of a row of slices, seconds of the recording. */
async function samplesOf({ folder, files }: Made, playlist: string) {
  const samples: { atS: number; keyFrame: boolean }[] = [];
  for (const { name } of slicesOf(files, playlist))
    for await (const { ptsUs, keyFrame } of readSamples(join(folder, name)))
      samples.push({ atS: ptsUs / 1e6, keyFrame });
  return samples;
}

/** A file of the whole shows and plays all but what was held, each at its place. */
function expectCut(path: string, who: Participant, holds: readonly HeldSpan[], endS: number, rect = WHOLE): void {
  const cuts = holds.map(([fromS]) => inFile(holds, fromS));
  const [view = []] = watch(path, [{ rect, source: SOURCE }]).views;
  // Between the end of a hold and the first picture after it the last one before may be shown, and where a file begins
  // what was sent before it, in a moment.
  const unsure = (atS: number) => atS < 0.1 || cuts.some((cutS) => atS > cutS - 0.05 && atS < cutS + FIRST_PICTURE_S);
  const sure = view.filter(({ atS }) => !unsure(atS));
  const stamps = worstStamp(sure, holds);
  expect(stamps.read).toBeGreaterThan(sure.length * 0.8);
  expect([stamps.worstS < 0.06, stamps]).toEqual([true, stamps]);
  const heard = listen(path);
  const marks = marksIn(holds, 0, endS);
  const flashes = flashesIn(view).map(({ atS }) => atS);
  const beeps = beepsIn(heard, { toneHz: who.toneHz }).map(({ atS }) => atS);
  for (const atS of marks) {
    if (!unsure(atS)) expect(Math.min(...flashes.map((flash) => Math.abs(flash - atS - DELAY_S)))).toBeLessThan(0.045);
    expect(Math.min(...beeps.map((beep) => Math.abs(beep - atS - DELAY_S)))).toBeLessThan(0.025);
  }
  const lengthS = inFile(holds, endS);
  expect(Math.abs(view.at(-1)!.atS - lengthS)).toBeLessThan(0.15);
  expect(Math.abs(heard.endS - lengthS)).toBeLessThan(0.1);
  // Blocks of single users heed no hold: they may be half of one apart.
  expect(heard.gaps.filter(({ lengthS }) => Math.abs(lengthS) > 0.011)).toEqual([]);
}

describe('a recording of single users on hold', () => {
  test('holds nothing of it: pictures go on with a key frame that is asked for, and the whole is cut', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'h264', fromS: -0.7, toS: 60, gopS: 600, answersKeyFrameRequests: true },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -0.7, toS: 60, gopS: 600, answersKeyFrameRequests: true },
    ];
    const spans: HeldSpan[] = [
      [3.33, 6.21],
      [8.4, 8.75],
    ];
    const over = {
      streamMode: 'standard',
      extras: { mp4: true, manifest: true },
      snapshots: { intervalMs: 1000 },
    } as const;
    const made = await record(users, over, 11, spans);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
    const holds = onBlocks(spans);
    for (const [uid, participant] of [
      ['1', RED],
      ['2', GREEN],
    ] as const) {
      const pictures = await samplesOf(made, nameOf(uid, 'video'));
      expect(pictures.filter(({ atS }) => heldAt(holds, atS))).toEqual([]);
      for (const [, toS] of holds) {
        const first = pictures.find(({ atS }) => atS >= toS)!;
        expect([first.keyFrame, first.atS - toS < FIRST_PICTURE_S]).toEqual([true, true]);
      }
      const sounds = await samplesOf(made, nameOf(uid, 'audio'));
      const inside = sounds.filter(({ atS }) => holds.some(([fromS, toS]) => atS > fromS && atS < toS - 0.022));
      expect(inside).toEqual([]);
      const { beeps, heard } = hear(join(made.folder, nameOf(uid, 'audio')), participant);
      expect(clicksIn(heard)).toEqual([]);
      expect(beeps.length).toBeGreaterThan(5);
      expectCut(join(made.folder, `${BASE}__uid_s_${uid}__uid_e_av_0.mp4`), participant, holds, 11);
      for (const type of ['video', 'audio'] as const) {
        const row = slicesOf(made.files, nameOf(uid, type));
        expect([uid, type, row.map(({ discontinuity }) => discontinuity)]).toEqual([uid, type, [true, true, true]]);
      }
    }
    // Together in one slice, both kinds begin at once.
    expect(judgePlaylist(made.folder, nameOf('1', 'av')).problems).toEqual([]);
    const zeroUtcMs = manifestOf(made).zeroUtcMs;
    const taken = made.files.flatMap((file) =>
      file.type === 'snapshot' ? [(file.startUtcMs - zeroUtcMs) / 1000] : [],
    );
    expect(taken.filter((atS) => heldAt(holds, atS))).toEqual([]);
    expect(taken.length).toBeGreaterThan(8);
    // The manifest says when, and what is mixed by it leaves it out.
    const manifest = manifestOf(made);
    expect(manifest.holds.map(({ fromUs, untilUs }) => [fromUs, untilUs].map((us) => Math.round(us / 100)))).toEqual(
      holds.map((hold) => hold.map((s) => Math.round(s * 10_000))),
    );
    const mixed = join(made.folder, 'mixed');
    mkdirSync(mixed);
    const cast = castOf(manifest, { audio: true, video: true, missing: new Set() });
    await remix({
      ...{ cast, fromUs: 0, toUs: manifest.endUs, holds: manifest.holds, zeroUtcMs, audio: individualSound },
      video: { ...SIZE, fps: 30, bitrateKbps: 800, backgroundColor: '#000000', layout: { kind: 'bestFit' } },
      ...{ files: { mp4: true, hls: false }, dir: mixed, baseName: 'x', threads: 1, read: readSlicesIn(made.folder) },
      mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
      onProblem: (what) => expect.unreachable(what),
    });
    for (const [n, participant] of [RED, GREEN].entries())
      expectCut(join(mixed, 'x_0.mp4'), participant, holds, 11, bestFitRegions(2)[n]!);
  });

  test.each([
    ['h264', 'standard'],
    ['vp8', 'default'],
  ] as const)('%s, %s: is the same when its run is lost on hold, and right after it', async (codec, streamMode) => {
    const user: ScriptedUser = { uid: '1', participant: RED, codec, fromS: -0.7, toS: 60, gopS: 1 };
    const spans: HeldSpan[] = [
      [3.33, 7.21],
      [8.4, 9.1],
    ];
    const whole = await record([user], { streamMode }, 12.5, spans);
    const made = await record([user], { streamMode }, 12.5, spans, [
      { atS: 5.2, downS: 0.8 },
      { atS: 9.2, downS: 0.8 },
    ]);
    expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
    const rows = new Set(whole.files.flatMap((file) => (file.type === 'slice' ? [file.playlist] : [])));
    const rounded = async (from: Made, row: string) =>
      (await samplesOf(from, row)).map(({ atS, keyFrame }) => [Math.round(atS * 1000), keyFrame]);
    for (const row of rows) expect([row, await rounded(made, row)]).toEqual([row, await rounded(whole, row)]);
    expect(made.files.map(({ name }) => name).sort()).toEqual(whole.files.map(({ name }) => name).sort());
  });

  // A packet of sound that begins right after a hold sounds from before it.
  test.each([[[]], [[{ atS: 1.88, downS: 0.5 }]]])(
    'goes on where a short hold ends, with runs lost at %j',
    async (kills) => {
      const user: ScriptedUser = { uid: '1', participant: RED, codec: 'h264', fromS: -0.7, toS: 60 };
      const spans: HeldSpan[] = [[1.85, 2.43]];
      const made = await record([user], { streamMode: 'standard' }, 6, spans, kills);
      const holds = onBlocks(spans);
      const inside = (atS: number) => holds.some(([fromS, toS]) => atS > fromS && atS < toS - 0.022);
      for (const row of ['audio', 'av'] as const) {
        const times = (await samplesOf(made, nameOf('1', row))).map(({ atS }) => atS);
        expect([row, times.filter(inside)]).toEqual([row, []]);
        // What follows begins where the hold ends.
        expect(Math.min(...times.filter((atS) => atS > 2)) - holds[0]![1]).toBeLessThan(0.03);
      }
    },
  );

  test('gives MP4s that are cut at their limit their own times, also of what is transcoded', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'h264', fromS: -0.7, toS: 60 },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -0.7, toS: 60 },
    ];
    const spans: HeldSpan[] = [[3.33, 6.21]];
    const extras = { mp4: true, mp4Limit: { durationMs: 4000, bytes: 2_000_000_000 }, manifest: true };
    const made = await record(users, { extras }, 11, spans);
    const holds = onBlocks(spans);
    const { mp4s } = manifestOf(made);
    for (const [uid, participant] of [
      ['1', RED],
      ['2', GREEN],
    ] as const) {
      const own = mp4s.filter((file) => file.uid === uid);
      expect(own.map(({ name }) => name)).toEqual(own.map((_, n) => `${BASE}__uid_s_${uid}__uid_e_av_${n}.mp4`));
      expect(own.length).toBeGreaterThanOrEqual(2);
      let fileS = 0;
      const [flashes, beeps]: [number[], number[]] = [[], []];
      for (const { name, startUs, durationUs } of own) {
        expect(Math.abs(startUs / 1e6 - inRecording(holds, fileS))).toBeLessThan(0.03);
        const path = join(made.folder, name);
        const [view = []] = watch(path, [{ rect: WHOLE, source: SOURCE }]).views;
        flashes.push(...flashesIn(view).map(({ atS }) => atS + fileS));
        beeps.push(...beepsIn(listen(path), { toneHz: participant.toneHz }).map(({ atS }) => atS + fileS));
        fileS += durationUs / 1e6;
      }
      expect(Math.abs(fileS - inFile(holds, 11))).toBeLessThan(0.1);
      for (const marks of [flashes, beeps])
        for (const atS of marksIn(holds, 0, 11))
          expect(Math.min(...marks.map((mark) => Math.abs(mark - atS - DELAY_S)))).toBeLessThan(0.06);
    }
  });

  test('passes Opus on around it', async () => {
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -0.7, toS: 60, video: false };
    const over = { streamMode: 'original', records: { audio: true, video: false } } as const;
    const spans: HeldSpan[] = [[3.33, 6.21]];
    const made = await record([user], { ...over, extras: { mp4: true, manifest: true } }, 9.5, spans);
    const [[fromS, toS]] = onBlocks(spans) as [HeldSpan];
    const packets = (await samplesOf(made, nameOf('1', 'audio'))).map(({ atS }) => atS);
    const last = packets.findLast((atS) => atS < toS - 0.001)!;
    const next = packets.find((atS) => atS > last)!;
    expect([fromS - last < 0.0201 && last < fromS, next - toS < 0.0201 && next >= toS - 0.001]).toEqual([true, true]);
    const heard = listen(join(made.folder, `${BASE}__uid_s_1__uid_e_av_0.mp4`));
    const beeps = beepsIn(heard, { toneHz: RED.toneHz }).map(({ atS }) => atS);
    for (const atS of marksIn(onBlocks(spans), 0, 9.5))
      expect(Math.min(...beeps.map((beep) => Math.abs(beep - atS - DELAY_S)))).toBeLessThan(0.025);
  });
});

const SIZE = { width: 640, height: 360 };
const individualSound = { channels: 1 as const, bitrateKbps: 64 };

function manifestOf({ folder }: Pick<Made, 'folder'>): Manifest {
  return manifestSchema.parse(JSON.parse(readFileSync(join(folder, `${BASE}_manifest.json`), 'utf8')));
}
