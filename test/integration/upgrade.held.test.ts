/**
 * A composite recording that was begun by the version before, whose encoder made pictures that refer to later ones, and
 * goes on with this one, whose encoder makes none: its playlist is one recording, and so are the MP4s made of its
 * slices, one for each encoder.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import { writeCheckpoint } from '../../src/pipeline/checkpoint/checkpoint-file.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { TsSlices } from '../../src/stages/mux/ts/ts-slices.ts';
import { Journal } from '../../src/stages/spool/journal.ts';
import { readRuns } from '../../src/stages/spool/recording-spool.ts';
import { interleave, makeAudio, makeVideo } from '../support/encoded-samples.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { withInput } from '../support/judge/read-media.ts';
import { listen } from '../support/judge/sound.ts';
import { joinRuns } from '../support/killed-recording.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { RED } from '../support/media/participants.ts';
import { BASE, planOf, record } from '../support/scripted-recording.ts';

const run = promisify(execFile);
const FPS = 15;
const SIZE = { width: 160, height: 90 };
/** When the first run is lost, in the middle of its second slice, and when the recording ends. */
const LOST_S = 21;
const END_S = 27;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-upgrade-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** What the run before left: a finished slice, and one that it was writing. */
async function writeFirstRun(): Promise<string> {
  const first = join(dir, 'first');
  mkdirSync(first);
  const picture = await makeVideo({ seconds: LOST_S, ...SIZE, fps: FPS, keyIntervalFrames: 3 * FPS, bFrames: 2 });
  const sound = await makeAudio({ seconds: LOST_S, channels: 1 });
  const journal = await Journal.open(first);
  const zeroUtcMs = new ManualClock().nowMs() + 60_000;
  let finished = 0;
  const slices = new TsSlices({
    ...{ dir: first, baseName: BASE, zeroUtcMs },
    video: { ...SIZE, fps: FPS, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 1, extradata: sound.extradata },
    async onFile(file) {
      await journal.append(file);
      finished++;
    },
  });
  for (const sample of interleave(picture.samples, sound.samples)) slices.write(sample);
  await expect.poll(() => finished).toBe(1);
  slices.close();
  await journal.close();
  const begun = { frame: 0, sample: 0, continues: false };
  await writeCheckpoint(first, { version: 1, mode: 'mix', originUs: 0, begun, moment: undefined });
  expect(readdirSync(first).filter((name) => name.endsWith('.ts.part'))).toHaveLength(1);
  return first;
}

/** The sequence parameter set that the index of an MP4 tells (avcC, ISO/IEC 14496-15 §5.3.3.1). */
function toldSetOf(path: string): Buffer {
  const config = withInput(path, ({ streams }) => {
    const stream = streams.find(({ codecpar }) => codecpar.width > 0);
    return Buffer.from(stream?.codecpar.extradata ?? []);
  });
  return config.subarray(8, 8 + config.readUInt16BE(6));
}

test('goes on in one playlist, and in MP4s that follow each other', async () => {
  const first = await writeFirstRun();
  const plan: MixPlan = planOf({ files: { hls: true, mp4: true } });
  const video = { ...plan.video!, ...SIZE, fps: FPS, bitrateKbps: 200 };
  const users = [{ uid: '1', participant: RED, fromS: -1, toS: 60 }];
  const made = await record(dir, users, { ...plan, video }, END_S, LOST_S + 1, [], () => {}, [first]);
  const runs = [first, made.dir];
  const { folder, playlist } = joinRuns({ spool: await readRuns(runs) }, join(dir, 'all'));
  expect(judgePlaylist(folder, `${BASE}.m3u8`).problems).toEqual([]);

  const last = join(dir, 'last');
  mkdirSync(last);
  const mp4 = plan.mp4Limit;
  const mp4s = [`${BASE}_0.mp4`, `${BASE}_1.mp4`];
  expect(await completeRecording({ spoolDir: last, earlierDirs: runs, mp4 })).toEqual(mp4s);
  const paths = mp4s.map((name) => join(last, name));
  // Some players heed no parameter sets but those of the index: each file has one, for all its pictures.
  const [before, after] = paths.map((path) => ({ bytes: readFileSync(path), told: toldSetOf(path) }));
  expect(before!.told.length).toBeGreaterThan(10);
  expect([before!.bytes.includes(before!.told), before!.bytes.includes(after!.told)]).toEqual([true, false]);
  expect([after!.bytes.includes(after!.told), after!.bytes.includes(before!.told)]).toEqual([true, false]);
  expect(paths.reduce((sum, path) => sum + probeFile(path).video!.packets, 0)).toBe(END_S * FPS);
  expect(probeFile(playlist).video?.packets).toBe(END_S * FPS);
  for (const path of [playlist, ...paths]) {
    const { video, audio } = probeFile(path);
    expect(video?.maxStepS).toBeLessThan(1.1 / FPS);
    expect(audio?.maxStepS).toBeLessThan(0.0225);
    expect(listen(path).gaps).toEqual([]);
    // FFmpeg's reader of playlists passes over discontinuities, and calls what is not counted on corrupt.
    if (path === playlist) continue;
    const { stderr } = await run('ffmpeg', ['-v', 'warning', '-xerror', '-i', path, '-f', 'null', '-']);
    expect(stderr).toBe('');
  }
});
