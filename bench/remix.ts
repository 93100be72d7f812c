/**
 * How fast `aircheck mix` makes a composite from a recording of four users, and what CPU time it takes beside the
 * `ffmpeg` program for the same canvas: the same slices, scaled, stacked, mixed and encoded with the same preset and
 * bit rates.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '../src/contract/line/manifest.ts';
import { median } from '../test/support/judge/offsets.ts';
import { probeFile } from '../test/support/judge/probe.ts';
import { makeRecording } from '../test/support/made-recording.ts';
import { atLeast, atMost, type Figure } from './measure.ts';
import { BITRATE_KBPS, CANVAS, CAST, SOURCE } from './stage.ts';

const MAIN = join(import.meta.dirname, '../src/app/cli/main.ts');
const SECONDS = 30;
const TAKES = 3;
/** A mix of four at 720p and 30 fps is made at least this much faster than it lasts. */
const MIN_SPEED = 1.5;

export async function measureRemix(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  try {
    const whole = [{ fromS: 0, toS: SECONDS }];
    const { path, manifest } = await makeRecording({
      ...{ dir, endS: SECONDS, size: SOURCE, fps: SOURCE.fps, bitrateKbps: SOURCE.bitrateKbps },
      users: CAST.map((participant, i) => ({
        ...{ uid: String(i + 1), participant, stays: whole },
        video: { motion: 'busy', spans: [{ codec: 'h264', fromS: 0, toS: SECONDS }] },
        audio: { codec: 'aac', spans: whole },
      })),
    });
    const ours: Took[] = [];
    const theirs: Took[] = [];
    const [mixed, stacked] = [join(dir, 'mix.mp4'), join(dir, 'stack.mp4')];
    // By turns, so that what else the machine does falls on both.
    for (let take = 0; take < TAKES; take++) {
      ours.push(await costOf(process.execPath, [MAIN, 'mix', path, ...wordsFor(mixed)]));
      theirs.push(await costOf('ffmpeg', stackingArguments(dir, manifest, stacked)));
    }
    for (const made of [mixed, stacked]) {
      const lengthS = probeFile(made).durationS;
      if (Math.abs(lengthS - SECONDS) > 0.5) throw new Error(`${made} lasts ${lengthS} s instead of ${SECONDS}`);
    }
    const walls = ours.map(({ wallS }) => wallS);
    const [cpu, theirCpu] = [ours, theirs].map((all) => all.map(({ cpuS }) => cpuS)) as [number[], number[]];
    const speed = SECONDS / median(walls);
    const list = (times: readonly number[]) => `${times.map((s) => s.toFixed(1)).join(', ')} s`;
    return [
      atLeast(`mix of 4 × 360p, ${SECONDS} s, to 720p30 MP4: media per wall time`, speed, MIN_SPEED, '×', list(walls)),
      atMost(
        'CPU time of the same beside the ffmpeg program',
        median(cpu) / median(theirCpu),
        1.2,
        '×',
        `${list(cpu)} : ${list(theirCpu)}`,
      ),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function wordsFor(output: string): string[] {
  const { width, height, fps } = CANVAS;
  const picture = ['--layout', 'best-fit', '--size', `${width}x${height}`, '--fps', `${fps}`, '-b', `${BITRATE_KBPS}`];
  return [...picture, '--audio-profile', '1', '-o', output, '--force', '--quiet'];
}

function stackingArguments(dir: string, { slices }: Manifest, output: string): string[] {
  const inputs = (['video', 'audio'] as const).flatMap((kind) =>
    CAST.map((_, i) => {
      const own = slices.filter(({ uid, trackType }) => uid === String(i + 1) && trackType === kind);
      return `concat:${own.map(({ name }) => join(dir, name)).join('|')}`;
    }),
  );
  const [w, h] = [CANVAS.width / 2, CANVAS.height / 2];
  const n = CAST.length;
  const scaled = CAST.map((_, i) => `[${i}:v]fps=${CANVAS.fps},scale=${w}:${h}[v${i}]`).join(';');
  const stack = `${CAST.map((_, i) => `[v${i}]`).join('')}xstack=inputs=${n}:layout=0_0|w0_0|0_h0|w0_h0[v]`;
  const mix = `${CAST.map((_, i) => `[${i + n}:a]`).join('')}amix=inputs=${n}:normalize=0[a]`;
  const rate = [`${BITRATE_KBPS}k`, `${BITRATE_KBPS * 1.2}k`, `${BITRATE_KBPS * 2}k`] as const;
  return [
    ...['-v', 'error', '-y', ...inputs.flatMap((input) => ['-i', input])],
    ...['-filter_complex', `${scaled};${stack};${mix}`, '-map', '[v]', '-map', '[a]'],
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-g', `${CANVAS.fps * 3}`],
    ...['-b:v', rate[0], '-maxrate', rate[1], '-bufsize', rate[2]],
    ...['-c:a', 'aac', '-ac', '1', '-b:a', '128k', '-movflags', '+faststart', output],
  ];
}

type Took = { wallS: number; cpuS: number };

/** What a command that must succeed takes. */
async function costOf(command: string, words: string[]): Promise<Took> {
  const startMs = performance.now();
  // The shell tells what its children took, on its last line.
  const script = '"$@" > /dev/null || exit; times';
  const child = spawn('sh', ['-c', script, 'sh', command, ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 600_000,
  });
  let told = '';
  child.stdout.on('data', (text) => {
    told += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  const times = [...(told.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  const cpuS = times.reduce((sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds), 0);
  return { wallS: (performance.now() - startMs) / 1000, cpuS };
}
