/**
 * Which slices a cut takes, and where they lie in the recording as it plays: holds are left out of it, and what nobody
 * recorded keeps its time. Pure.
 */
import type { CutCommand } from '../../contract/line/cut.ts';
import { problem } from '../../contract/problems.ts';
import type { RecordingUs, StreamUs } from '../../kernel/time.ts';
import type { RotateEvent, Segment } from '../../media/segment.ts';
import { FORCED_SLICE_BYTES, FORCED_SLICE_US } from '../../stages/mux/cut.ts';
import { type Hold, HoldCutter } from '../../stages/mux/mp4/hold-cutter.ts';

/** A slice that lies on the spool or in a store, or that is being written. */
export type CutSource = {
  file: Pick<
    Segment,
    'name' | 'startUtcMs' | 'durationUs' | 'bytes' | 'heldUs' | 'owner' | 'codecs' | 'rotations' | 'playlist'
  >;
  /** Where it lies: a path of the spool, or a key in the store. */
  at: { path: string } | { key: string };
};

/** Seconds of the recording as it plays, or a moment of UTC. */
export type CutMoment = { playedS: number } | { utcMs: number };
export type CutWish = { from: CutMoment; to: CutMoment; uid?: string | undefined };

export type CutScene =
  /** Everybody in one picture. */
  | { kind: 'together' }
  /**
   * Every user alone, in slices whose time counts from the recording's zero (Unix milliseconds); holds are moments of
   * it.
   */
  | { kind: 'alone'; zeroUtcMs: number; holds: readonly Hold[] };

type PlacedSource = CutSource & { placeUs: RecordingUs; untilUs?: RecordingUs | undefined };
export type CutPlan = Pick<CutCommand, 'fromUs' | 'toUs' | 'startUtcMs' | 'holds' | 'rotate'> & {
  rows: PlacedSource[][];
};

/** An end this little beyond what is recorded is its end: whoever reads a length off a player rounds it. */
const ROUNDED_US = 1_000_000;
/** A slice that begins this shortly before the stretch lacks the sound that a decoder needs ahead of it. */
const SOUND_AHEAD_US = 100_000;
/** Slices overlap by less where they go on from each other. */
const JOINT_US = 50_000;
/** A user's picture that ended longer ago is not shown any more (contract §4.2). */
const PICTURE_AWAY_US = 15_000_000;
/** What MP4 and its players take. */
const MP4_VIDEO = new Set(['h264', 'vp9', 'av1']);

/**
 * Throws a problem: `nothing-stored`, `cut-outside` for a stretch that was not recorded, `cut-impossible` where one MP4
 * cannot hold it, `request-invalid` for a wish that contradicts itself.
 */
export function planCut(sources: readonly CutSource[], wish: CutWish, scene: CutScene): CutPlan {
  const line = scene.kind === 'alone' ? lineAlone(sources, scene) : lineTogether(sources);
  if (!line) throw problem('nothing-stored');
  const fromUs = line.playedUs(wish.from);
  const wantedUs = line.playedUs(wish.to);
  if (fromUs >= wantedUs)
    throw problem('request-invalid', `cut: from (${shown(fromUs)}) must lie before to (${shown(wantedUs)})!`);
  const toUs = wantedUs > line.endUs && wantedUs - line.endUs <= ROUNDED_US ? line.endUs : wantedUs;
  if (fromUs < line.beginUs || toUs > line.endUs || fromUs >= toUs) throw outside(line, fromUs, wantedUs);
  const rows = rowsOf(line.sources, wish.uid, scene)
    .map((row) => within(row, line.ownUs(fromUs), line.ownUs(toUs), scene))
    .filter((row) => row.length > 0);
  if (rows.length === 0)
    throw problem(
      'cut-outside',
      wish.uid === undefined
        ? `nothing was recorded from ${shown(fromUs)} to ${shown(toUs)}`
        : `user ${wish.uid} sent nothing from ${shown(fromUs)} to ${shown(toUs)}, or the recording has no such user`,
    );
  const startUtcMs = line.utcMs(fromUs);
  const holds = scene.kind === 'alone' ? finite(scene.holds) : [];
  return { rows, fromUs, toUs, startUtcMs, holds, rotate: rotationOf(rows, startUtcMs, line.utcMs(toUs)) };
}

/** The recording as it plays. */
type Line = {
  /** In order, at their places by the time of the slices. */
  sources: PlacedSource[];
  beginUs: StreamUs;
  endUs: StreamUs;
  playedUs(moment: CutMoment): StreamUs;
  utcMs(playedUs: StreamUs): number;
  /** The time of the slices at which something is that is played at `playedUs`. */
  ownUs(playedUs: StreamUs): RecordingUs;
};

function lineTogether(sources: readonly CutSource[]): Line | undefined {
  const ordered = sources.toSorted((a, b) => startOf(a) - startOf(b));
  const first = ordered[0];
  if (!first) return undefined;
  const zeroMs = startOf(first);
  const placed = ordered.map((source) => ({ ...source, placeUs: Math.round((startOf(source) - zeroMs) * 1000) }));
  const endUs = Math.max(...placed.map(({ placeUs, file }) => placeUs + file.durationUs));
  return {
    ...{ sources: placed, beginUs: 0, endUs },
    ownUs: (us) => us,
    playedUs(moment) {
      if ('playedS' in moment) return Math.round(moment.playedS * 1e6);
      const at = placed.findLastIndex(({ file }) => file.startUtcMs <= moment.utcMs);
      const [slice, next] = [placed[Math.max(0, at)]!, placed[at + 1]];
      const ownUs = slice.placeUs + Math.round((moment.utcMs - slice.file.startUtcMs) * 1000);
      // A moment of a hold is where the hold is cut out.
      return at >= 0 && next ? Math.min(ownUs, Math.max(slice.placeUs, next.placeUs)) : ownUs;
    },
    utcMs(us) {
      const { placeUs, file } = placed.findLast((each) => each.placeUs <= us) ?? placed[0]!;
      return file.startUtcMs + (us - placeUs) / 1000;
    },
  };
}

/** Where a slice begins, as if the recording had never been on hold, Unix milliseconds. */
function startOf({ file }: CutSource): number {
  return file.startUtcMs - (file.heldUs ?? 0) / 1000;
}

function lineAlone(
  sources: readonly CutSource[],
  { zeroUtcMs, holds }: CutScene & { kind: 'alone' },
): Line | undefined {
  if (sources.length === 0) return undefined;
  const cutter = new HoldCutter(holds);
  const placed = sources
    .map((source) => ({ ...source, placeUs: Math.round((source.file.startUtcMs - zeroUtcMs) * 1000) }))
    .sort((a, b) => a.placeUs - b.placeUs);
  const ownEndUs = Math.max(...placed.map(({ placeUs, file }) => placeUs + file.durationUs));
  const ownUs = (playedUs: StreamUs) => cutter.ownTime(playedUs);
  return {
    ...{ sources: placed, beginUs: 0, endUs: ownEndUs - cutter.heldBefore(ownEndUs), ownUs },
    playedUs(moment) {
      if ('playedS' in moment) return Math.round(moment.playedS * 1e6);
      const us = Math.round((moment.utcMs - zeroUtcMs) * 1000);
      return us - cutter.heldBefore(us);
    },
    utcMs: (playedUs) => zeroUtcMs + ownUs(playedUs) / 1000,
  };
}

/** The slices of the whole, or those of a user's picture and of the user's sound. */
function rowsOf(sources: readonly PlacedSource[], uid: string | undefined, scene: CutScene): PlacedSource[][] {
  if (scene.kind === 'together') {
    if (uid !== undefined)
      throw problem('cut-impossible', 'a recording of all users together has no files of one: leave uid out');
    return [sources.filter(({ file }) => file.owner === undefined)];
  }
  if (uid === undefined)
    throw problem('cut-impossible', `every user has files of their own here: name one as uid, of ${uidsIn(sources)}`);
  // Fragments for an MPD, and slices with both kinds, hold the same once more.
  const own = sources.filter(({ file }) => file.owner?.uid === uid && !file.name.endsWith('.m4s'));
  return (['video', 'audio'] as const).map((kind) => own.filter(({ file }) => file.owner?.trackType === kind));
}

function uidsIn(sources: readonly PlacedSource[]): string {
  return [...new Set(sources.flatMap(({ file }) => (file.owner ? [file.owner.uid] : [])))].join(', ');
}

/** The slices of a row that a stretch of the slices' own time needs, each up to where the next one begins. */
function within(
  row: readonly PlacedSource[],
  fromUs: RecordingUs,
  toUs: RecordingUs,
  { kind }: CutScene,
): PlacedSource[] {
  const at = Math.max(
    0,
    row.findLastIndex(({ placeUs }) => placeUs <= fromUs - SOUND_AHEAD_US),
  );
  let first = kind === 'alone' && isAway(row[at], fromUs) ? at + 1 : at;
  // What follows a slice that was ended by force may not begin with a key frame (contract §4.2).
  while (first > 0 && first <= at && wasForced(row[first - 1]!)) first--;
  return row
    .map((slice, n) => {
      const next = row[n + 1];
      const overlaps = next !== undefined && next.placeUs < slice.placeUs + slice.file.durationUs - JOINT_US;
      return overlaps ? { ...slice, untilUs: next.placeUs } : slice;
    })
    .filter((slice, n) => n >= first && slice.placeUs < toUs);
}

function isAway(slice: PlacedSource | undefined, fromUs: RecordingUs): boolean {
  return slice !== undefined && slice.placeUs + slice.file.durationUs < fromUs - PICTURE_AWAY_US;
}

function wasForced({ file: { durationUs, bytes } }: PlacedSource): boolean {
  return durationUs >= FORCED_SLICE_US || bytes > FORCED_SLICE_BYTES;
}

/** How the picture is turned throughout. Throws where an MP4 cannot hold it, which has one codec and one rotation. */
function rotationOf(rows: readonly PlacedSource[][], fromUtcMs: number, toUtcMs: number): RotateEvent['rotate'] {
  const pictures = rows.flat().filter(({ file }) => file.codecs?.video !== undefined);
  const codecs = new Set(pictures.map(({ file }) => file.codecs?.video ?? 'h264'));
  for (const codec of codecs)
    if (!MP4_VIDEO.has(codec))
      throw problem('cut-impossible', `the picture is ${codec.toUpperCase()}, which an MP4 cannot hold`);
  if (codecs.size > 1)
    throw problem('cut-impossible', `the picture changes its codec within the stretch (${[...codecs].join(', ')})`);
  const turns = pictures.flatMap(({ file }) => file.rotations);
  const rotate = turns.findLast(({ utcMs }) => utcMs <= fromUtcMs + 1)?.rotate ?? turns[0]?.rotate ?? 0;
  const other = turns.find((turn) => turn.utcMs > fromUtcMs + 1 && turn.utcMs < toUtcMs && turn.rotate !== rotate);
  if (other)
    throw problem('cut-impossible', `the picture is turned at ${new Date(other.utcMs).toISOString()}: cut up to there`);
  return rotate;
}

function outside({ beginUs, endUs, utcMs }: Line, fromUs: StreamUs, toUs: StreamUs) {
  const span = (from: StreamUs, to: StreamUs) => `${shown(from)} to ${shown(to)}`;
  const utc = (us: StreamUs) => new Date(utcMs(us)).toISOString();
  return problem(
    'cut-outside',
    `there is ${span(beginUs, endUs)} (${utc(beginUs)} to ${utc(endUs)}), and ${span(fromUs, toUs)} was asked for`,
  );
}

/** Seconds of the recording. */
function shown(us: StreamUs): string {
  return `${Number((us / 1e6).toFixed(3))} s`;
}

function finite(holds: readonly Hold[]): CutCommand['holds'] {
  return holds.map(({ fromUs, untilUs }) => ({ fromUs, untilUs: Math.min(untilUs, Number.MAX_SAFE_INTEGER) }));
}
