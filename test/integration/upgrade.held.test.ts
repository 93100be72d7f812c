/**
 * A composite recording that was begun by the version before, whose encoder made pictures that refer to later ones, and
 * goes on with this one, whose encoder makes none: its playlist, and the MP4 made of its slices, are one recording.
 */
import { execFile } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import { writeCheckpoint } from '../../src/pipeline/checkpoint/checkpoint-file.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { TsSlices } from '../../src/stages/mux/ts/ts-slices.ts';
import { Journal } from '../../src/stages/spool/journal.ts';
import { readRuns } from '../../src/stages/spool/recording-spool.ts';
import { interleave, makeAudio, makeVideo } from '../support/encoded-samples.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { listen } from '../support/judge/sound.ts';
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

test('goes on in one playlist and one MP4', async () => {
  const first = await writeFirstRun();
  const plan: MixPlan = planOf({ files: { hls: true, mp4: true } });
  const video = { ...plan.video!, ...SIZE, fps: FPS, bitrateKbps: 200 };
  const users = [{ uid: '1', participant: RED, fromS: -1, toS: 60 }];
  const made = await record(dir, users, { ...plan, video }, END_S, LOST_S + 1, [], () => {}, [first]);
  const runs = [first, made.dir];
  const { files } = await readRuns(runs);
  const slices = files.flatMap(({ file }) => (file.type === 'slice' ? [file] : []));
  const folder = join(dir, 'all');
  mkdirSync(folder);
  for (const { dir: from, file } of files) linkSync(join(from, file.name), join(folder, file.name));
  const playlist = join(folder, `${BASE}.m3u8`);
  writeFileSync(
    playlist,
    renderPlaylist(
      slices.toSorted((a, b) => a.index - b.index),
      { extinfComma: false },
    ),
  );
  expect(judgePlaylist(folder, `${BASE}.m3u8`).problems).toEqual([]);

  const last = join(dir, 'last');
  mkdirSync(last);
  const mp4 = plan.mp4Limit;
  expect(await completeRecording({ spoolDir: last, earlierDirs: runs, mp4 })).toEqual([`${BASE}_0.mp4`]);
  for (const path of [playlist, join(last, `${BASE}_0.mp4`)]) {
    const { video, audio } = probeFile(path);
    expect(video?.packets).toBe(END_S * FPS);
    expect(video?.maxStepS).toBeLessThan(1.1 / FPS);
    expect(audio?.maxStepS).toBeLessThan(0.0225);
    expect(listen(path).gaps).toEqual([]);
    // FFmpeg's reader of playlists passes over discontinuities, and calls what is not counted on corrupt.
    if (path === playlist) continue;
    const { stderr } = await run('ffmpeg', ['-v', 'warning', '-xerror', '-i', path, '-f', 'null', '-']);
    expect(stderr).toBe('');
  }
});
