/**
 * Reference: the ffmpeg program making a composite of media in files: decode, scale, stack, mix, and encode with x264's
 * veryfast as it is.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { type PixelRect, placeUsers, toPixels } from '../src/stages/compose/layout/place.ts';
import { writeMadeFile } from '../test/support/media/made-file.ts';
import type { Participant } from '../test/support/media/participants.ts';
import type { Media } from './house.ts';

/** The composites' own: key frames every 3 s. */
const KEY_INTERVAL_S = 3;

export type ReferenceOptions = {
  /** One file for each user, in join order. */
  inputs: readonly string[];
  /** What each of them holds. */
  media: Media;
  canvas: { width: number; height: number; fps: number };
  bitrateKbps: number;
  /** As long as the inputs. */
  seconds: number;
  path: string;
};

/** The media that publishers send, as files: same pictures, same codecs and settings. Returns their paths. */
export function writeInputs(
  dir: string,
  participants: readonly Participant[],
  media: Media,
  seconds: number,
): string[] {
  return participants.map((participant, i) => {
    const path = join(dir, `${i}.mkv`);
    const { width, height, fps, bitrateKbps, codec: live = 'h264' } = media;
    writeMadeFile({
      ...{ path, participants: [participant], width, height, fps, seconds, motion: 'busy', live },
      ...{ videoBitrateKbps: bitrateKbps, gopFrames: Math.round(fps / 2) },
    });
    return path;
  });
}

/**
 * Makes a best-fit composite of the inputs, on one thread for each of its parts; returns its CPU seconds per second of
 * media. Throws an Error where ffmpeg fails.
 */
export function runReference({ inputs, media, canvas, bitrateKbps, seconds, path }: ReferenceOptions): number {
  const cells = placeUsers({ kind: 'bestFit' }, inputs.map(String)).map((place) => {
    const cell = toPixels(place, canvas.width, canvas.height);
    if (!cell) throw new Error(`user ${place.uid} has no place in the picture`);
    return cell;
  });
  const scaled = cells.map((cell, i) => `[${i}:v]${scalingTo(cell, media)}[v${i}]`);
  const stacked = cells.map((_, i) => `[v${i}]`).join('');
  const places = cells.map(({ x, y }) => `${x}_${y}`).join('|');
  const [right, bottom] = [Math.max(...cells.map((c) => c.x + c.width)), Math.max(...cells.map((c) => c.y + c.height))];
  const left = Math.min(...cells.map(({ x }) => x));
  // The stack ends with its last cell.
  const pad = right < canvas.width || bottom < canvas.height ? `,pad=${canvas.width}:${canvas.height}` : '';
  const graph = [
    ...scaled,
    `${stacked}xstack=inputs=${cells.length}:layout=${places}${left > 0 ? ':fill=black' : ''}${pad},fps=${canvas.fps}[v]`,
    `${inputs.map((_, i) => `[${i}:a]`).join('')}amix=inputs=${inputs.length}:normalize=0[a]`,
  ].join(';');
  const words = [
    ...'-hide_banner -nostdin -y -benchmark -filter_complex_threads 1'.split(' '),
    ...inputs.flatMap((input) => ['-threads', '1', '-i', input]),
    ...['-filter_complex', graph, '-map', '[v]', '-map', '[a]'],
    // Exactly so many frames, whatever the containers' rounding says.
    ...['-frames:v', String(seconds * canvas.fps)],
    ...[...coderWords({ canvas, bitrateKbps }), '-movflags', '+faststart', path],
  ];
  const run = spawnSync('ffmpeg', words, { encoding: 'utf8' });
  const times = run.stderr?.match(/bench: utime=([\d.]+)s stime=([\d.]+)s/);
  if (run.status !== 0 || !times) throw new Error(`ffmpeg failed: ${run.error?.message ?? run.stderr?.slice(-1000)}`);
  return (Number(times[1]) + Number(times[2])) / seconds;
}

/** How the ffmpeg program is told to encode a composite: its own choices where ours is not what all want. */
export function coderWords({ canvas, bitrateKbps }: Pick<ReferenceOptions, 'canvas' | 'bitrateKbps'>): string[] {
  return [
    ...'-c:v libx264 -preset veryfast -profile:v high -threads 1 -sc_threshold 0'.split(' '),
    ...['-b:v', `${bitrateKbps}k`, '-maxrate', `${bitrateKbps * 1.2}k`, '-bufsize', `${bitrateKbps * 2}k`],
    ...['-g', String(canvas.fps * KEY_INTERVAL_S), '-c:a', 'aac', '-ac', '1', '-b:a', '48k'],
  ];
}

/** A filter that makes the picture fill the cell. */
function scalingTo({ width, height }: PixelRect, media: Media): string {
  if (width === media.width && height === media.height) return 'null';
  return `scale=${width}:${height}:force_original_aspect_ratio=increase,crop=${width}:${height}`;
}
