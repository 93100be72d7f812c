/**
 * Judges a recording of one user that several nodes made: at which full seconds of wall time its playlists have the
 * flash and the beep, and whether its slices are named by the time that they show, whichever machine's clock that was.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Participant } from '../media/participants.ts';
import { namedS } from './left-out.ts';
import { median } from './offsets.ts';
import { flashesIn, isColour, lagsIn } from './picture.ts';
import { parsePlaylist } from './playlist.ts';
import { hear, readAcross } from './user-streams.ts';

/** A mark belongs to a second when it is this close to where that second lies. */
const REACH_S = 0.3;
/** A slice's name may be so far off the moment that its first picture shows. */
const NAMED_WITHIN_S = 1;

/** What one node recorded in one go. */
type Stretch = {
  /** Paths of its slices, in the order of the playlist. */
  paths: string[];
  /** Unix seconds less the time in its slices; undefined when the user is not seen in it. */
  zeroWallS: number | undefined;
};
export type Marks = {
  /** Full seconds, Unix, that have a flash or a beep. */
  flashes: Set<number>;
  beeps: Set<number>;
  /** How many stretches of picture there are. */
  stretches: number;
  /** What is wrong, in words. */
  problems: string[];
};

export type Of = {
  dir: string;
  participant: Participant;
  source: { width: number; height: number };
  /** About when it was recorded, Unix seconds. */
  aboutS: number;
};

/**
 * Reads the playlists of one recording: one of sound and picture together, or one of each, whose slices then have one
 * time in common.
 * @throws Error when one of them cannot be read
 */
export function marksIn(playlists: { video: string; audio: string }, of: Of): Marks {
  const marks: Marks = { flashes: new Set(), beeps: new Set(), stretches: 0, problems: [] };
  const pictures = stretchesOf(of.dir, playlists.video).map((paths) => watchStretch(paths, of, marks));
  marks.stretches = pictures.length;
  const zeros = pictures.flatMap(({ zeroWallS }) => (zeroWallS === undefined ? [] : [zeroWallS]));
  if (zeros.length === 0) marks.problems.push(`${of.participant.name} is seen nowhere`);
  const isOne = playlists.video === playlists.audio;
  if (!isOne && Math.max(...zeros) - Math.min(...zeros) > REACH_S)
    marks.problems.push(`its stretches lie on different times: ${zeros.map((zeroS) => zeroS.toFixed(2)).join(', ')}`);
  const sounds = isOne
    ? pictures
    : stretchesOf(of.dir, playlists.audio).map((paths) => ({ paths, zeroWallS: median(zeros) }));
  for (const { paths, zeroWallS } of sounds)
    if (zeroWallS !== undefined) keep(marks.beeps, beepsAcross(paths, of.participant), zeroWallS);
  return marks;
}

function watchStretch(paths: string[], of: Of, marks: Marks): Stretch {
  const slices = paths.map((path) => ({ path, readings: readAcross([path], of.source) }));
  const readings = slices.flatMap((slice) => slice.readings);
  const shown = readings.filter((reading) => isColour(reading, of.participant.colour));
  // A picture that is held tells nothing of when it belongs.
  const fresh = shown.filter((reading, i) => reading.stamp !== shown[i - 1]?.stamp);
  const lags = lagsIn(fresh, of.aboutS * 1e6).map(({ lagS }) => lagS);
  if (lags.length === 0) return { paths, zeroWallS: undefined };
  const zeroWallS = of.aboutS - median(lags);
  const flashes = flashesIn(readings).map(({ atS }) => atS);
  keep(marks.flashes, flashes, zeroWallS);
  for (const { path, readings: own } of slices) {
    const shownS = zeroWallS + (own[0]?.atS ?? Number.NaN);
    const offS = namedS(path) - shownS;
    if (!(Math.abs(offS) <= NAMED_WITHIN_S))
      marks.problems.push(`${basename(path)} shows what was sent ${(-offS).toFixed(1)} s after the time in its name`);
  }
  return { paths, zeroWallS };
}

function keep(into: Set<number>, marks: readonly number[], zeroWallS: number): void {
  for (const atS of marks) {
    const wallS = zeroWallS + atS;
    if (Math.abs(wallS - Math.round(wallS)) <= REACH_S) into.add(Math.round(wallS));
  }
}

/** Paths of the slices between two discontinuities each, in the order of the playlist. */
function stretchesOf(dir: string, playlist: string): string[][] {
  const stretches: string[][] = [];
  for (const { name, discontinuity } of parsePlaylist(readFileSync(join(dir, playlist), 'utf8')).slices) {
    if (discontinuity || stretches.length === 0) stretches.push([]);
    stretches.at(-1)?.push(join(dir, name));
  }
  return stretches;
}

/** A beep that a cut between two slices goes through is one. Transport streams go on one behind another. */
function beepsAcross(paths: readonly string[], participant: Participant): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'stretch-'));
  try {
    const whole = join(folder, 'stretch.ts');
    writeFileSync(whole, Buffer.concat(paths.map((path) => readFileSync(path))));
    return hear(whole, participant).beeps;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
