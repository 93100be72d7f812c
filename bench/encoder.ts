/**
 * What the H.264 encoder of composites costs and how its pictures come out, on four kinds of canvas of 1280×720 at
 * 30 fps: against the ffmpeg program with x264's veryfast as it is, and against an earlier commit, all in one run.
 *
 * The canvases are raw pictures in a file that everyone reads as fast as it can, so nothing here needs a machine that
 * keeps up with real time. Quality is SSIM against those very pictures, at one bit rate.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RungName } from '../src/contract/line/rungs.ts';
import { median } from '../test/support/judge/offsets.ts';
import { withCheckout } from './earlier.ts';
import { atLeast, atMost, type Figure } from './measure.ts';
import { writeInputs } from './reference.ts';
import { BITRATE_KBPS, CANVAS, CAST, SOURCE } from './stage.ts';

const SECONDS = 10;
const TAKES = 3;
const GOP_FRAMES = 90;
/** The last commit whose composites had B-frames. */
const BEFORE = process.env['BENCH_BEFORE'] ?? 'e9eac24';

/** Four users of 640×360 as sources of FFmpeg's libavfilter. Noise is what a camera leaves. */
export const CANVASES: Record<string, readonly [string, string, string, string]> = {
  'test patterns': [
    'testsrc2=s=640x360:r=30',
    'testsrc=s=640x360:r=30',
    'testsrc2=s=640x360:r=30,hflip,hue=h=90',
    'testsrc2=s=640x360:r=30,vflip',
  ],
  'zooms and pans': [
    `${zoom({ from: 2.5, to: 0.01 })},${noise(5)}`,
    `${zoom({ from: 1, to: 0.003, x: -0.1528, y: -1.0397 })},${noise(5)}`,
    `${pan({ fps: 30, xPx: 200, yPx: 120 })},${noise(4)}`,
    `${pan({ fps: 30, xPx: 90, yPx: 60 })},hflip,${noise(4)}`,
  ],
  'a usual meeting': [
    `${pan({ fps: 15, xPx: 60, yPx: 40 })},${noise(4)}`,
    `${pan({ fps: 15, xPx: 50, yPx: 50 })},hflip,${noise(4)}`,
    // A screen nobody touches, and the colour of someone who only speaks.
    'testsrc2=s=640x360:r=30,loop=loop=-1:size=1',
    'color=c=gray:s=640x360:r=30',
  ],
};

type Quality = { kbps: number; ssimDb: number };

export function measureEncoder(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const figures: Figure[] = [];
    for (const [name, sources] of Object.entries(CANVASES))
      figures.push(...measureCanvas(name, (dir) => makeCanvases(sources, dir), before));
    const texture = (dir: string) => stack(writeInputs(dir, CAST, { ...SOURCE, codec: 'vp8' }, SECONDS), dir);
    figures.push(...measureCanvas('scrolling texture and flashes', texture, before));
    return figures;
  });
}

/** @param make writes raw canvases into a folder and returns their path */
function measureCanvas(name: string, make: (dir: string) => string, before: string): Figure[] {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-encoder-'));
  try {
    const raw = make(dir);
    const [ours, theirs] = [join(dir, 'ours.h264'), join(dir, 'theirs.h264')];
    const cores: Record<'now' | 'before' | 'ffmpeg', number[]> = { now: [], before: [], ffmpeg: [] };
    // By turns, so that what else the machine does falls on all.
    for (let take = 0; take < TAKES; take++) {
      cores.before.push(encodeWith(before, raw, ours));
      cores.now.push(encodeWith(join(import.meta.dirname, '..'), raw, ours));
      cores.ffmpeg.push(encodeWithFfmpeg(raw, theirs));
    }
    const ratio = (others: readonly number[]) => median(cores.now.map((own, i) => own / (others[i] ?? Number.NaN)));
    const list = (all: readonly number[]) => all.map((value) => value.toFixed(3)).join('/');
    const single = (others: readonly number[]) => `${list(cores.now)} : ${list(others)} cores`;
    // One thread makes the same of the same in each take.
    const [own, other] = [judge(raw, ours), judge(raw, theirs)];
    const quality = ({ ssimDb, kbps }: Quality) => `${ssimDb.toFixed(2)} dB at ${kbps.toFixed(0)} kbit/s`;
    const gainedDb = own.ssimDb - other.ssimDb;
    return [
      atMost(`encoder's CPU, ${name}, against ${BEFORE}`, ratio(cores.before), 1, '×', single(cores.before)),
      atMost('… against the ffmpeg program', ratio(cores.ffmpeg), 0.75, '×', single(cores.ffmpeg)),
      atLeast('… SSIM beyond that of ffmpeg', gainedDb, -0.1, 'dB', `${quality(own)} : ${quality(other)}`),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function zoom({ from, to, x, y }: { from: number; to: number; x?: number; y?: number }): string {
  const centre = x === undefined || y === undefined ? '' : `:start_x=${x}:start_y=${y}`;
  return `mandelbrot=s=640x360:r=30:start_scale=${from}:end_scale=${to}:end_pts=400${centre}`;
}

function pan({ fps, xPx, yPx }: { fps: number; xPx: number; yPx: number }): string {
  const picture = `mandelbrot=s=1280x720:r=${fps}:start_scale=0.4:end_scale=0.38:start_x=-0.74364:start_y=0.13182`;
  return `${picture},crop=640:360:'320+${xPx}*sin(t*0.7)':'180+${yPx}*cos(t*0.9)'`;
}

function noise(strength: number): string {
  return `noise=alls=${strength}:allf=t`;
}

/** Writes I420 pictures of all four, two by two, as they come out of the VP8 that browsers send. */
export function makeCanvases(sources: readonly string[], dir: string): string {
  const seconds = ['-t', String(SECONDS)];
  const vp8 = ['-pix_fmt', 'yuv420p', '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8'];
  const rate = ['-b:v', `${SOURCE.bitrateKbps}k`, '-lag-in-frames', '0', '-g', '300'];
  const sent = sources.map((source, i) => {
    const path = join(dir, `${i}.mkv`);
    run('ffmpeg', [...QUIET, '-f', 'lavfi', '-i', source, ...seconds, ...vp8, ...rate, path]);
    return path;
  });
  return stack(sent, dir);
}

/** Writes I420 pictures of four files, two by two. Returns their path. */
function stack(files: readonly string[], dir: string): string {
  const inputs = files.flatMap((path) => ['-i', path]);
  const steady = files.map((_, i) => `[${i}:v]fps=${CANVAS.fps}[v${i}]`).join(';');
  const stacked = `${files.map((_, i) => `[v${i}]`).join('')}xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0`;
  const canvases = join(dir, 'canvases.yuv');
  const frames = ['-frames:v', String(SECONDS * CANVAS.fps)];
  run('ffmpeg', [
    ...QUIET,
    ...inputs,
    '-filter_complex',
    `${steady};${stacked}`,
    ...frames,
    '-f',
    'rawvideo',
    canvases,
  ]);
  return canvases;
}

const QUIET = ['-hide_banner', '-nostdin', '-nostats', '-y'];
const RAW = ['-f', 'rawvideo', '-s', `${CANVAS.width}x${CANVAS.height}`, '-r', String(CANVAS.fps), '-i'];

/** Returns cores: CPU seconds per second of media. @param rung of the ladder; left out: the whole picture */
export function encodeWith(checkout: string, raw: string, path: string, rung?: RungName): number {
  const script = join(import.meta.dirname, 'encode-canvases.ts');
  const { stdout } = run(process.execPath, [script, checkout, raw, path, String(GOP_FRAMES), ...(rung ? [rung] : [])]);
  return Number(stdout) / SECONDS;
}

/** As `encodeWith`. */
function encodeWithFfmpeg(raw: string, path: string): number {
  const rates = ['-b:v', `${BITRATE_KBPS}k`, '-maxrate', `${BITRATE_KBPS * 1.2}k`, '-bufsize', `${BITRATE_KBPS * 2}k`];
  const x264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-profile:v', 'high', '-threads', '1'];
  const keys = ['-g', String(GOP_FRAMES), '-sc_threshold', '0'];
  const { stderr } = run('ffmpeg', [...QUIET, '-benchmark', ...RAW, raw, ...x264, ...rates, ...keys, path]);
  const times = stderr.match(/bench: utime=([\d.]+)s stime=([\d.]+)s/);
  if (!times) throw new Error(`ffmpeg told no times: ${stderr.slice(-1000)}`);
  return (Number(times[1]) + Number(times[2])) / SECONDS;
}

function judge(raw: string, path: string): Quality {
  const fps = ['-r', String(CANVAS.fps)];
  const { stderr } = run('ffmpeg', [...QUIET, ...fps, '-i', path, ...RAW, raw, '-lavfi', 'ssim', '-f', 'null', '-']);
  const ssim = stderr.match(/SSIM .*All:[\d.]+ \(([\d.]+)\)/);
  const frames = stderr.match(/frame= *(\d+)/)?.[1];
  if (!ssim || Number(frames) !== SECONDS * CANVAS.fps) throw new Error(`${path} has ${frames} pictures`);
  return { kbps: (statSync(path).size * 8) / SECONDS / 1000, ssimDb: Number(ssim[1]) };
}

function run(command: string, args: readonly string[]): { stdout: string; stderr: string } {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
  if (status !== 0) throw new Error(`${command} failed: ${error?.message ?? stderr.slice(-1000)}`);
  return { stdout, stderr };
}
