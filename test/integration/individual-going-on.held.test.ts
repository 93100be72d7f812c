/**
 * Recordings of every user alone whose run is lost and gone on with, judged by their files: the same pictures and
 * sounds lie in them as in those of a run that lived.
 */
import { cpSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import type { VideoCodec } from '../../src/media/track.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import { readSpool, writeJournal } from '../../src/stages/spool/journal.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { hear, onSeconds, see, slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { type Kill, type KilledOptions, recordKilled } from '../support/killed-recording.ts';
import { GREEN, PARTICIPANTS, type Participant, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, type Made, record as recordScript } from '../support/scripted-recording.ts';

/** Long enough for a second slice, and for some seconds after the latest loss. */
const STOP_S = 23.5;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-whole-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Way = { codec: VideoCodec; streamMode: IndividualPlan['streamMode'] };
const userOf = (codec: VideoCodec): ScriptedUser => {
  return { uid: '1', participant: RED, codec, fromS: -0.7, toS: 60, gopS: 2 };
};
const wholes = new Map<string, Promise<Made>>();
/** The same recording by a run that lived, made once for all runs that are lost of it. */
function wholeOf({ codec, streamMode }: Way): Promise<Made> {
  const key = `${codec} ${streamMode}`;
  const made =
    wholes.get(key) ??
    recordScript(mkdtempSync(join(folder, 'w')), [userOf(codec)], individualPlanOf({ streamMode }), STOP_S);
  wholes.set(key, made);
  return made;
}

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-going-on-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const nameOf = (uid: string, type: 'audio' | 'video' | 'av') => `${BASE}__uid_s_${uid}__uid_e_${type}.m3u8`;
const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const lose = (...atS: number[]): Kill[] => atS.map((at) => ({ atS: at, downS: 0.8 }));

type KilledRecording = Awaited<ReturnType<typeof record>>;
const record = async (
  users: ScriptedUser[],
  over: Partial<IndividualPlan>,
  stopS: number,
  kills: Kill[],
  more: Pick<KilledOptions, 'onLost'> = {},
) => {
  const made = await recordKilled(mkdtempSync(join(dir, 'k')), users, individualPlanOf(over), stopS, {
    kills,
    ...more,
  });
  const all = mkdtempSync(join(dir, 'all-'));
  for (const { dir: from, file } of made.spool.files) cpSync(join(from, file.name), join(all, file.name));
  const files = made.spool.files.map(({ file }) => file);
  writePlaylists(all, files);
  return { ...made, dir: all, files };
};

/** Each sample of a row of slices: its kind and time in milliseconds, in order. */
async function samplesOf(made: { dir: string; files: readonly SpooledFile[] }, playlist: string) {
  const samples: { kind: string; ms: number }[] = [];
  for (const { name } of slicesOf(made.files, playlist))
    for await (const { kind, ptsUs } of readSamples(join(made.dir, name)))
      samples.push({ kind, ms: Math.round(ptsUs / 1000) });
  return samples.sort((a, b) => a.ms - b.ms || a.kind.localeCompare(b.kind));
}

/** Rows are numbered through, names are there once, and each list has one discontinuity for each loss at most. */
function judgeRows({ files }: KilledRecording, kills: number): void {
  expect(new Set(files.map(({ name }) => name)).size).toBe(files.length);
  const slices = files.filter((file) => file.type === 'slice');
  for (const playlist of new Set(slices.map((slice) => slice.playlist))) {
    const row = slicesOf(files, playlist);
    expect([playlist, row.map(({ index }) => index)]).toEqual([playlist, row.map((_, n) => n)]);
    expect(row.filter(({ discontinuity }) => discontinuity).length).toBeLessThanOrEqual(1 + kills);
  }
}

function degraded({ happenings }: Pick<KilledRecording, 'happenings'>) {
  return happenings.filter(({ type }) => type === 'degraded');
}

describe('a lost run is gone on with', () => {
  test.each([
    ['h264', 'standard', 7.3],
    ['h264', 'standard', 15.4],
    // The slice had just been begun, and nothing of it was on disk.
    ['h264', 'standard', 16.4],
    ['h264', 'default', 19.9],
    ['vp8', 'standard', 17.6],
    ['vp9', 'default', 12.2],
    ['av1', 'default', 16.5],
  ] as const)('%s, %s, lost at %f s: every picture and every block of sound lies in the files once', async (...row) => {
    const [codec, streamMode, atS] = row;
    const whole = await wholeOf({ codec, streamMode });
    const made = await record([userOf(codec)], { streamMode }, STOP_S, lose(atS));
    expect(degraded(made)).toEqual([]);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    judgeRows(made, 1);
    const rows = new Set(whole.files.flatMap((file) => (file.type === 'slice' ? [file.playlist] : [])));
    for (const playlist of rows)
      expect([playlist, await samplesOf(made, playlist)]).toEqual([playlist, await samplesOf(whole, playlist)]);
    expect(made.files.map(({ name }) => name).sort()).toEqual(whole.files.map(({ name }) => name).sort());
    const heard = hear(join(made.dir, nameOf('1', 'audio')), RED);
    expect(onSeconds(heard.beeps).seconds.filter((s) => s > 0)).toEqual(seconds(1, 24));
    writePlaylists(whole.dir, whole.files);
    expect(clicksIn(heard.heard)).toEqual(clicksIn(hear(join(whole.dir, nameOf('1', 'audio')), RED).heard));
    const flashes = slicesOf(made.files, nameOf('1', 'video')).flatMap(
      ({ name }) => see(join(made.dir, name), RED).flashes,
    );
    expect(onSeconds(flashes).seconds.filter((s) => s > 0 && s % 2 > 0)).toEqual(
      seconds(1, 24).filter((s) => s % 2 > 0),
    );
  });

  test.each([
    ['h264', 'standard', 12.2],
    // The slice before has just ended, and is on its way to the disk.
    ['h264', 'default', 16.3],
  ] as const)('given up by a process that lives, beside another recording: %s, %s, at %f s', async (...row) => {
    const [codec, streamMode, atS] = row;
    const whole = await wholeOf({ codec, streamMode });
    const [made, other] = await Promise.all([
      record([userOf(codec)], { streamMode }, STOP_S, [{ atS, downS: 0.8, isGivenUp: true }]),
      recordScript(mkdtempSync(join(dir, 'other')), [userOf(codec)], individualPlanOf({ streamMode }), STOP_S),
    ]);
    expect(degraded(made)).toEqual([]);
    judgeRows(made, 1);
    const rows = new Set(whole.files.flatMap((file) => (file.type === 'slice' ? [file.playlist] : [])));
    for (const playlist of rows)
      for (const each of [made, other])
        expect([playlist, await samplesOf(each, playlist)]).toEqual([playlist, await samplesOf(whole, playlist)]);
  });

  test.each(['h264', 'vp8'] as const)(
    'lost after %s slices had ended and before their journal listed them: all of them lies in the files once',
    async (codec) => {
      const way = { codec, streamMode: 'standard' as const };
      const whole = await wholeOf(way);
      const made = await record([userOf(codec)], way, STOP_S, lose(18.4), {
        // So a run is lost that waits for its disk: the next slices are begun, and the first are not in the journal.
        onLost: async (lost) => {
          const { files, leftovers } = await readSpool(lost);
          expect(leftovers.length).toBeGreaterThan(1);
          for (const { name } of files) renameSync(join(lost, name), join(lost, `${name}.part`));
          await writeJournal(lost, []);
        },
      });
      judgeRows(made, 1);
      const rows = new Set(whole.files.flatMap((file) => (file.type === 'slice' ? [file.playlist] : [])));
      for (const playlist of rows)
        expect([playlist, await samplesOf(made, playlist)]).toEqual([playlist, await samplesOf(whole, playlist)]);
    },
  );

  test('passes Opus on through it', async () => {
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -0.7, toS: 60, video: false };
    const over = { streamMode: 'original', records: { audio: true, video: false } } as const;
    const whole = await recordScript(dir, [user], individualPlanOf(over), 20.5);
    const made = await record([user], over, 20.5, lose(5.3, 16.1));
    expect(degraded(made)).toEqual([]);
    judgeRows(made, 2);
    expect(await samplesOf(made, nameOf('1', 'audio'))).toEqual(await samplesOf(whole, nameOf('1', 'audio')));
    const { beeps } = hear(join(made.dir, nameOf('1', 'audio')), RED);
    expect(onSeconds(beeps).seconds.filter((s) => s > 0)).toEqual(seconds(1, 21));
  });

  test('twice in a short while, with people who come and go', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -0.7, toS: 60, gopS: 4 },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: 3.4, toS: 9.3 },
      { uid: '2', participant: GREEN, codec: 'vp8', fromS: 11.2, toS: 60 },
      { uid: '3', participant: PARTICIPANTS[2] as Participant, fromS: 10.1, toS: 60 },
    ];
    const whole = await recordScript(dir, users, individualPlanOf({ streamMode: 'standard' }), 22.5);
    const made = await record(users, { streamMode: 'standard' }, 22.5, [
      { atS: 9.6, downS: 0.8 },
      { atS: 11.6, downS: 0.9 },
    ]);
    expect(degraded(made)).toEqual([]);
    judgeRows(made, 2);
    const rows = new Set(whole.files.flatMap((file) => (file.type === 'slice' ? [file.playlist] : [])));
    for (const playlist of rows)
      expect([playlist, await samplesOf(made, playlist)]).toEqual([playlist, await samplesOf(whole, playlist)]);
    for (const uid of ['1', '3']) expect(judgePlaylist(made.dir, nameOf(uid, 'av')).problems).toEqual([]);
  });

  test('snapshots are taken at their times, none twice', async () => {
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -0.7, toS: 60, gopS: 3 };
    const over = { streamMode: 'none', snapshots: { intervalMs: 5000 } } as const;
    const made = await record([user], over, 26.5, lose(10.7, 18.2));
    const at = made.files.flatMap((file) => (file.type === 'snapshot' ? [file.startUtcMs] : [])).sort((a, b) => a - b);
    expect(new Set(at).size).toBe(at.length);
    const zero = at[0]!;
    expect(at.map((ms) => Math.round((ms - zero) / 5000))).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
