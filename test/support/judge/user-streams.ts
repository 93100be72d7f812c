/**
 * Judges the files of one user of a recording of single users, on the recording's own time: what a slice's timestamps
 * say is where its sample lies, so that marks of different files can be held against each other.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Segment, SpooledFile } from '../../../src/media/segment.ts';
import { renderPlaylist } from '../../../src/stages/mux/hls/playlist.ts';
import { TS_ZERO_US } from '../../../src/stages/mux/ts/ts-slices.ts';
import type { Participant } from '../media/participants.ts';
import { flashesIn, presenceIn, type Span } from './picture.ts';
import { readMedia, withInput, zeroOf } from './read-media.ts';
import { beepsIn, envelopeOf, type Heard, listen } from './sound.ts';
import { type Reading, type Watched, watch } from './watch.ts';

const WHOLE = { x: 0, y: 0, width: 1, height: 1 };

/** The slices of a playlist, in order. */
export function slicesOf(files: readonly SpooledFile[], playlist: string): Segment[] {
  const slices = files.filter((file) => file.type === 'slice' && file.playlist === playlist) as Segment[];
  return slices.sort((a, b) => a.index - b.index);
}

/** Writes every playlist of `files` into `dir` as an uploader would, and returns their names. */
export function writePlaylists(dir: string, files: readonly SpooledFile[]): string[] {
  const names = new Set(files.flatMap((file) => (file.type === 'slice' ? [file.playlist] : [])));
  const playlists = [...names].filter((name) => name.endsWith('.m3u8')).sort();
  for (const name of playlists)
    writeFileSync(join(dir, name), renderPlaylist(slicesOf(files, name), { extinfComma: true }));
  return playlists;
}

/** Seconds of the recording at which the file's or playlist's own time is zero. */
function placeOf(path: string): number {
  const isTs = /\.(m3u8|ts)(\.part)?$/.test(path);
  return withInput(path, (input) => zeroOf(input)) - (isTs ? TS_ZERO_US / 1e6 : 0);
}

/**
 * Seconds of the recording that a slice reaches to so far, which may be being written; −∞ while nothing of it can be
 * read.
 */
export function lastWritten(path: string): number {
  let lastS = Number.NEGATIVE_INFINITY;
  try {
    const zeroS = placeOf(path);
    readMedia(path, {
      onPacket({ ptsS }) {
        lastS = Math.max(lastS, ptsS + zeroS);
      },
    });
  } catch {
    return Number.NEGATIVE_INFINITY;
  }
  return lastS;
}

export type Seen = { watched: Watched; flashes: number[]; present: Span[]; frames: number };

/** When, in seconds of the recording, a participant's picture flashes and shows the colour. */
export function see(path: string, participant: Participant): Seen {
  const zeroS = placeOf(path);
  const watched = watch(path, [{ rect: WHOLE }]);
  const readings = watched.views[0] ?? [];
  const moved = ({ fromS, toS }: Span): Span => ({ fromS: fromS + zeroS, toS: toS + zeroS });
  return {
    watched,
    flashes: flashesIn(readings).map((flash) => flash.atS + zeroS),
    present: presenceIn(readings, participant.colour).map(moved),
    frames: readings.length,
  };
}

/**
 * What is seen of a picture of the given size, by seconds of the recording, in slices that follow one another. FFmpeg's
 * HLS demuxer reads no WebM; and where a slice begins with a flash, only the one before it tells that it is one.
 */
export function readAcross(paths: readonly string[], source: { width: number; height: number }): Reading[] {
  return paths.flatMap((path) => {
    const zeroS = placeOf(path);
    return (watch(path, [{ rect: WHOLE, source }]).views[0] ?? []).map((r) => ({ ...r, atS: r.atS + zeroS }));
  });
}

export type HeardOf = { heard: Heard; beeps: number[] /** Loudest level of the pitch. */; level: number };

/** When, in seconds of the recording, a participant's beeps are heard. */
export function hear(path: string, participant: Participant): HeardOf {
  const zeroS = placeOf(path);
  const heard = listen(path);
  return {
    heard,
    beeps: beepsIn(heard, { toneHz: participant.toneHz }).map((beep) => beep.atS + zeroS),
    level: Math.max(...envelopeOf(heard, participant.toneHz)),
  };
}

/** Whole seconds near which a mark lies, and how far at most, milliseconds. */
export function onSeconds(marks: readonly number[]): { seconds: number[]; worstMs: number } {
  const seconds = marks.map((atS) => Math.round(atS));
  const worstMs = Math.max(0, ...marks.map((atS, i) => Math.abs(atS - (seconds[i] ?? 0)) * 1000));
  return { seconds, worstMs };
}
