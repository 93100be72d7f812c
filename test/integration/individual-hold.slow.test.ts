/**
 * Recordings of single users that are put on hold and go on, judged by their files: by the slices, on the recording's
 * own time, and by what is made of the whole, where what was held is cut out.
 */
import { linkSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import { readSpool } from '../../src/stages/spool/journal.ts';
import { changesOf, type HeldSpan, heldAt, marksIn, onBlocks } from '../support/held-recording.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { hear, slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { type Kill, type Killed, recordKilled } from '../support/killed-recording.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, SID } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-hold-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

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

describe('a recording of single users on hold', { timeout: 180_000 }, () => {
  test('holds nothing of it: pictures go on with a key frame that is asked for', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'h264', fromS: -0.7, toS: 60, gopS: 600, answersKeyFrameRequests: true },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: -0.7, toS: 60, gopS: 600, answersKeyFrameRequests: true },
    ];
    const spans: HeldSpan[] = [
      [3.33, 6.21],
      [8.4, 8.75],
    ];
    const made = await record(users, { streamMode: 'standard' }, 11, spans);
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
      // A recording begins in the middle of a wave.
      expect(clicksIn(heard).filter((atS) => atS > 0.25)).toEqual([]);
      expect(beeps.length).toBeGreaterThan(5);
      for (const type of ['video', 'audio'] as const) {
        const row = slicesOf(made.files, nameOf(uid, type));
        expect([uid, type, row.map(({ discontinuity }) => discontinuity)]).toEqual([uid, type, [true, true, true]]);
      }
    }
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
