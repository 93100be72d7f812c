/**
 * What players make of a file: each tells what it shows and plays at which time of its own, whatever way it tells it.
 */
import { execFile } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { VideoColor } from '../../../src/media/track.ts';
import { readMedia } from '../judge/read-media.ts';
import { beepsIn, listen } from '../judge/sound.ts';
import type { Rgb } from '../media/participants.ts';

const run = promisify(execFile);

export type Played = {
  /** Of the pictures as they are seen: turned, and with square pixels. */
  size: { width: number; height: number };
  /** Top left, top right, bottom left, bottom right, in a picture that does not flash. */
  corners: Rgb[];
  /** When the picture turns white, seconds. */
  flashes: number[];
  /** When the sound becomes loud, seconds. */
  beeps: number[];
};

/** How far from its corner a picture is looked at, in parts of its sides. */
const CORNER = 0.04;
/** Darker than the white of every flash, and brighter than a picture that does not flash has all its corners. */
const WHITE = 190;

/** Programs write every second pixel, so that files without compression stay small. */
const SHRUNK = 2;
/** What FFmpeg's filters make of a picture of any shape: square pixels, and fewer. */
const SQUARE = `scale=w=trunc(iw*sar/${SHRUNK}+0.5):h=trunc(ih/${SHRUNK}+0.5)`;
/** Both programs write NUT: pictures of RGB, as they would go to a screen, and sound. */
const PLAIN = { video: 'rawvideo', audio: 'pcm_s16le', format: 'nut' };

/** Programs that play a file into another, without loss. Each rejects when the program ends with an error. */
const PROGRAMS = {
  ffmpeg: (path: string, to: string) => ffmpeg(path, to, `${SQUARE},setsar=1,format=rgb24`),
  mpv: (path: string, to: string) =>
    run('mpv', [
      // Else the sound before the first picture is left out.
      ...['--no-config', '--no-terminal', '--initial-audio-sync=no', path],
      ...[`--vf=lavfi=[${SQUARE},setsar=1],format=rgb24`],
      ...[`--ovc=${PLAIN.video}`, `--oac=${PLAIN.audio}`, `--of=${PLAIN.format}`, `--o=${to}`],
    ]),
};
export type Program = keyof typeof PROGRAMS;

function ffmpeg(path: string, to: string, filters: string) {
  return run('ffmpeg', [
    ...['-v', 'error', '-xerror', '-i', path, '-vf', filters, '-fps_mode', 'passthrough'],
    // Else times are those of a steady rate.
    ...['-enc_time_base', '1:90000', '-c:v', PLAIN.video, '-c:a', PLAIN.audio, '-f', PLAIN.format, to],
  ]);
}

/** Plays a file by a program. Rejects when it cannot be played, or what was played cannot be read. */
export async function playByProgram(program: Program, path: string, toneHz: number): Promise<Played> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-played-'));
  try {
    const to = join(dir, 'played.nut');
    await PROGRAMS[program](path, to);
    return { ...seenIn(to), beeps: heardIn(to, toneHz) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** VLC hands on sounds anew where it finds that they are late, which cuts some beeps in two. */
const SAME_BEEP_S = 0.2;

/**
 * Plays a file by VLC: once into a file, which has the times, and once to a screen, which has turned pictures and the
 * shape of their pixels. VLC turns YUV into RGB on the graphics card; here that is done as `color` says.
 */
export async function playByVlc(path: string, toneHz: number, color: VideoColor): Promise<Played> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-vlc-'));
  try {
    chmodSync(dir, 0o777);
    const [file, timed, screen] = ['file.mp4', 'timed.mkv', 'screen.y4m'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    copyFileSync(path, file);
    const transcode = `#transcode{vcodec=FFV1,acodec=s16l}:std{access=file,mux=avformat{mux=matroska},dst=${timed}}`;
    const yuv = ['--vout=yuv', `--yuv-file=${screen}`, '--yuv-yuv4mpeg2', '--yuv-chroma=I420', '--no-audio'];
    await Promise.all([vlc(dir, '--sout', transcode, file), vlc(dir, ...yuv, file)]);
    const [timedNut, screenNut] = [`${timed}.nut`, `${screen}.nut`];
    const matrix = color.matrix === 1 ? 'bt709' : 'bt601';
    await ffmpeg(timed, timedNut, 'format=rgb24');
    await ffmpeg(
      screen,
      screenNut,
      `${SQUARE}:in_color_matrix=${matrix}:in_range=${RANGES[+color.fullRange]},setsar=1,format=rgb24`,
    );
    const beeps = heardIn(timedNut, toneHz);
    return {
      ...seenIn(screenNut),
      flashes: seenIn(timedNut).flashes,
      beeps: beeps.filter((atS, n) => n === 0 || atS - beeps[n - 1]! > SAME_BEEP_S),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const RANGES = ['tv', 'pc'] as const;

/** VLC without a window, which refuses to be run by root. */
function vlc(home: string, ...args: string[]) {
  const isRoot = process.getuid?.() === 0;
  const [program, ...before] = isRoot
    ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'vlc']
    : ['vlc'];
  const alone = ['--intf=dummy', '--ignore-config', '--quiet', '--no-video-title-show', '--play-and-exit'];
  const env = { ...process.env, HOME: home };
  return run(program!, [...before, ...alone, ...args, 'vlc://quit'], { env, timeout: 30_000 });
}

function seenIn(path: string): Pick<Played, 'size' | 'corners' | 'flashes'> {
  const flashes: number[] = [];
  let corners: Rgb[] = [];
  let size = { width: 0, height: 0 };
  let isWhite = true;
  readMedia(path, {
    onPicture({ atS, width, height, planes, strides }) {
      size = { width: width * SHRUNK, height: height * SHRUNK };
      const seen = cornersOf(width, height, (x, y) => {
        const [r, g, b] = planes[0]!.subarray(y * strides[0]! + 3 * x);
        return { r: r!, g: g!, b: b! };
      });
      const wasWhite = isWhite;
      isWhite = seen.every(({ r, g, b }) => Math.min(r, g, b) > WHITE);
      if (isWhite && !wasWhite) flashes.push(atS);
      if (!isWhite) corners = seen;
    },
  });
  return { size, corners, flashes };
}

function heardIn(path: string, toneHz: number): number[] {
  return beepsIn(listen(path), { toneHz }).map(({ atS }) => atS);
}

function cornersOf(width: number, height: number, at: (x: number, y: number) => Rgb): Rgb[] {
  const [left, right] = [CORNER, 1 - CORNER].map((x) => Math.floor(x * width)) as [number, number];
  const [top, bottom] = [CORNER, 1 - CORNER].map((y) => Math.floor(y * height)) as [number, number];
  return [at(left, top), at(right, top), at(left, bottom), at(right, bottom)];
}
