/**
 * What the ffmpeg and ffprobe programs say of our files: strangers' readers, older than the library that wrote them.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { interleave, makeAudio, makeVideo } from '../../../test/support/encoded-samples.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { renderPlaylist } from './hls/playlist.ts';
import { Mp4Files } from './mp4/mp4-files.ts';
import { TsSlices } from './ts/ts-slices.ts';

const run = promisify(execFile);
const SECONDS = 34;
const FPS = 30;
let dir: string;
let slices: SpooledFile[];
let mp4s: SpooledFile[];
/** All slices in one file. */
let whole: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-files-'));
  const size = { width: 320, height: 180, fps: FPS };
  const picture = await makeVideo({ ...size, seconds: SECONDS, keyIntervalFrames: 90, bFrames: 3 });
  const sound = await makeAudio({ seconds: SECONDS, channels: 2 });
  slices = [];
  mp4s = [];
  const common = {
    dir,
    baseName: 'x',
    zeroUtcMs: Date.UTC(2026, 0, 1),
    video: { ...size, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 2 as const, extradata: sound.extradata },
  };
  const ts = new TsSlices({ ...common, onFile: (file) => void slices.push(file) });
  const mp4 = new Mp4Files({
    ...common,
    limit: { durationMs: 20_000, bytes: 1e9 },
    onFile: (file) => void mp4s.push(file),
  });
  for (const sample of interleave(picture.samples, sound.samples)) {
    ts.write(sample);
    mp4.write(sample);
  }
  await ts.finish();
  await mp4.finish();
  whole = join(dir, 'whole.ts');
  writeFileSync(whole, Buffer.concat(slices.map(({ name }) => readFileSync(join(dir, name)))));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Every complaint of a full decode. */
async function complaints(path: string): Promise<string> {
  const { stderr } = await run('/usr/bin/ffmpeg', ['-v', 'warning', '-xerror', '-i', path, '-f', 'null', '-']);
  return stderr;
}

/**
 * Seconds at which the picture's left half lights up (within the first tenth of each second) and at which the beep
 * begins.
 */
async function marks(path: string): Promise<{ flashes: number[]; beeps: number[] }> {
  const raw = (args: string[]) =>
    run('/usr/bin/ffmpeg', ['-v', 'error', '-copyts', '-i', path, ...args, '-'], {
      encoding: 'buffer',
      maxBuffer: 1e9,
    }).then(({ stdout }) => stdout);
  const grey = await raw(['-vf', 'crop=8:8:40:80', '-fps_mode', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'gray']);
  const sound = await raw(['-f', 'f32le', '-ac', '1']);
  const flashes: number[] = [];
  for (let i = 0; i * 64 < grey.length; i++)
    if (grey[i * 64]! > 120 && (i === 0 || grey[(i - 1) * 64]! <= 120)) flashes.push(i / FPS);
  const beeps: number[] = [];
  let quiet = 48_000;
  for (let i = 0; i * 4 < sound.length; i++) {
    const isLoud = Math.abs(sound.readFloatLE(i * 4)) > 0.1;
    if (isLoud && quiet > 4800) beeps.push(i / 48_000);
    quiet = isLoud ? 0 : quiet + 1;
  }
  return { flashes, beeps };
}

test('each file decodes without a complaint, and has the steady rate', async () => {
  expect(slices.length).toBe(3);
  expect(mp4s.length).toBe(2);
  for (const { name, durationUs } of [...slices, ...mp4s]) {
    const path = join(dir, name);
    expect(await complaints(path), name).toBe('');
    const entries = 'format=duration:stream=r_frame_rate,codec_type';
    const { stdout } = await run('/usr/bin/ffprobe', ['-v', 'error', '-show_entries', entries, '-of', 'json', path]);
    const { format, streams } = JSON.parse(stdout) as {
      format: { duration: string };
      streams: { codec_type: string; r_frame_rate: string }[];
    };
    expect(streams.find((s) => s.codec_type === 'video')?.r_frame_rate).toBe('30/1');
    // Sound ends on its own grid of 21 ms, at either end of a slice.
    expect(Math.abs(Number(format.duration) - durationUs / 1e6), name).toBeLessThan(0.022);
  }
});

test('the slices in a row, and the playlist of either spelling, play as one', async () => {
  expect(await complaints(whole)).toBe('');
  const list = join(dir, 'x.m3u8');
  for (const extinfComma of [false, true]) {
    writeFileSync(
      list,
      renderPlaylist(
        slices.filter((s) => s.type === 'slice'),
        { extinfComma },
      ),
    );
    expect(await complaints(list)).toBe('');
    const count = [
      '-count_packets',
      '-select_streams',
      'v',
      '-show_entries',
      'stream=nb_read_packets',
      '-of',
      'csv=p=0',
    ];
    const { stdout } = await run('/usr/bin/ffprobe', ['-v', 'error', ...count, list]);
    expect(Number.parseInt(stdout, 10)).toBe(SECONDS * FPS);
  }
});

test('sound and picture stay together to the sample, in every file', async () => {
  for (const [path, seconds] of [
    [whole, SECONDS],
    [join(dir, mp4s[0]!.name), Math.round(mp4s[0]!.durationUs / 1e6)],
    [join(dir, mp4s[1]!.name), Math.round(mp4s[1]!.durationUs / 1e6)],
  ] as const) {
    const found = await marks(path);
    const { flashes } = found;
    // ffmpeg decodes the last block of sound whole, although the file says that it ends within it.
    const beeps = found.beeps.filter((at) => at < seconds);
    expect(flashes, path).toEqual(Array.from({ length: seconds }, (_, i) => i));
    expect(beeps.length, path).toBe(seconds);
    // The tone passes a tenth of its height within a thousandth of a second.
    beeps.forEach((at, i) => {
      // A transport stream begins without the encoder's priming, so its very first block fades in.
      if (i === 0 && path === whole) return;
      expect(Math.abs(at - i), `${path} beep ${i}`).toBeLessThan(0.004);
    });
  }
});
