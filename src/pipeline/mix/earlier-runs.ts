/**
 * What earlier runs of a composite recording left: where their files end, how to go on from there, and the slices that
 * were being written when a run was lost, cut to what is whole. Their folders are read and never written.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { OverloadState } from '../../contract/line/overload-state.ts';
import type { MixPlan, WebPlan } from '../../contract/line/plan.ts';
import type { RungName } from '../../contract/line/rungs.ts';
import { type FileUs, type RecordingUs, rescale, US } from '../../kernel/time.ts';
import { withoutFailover } from '../../media/failover-names.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { Segment } from '../../media/segment.ts';
import { playlistName, readSliceName, sliceName } from '../../stages/mux/names.ts';
import { finishPart, partPath } from '../../stages/mux/spool-file.ts';
import { readEntryPoints } from '../../stages/mux/ts/entry-points.ts';
import { TS_ZERO_US } from '../../stages/mux/ts/ts-slices.ts';
import { cutUnits, readTsUnits, withoutUnits } from '../../stages/mux/ts/ts-units.ts';
import { type RecordingSpool, readRuns } from '../../stages/spool/recording-spool.ts';
import { readCheckpoint } from '../checkpoint/checkpoint-file.ts';
import { type MixCheckpoint, type MixMoment, mixCheckpointSchema } from './mix-checkpoint.ts';
import { AUDIO_BLOCK } from './mix-output.ts';
import { sliceGrid } from './slice-grid.ts';

const TS_RATE = 90_000;
const TS_ZERO = rescale(TS_ZERO_US, US, TS_RATE);
/** A hold takes a block of sound at least, 21 ms; two moments that are closer than this are the same. */
const SHORTEST_HOLD_US = 10_000;
/** When slices are further apart than this, there was an interruption between them. */
const INTERRUPTION_MS = 500;

type Follows = NonNullable<StartCommand['follows']>;

/** Plans of recordings with one picture and one sound. */
type CompositePlan = MixPlan | WebPlan;

/** Where the files end: the first frame and the first sample, counted from the files' zero, that none of them holds. */
type End = { frame: number; sample: number };

export type EarlierRuns = {
  /** Where the files begin, microseconds of the recording. */
  originUs: RecordingUs;
  end: End;
  /** The number of the next slice. */
  sliceIndex: number;
  /** Slices that have been made whole, in this run's folder and not in its journal yet. */
  mended: Segment[];
  /** A moment at or before the end from which the run can go on; undefined when there is none. */
  moment: MixMoment | undefined;
  /** As in the newest checkpoint; 0 when there is none. */
  heldUs: number;
  heldAtUs: RecordingUs | undefined;
  /** What was taken from the picture, and for how long it was to be, in the newest checkpoint. */
  rung: RungName | undefined;
  overload: OverloadState | undefined;
  /** What could not be read, in words. */
  problems: string[];
};

/**
 * Undefined when nothing was recorded yet. Throws a Fault when a folder cannot be read, or this run's cannot be
 * written.
 */
export async function readEarlierRuns(start: StartCommand, plan: CompositePlan): Promise<EarlierRuns | undefined> {
  const { earlierDirs, zeroUtcMs } = start;
  if (earlierDirs.length === 0) return undefined;
  const spool = await readRuns(earlierDirs);
  const { checkpoint, problems } = await readCheckpoint(earlierDirs, mixCheckpointSchema);
  const slices = slicesOf(spool);
  const torn = tornSlices(spool, slices.at(-1)?.file);
  // This run begins a playlist of its own.
  const lastListed = plan.failoverNames ? undefined : slices.at(-1)?.file;
  const firstUtcMs = slices[0]?.file.startUtcMs ?? torn[0]?.startUtcMs;
  if (!checkpoint && firstUtcMs === undefined) return undefined;
  // A recording of an earlier version has no checkpoint; the names of its slices tell the origin to the millisecond.
  const originUs = checkpoint?.originUs ?? ((firstUtcMs ?? zeroUtcMs) - zeroUtcMs) * 1000;
  const reader = new Reader(plan);
  const last = slices.at(-1);
  // A run that began with a slice of a run elsewhere has no files from before that.
  let end: End = checkpoint?.begun.continues === false ? checkpoint.begun : { frame: 0, sample: 0 };
  if (last) {
    // Its name tells the recording's time, which goes on during holds; its timestamps tell the files'.
    const { startUtcMs, heldUs = 0 } = last.file;
    const startUs = (startUtcMs - zeroUtcMs) * 1000 - originUs - heldUs;
    end = (await reader.read(join(last.dir, last.file.name), startUs, false, end))?.end ?? end;
    // Where frames are left out the last one is shown until the slice's end.
    const frames = plan.video ? Math.round(((startUs + last.file.durationUs) * plan.video.fps) / US) : 0;
    end = { ...end, frame: Math.max(end.frame, frames) };
  }
  const mended: Segment[] = [];
  for (const [n, part] of torn.entries()) {
    // A slice that another one follows was complete, but had not been renamed.
    const next = torn[n + 1];
    const found = await reader.readFurthest(part, next === undefined, end);
    if (!found) break;
    const read = next ? reader.shownUntil(found, (next.startUtcMs - part.startUtcMs) * 1000) : found;
    const before = mended.at(-1) ?? lastListed;
    mended.push(await keepSlice(start, plan, part, { ...read, originUs, before, checkpoint }));
    end = read.end;
  }
  return {
    ...{ originUs, end, mended, problems: [...spool.problems, ...problems] },
    sliceIndex: ((mended.at(-1) ?? lastListed)?.index ?? -1) + 1,
    moment: checkpoint?.moment,
    heldUs: checkpoint?.heldUs ?? 0,
    heldAtUs: checkpoint?.heldAtUs,
    rung: checkpoint?.rung,
    overload: checkpoint?.overload,
  };
}

/**
 * Where a run begins that follows another one: with the first slice of that one which begins at `fromUs` or later. It
 * is as if that one had ended there.
 * @param fps of the picture; undefined where there is none, and slices are counted in blocks of sound
 */
export function afterSlices(
  { originUs, sliceFrame }: Follows,
  fps: number | undefined,
  fromUs: RecordingUs,
): EarlierRuns {
  const { ratePerS, ofSlice } = sliceGrid(fps);
  const left = ((fromUs - originUs) * ratePerS) / US - sliceFrame;
  const first = sliceFrame + Math.max(0, Math.ceil(left / ofSlice)) * ofSlice;
  // Sound is handed over in whole blocks; a part of one may be in both slices.
  const block = fps === undefined ? first : Math.floor((first * SOUND_RATE) / fps / AUDIO_BLOCK);
  const end = { frame: fps === undefined ? 0 : first, sample: block * AUDIO_BLOCK };
  const nothing = {
    mended: [],
    moment: undefined,
    heldAtUs: undefined,
    rung: undefined,
    overload: undefined,
    problems: [],
  };
  return { originUs, end, sliceIndex: 0, heldUs: 0, ...nothing };
}

type Kept = { bytes: Buffer; startUs: FileUs; end: End; endUs: FileUs };

class Reader {
  readonly #fps: number | undefined;
  readonly #hasSound: boolean;

  constructor(plan: CompositePlan) {
    this.#fps = plan.video?.fps;
    this.#hasSound = plan.audio !== undefined;
  }

  /**
   * The whole part of that version of a slice that goes furthest; undefined when there is none.
   * @param before where the slices before it end: files go on from there, however long the recording was on hold
   */
  async readFurthest({ paths }: TornSlice, isTorn: boolean, before: End): Promise<Kept | undefined> {
    const fps = this.#fps;
    const startUs = fps === undefined ? (before.sample * US) / SOUND_RATE : (before.frame * US) / fps;
    let furthest: Kept | undefined;
    for (const path of paths) {
      const read = await this.read(path, startUs, isTorn, before);
      if (read && (!furthest || read.endUs > furthest.endUs)) furthest = read;
    }
    return furthest;
  }

  /**
   * Where frames are left out the last one is shown until the next slice begins. None is begun after a hold before the
   * one that the hold ended is listed.
   * @param durationUs how long after it the next one begins
   */
  shownUntil(kept: Kept, durationUs: number): Kept {
    const fps = this.#fps;
    if (fps === undefined) return kept;
    const frame = Math.max(kept.end.frame, Math.round(((kept.startUs + durationUs) * fps) / US));
    // Longer than frames are ever apart: what was to come between could not be written.
    if (frame - kept.end.frame > fps) return kept;
    return { ...kept, end: { ...kept.end, frame }, endUs: Math.max(kept.endUs, Math.round((frame * US) / fps)) };
  }

  /**
   * The whole part of the slice at `path`, and where it ends; undefined when there is none.
   * @param startUs where in the files it begins, to half a day: the times of a transport stream repeat after a day
   */
  async read(path: string, startUs: FileUs, isTorn: boolean, before: End): Promise<Kept | undefined> {
    const file = await readFile(path);
    const units = readTsUnits(file, rescale(startUs, US, TS_RATE) + TS_ZERO);
    const soundTo = this.#hasSound ? rescale(before.sample, SOUND_RATE, TS_RATE) + TS_ZERO : undefined;
    const pictureTicks = this.#fps === undefined ? 0 : TS_RATE / this.#fps;
    const { kept, left, videoStart, videoEnd, audioEnd } = cutUnits(units, { isTorn, pictureTicks, soundTo });
    const lacks = (this.#fps !== undefined && videoEnd === undefined) || kept.length === 0;
    if (lacks) return undefined;
    // A slice begins with its picture; only a run's first sound may begin a little earlier.
    const from = videoStart ?? kept[0]!.pts;
    const to = videoEnd ?? audioEnd ?? from;
    const end = {
      frame: videoEnd === undefined ? before.frame : Math.round(((videoEnd - TS_ZERO) * this.#fps!) / TS_RATE),
      sample: audioEnd === undefined ? before.sample : rescale(audioEnd - TS_ZERO, TS_RATE, SOUND_RATE),
    };
    const us = (ticks: number) => rescale(ticks - TS_ZERO, TS_RATE, US);
    return { bytes: withoutUnits(file, left), startUs: us(from), endUs: us(to), end };
  }
}

/** A slice that no run finished. Each run that wrote to it, or had begun to keep its whole part, left a version. */
type TornSlice = { paths: string[]; startUtcMs: number };

function slicesOf({ files }: RecordingSpool): { dir: string; file: Segment }[] {
  const slices: { dir: string; file: Segment }[] = [];
  for (const { dir, file } of files) if (file.type === 'slice') slices.push({ dir, file });
  return slices.sort((a, b) => a.file.startUtcMs - b.file.startUtcMs);
}

/** Slices that no journal lists, after the last that one does, in order. */
function tornSlices({ leftovers }: RecordingSpool, last: Segment | undefined): TornSlice[] {
  const from = last ? last.startUtcMs + last.durationUs / 1000 - INTERRUPTION_MS : Number.NEGATIVE_INFINITY;
  const byName = new Map<string, TornSlice>();
  for (const { dir, name } of leftovers) {
    const slice = name.replace(/\.part$/, '');
    const startUtcMs = readSliceName(slice)?.startUtcMs;
    const plainName = withoutFailover(slice);
    if (startUtcMs === undefined || !slice.endsWith('.ts') || startUtcMs < from || startUtcMs === last?.startUtcMs)
      continue;
    const torn = byName.get(plainName) ?? { paths: [], startUtcMs };
    torn.paths.push(join(dir, name));
    byName.set(plainName, torn);
  }
  return [...byName.values()].sort((a, b) => a.startUtcMs - b.startUtcMs);
}

/** Writes the whole part of a slice into this run's folder, under the name that this run gives it. */
async function keepSlice(
  { spoolDir, zeroUtcMs }: StartCommand,
  { baseName, video }: CompositePlan,
  { startUtcMs }: TornSlice,
  kept: Kept & { originUs: RecordingUs; before: Segment | undefined; checkpoint: MixCheckpoint | undefined },
): Promise<Segment> {
  const { before, checkpoint, startUs, endUs } = kept;
  // The name tells the recording's time, to the millisecond, and the timestamps tell the files', which lacks holds.
  const aheadUs = Math.round((startUtcMs - zeroUtcMs) * 1000 - kept.originUs - startUs);
  const heldUs = Math.abs(aheadUs - (before?.heldUs ?? 0)) < SHORTEST_HOLD_US ? (before?.heldUs ?? 0) : aheadUs;
  const name = sliceName(baseName, startUtcMs);
  const path = join(spoolDir, name);
  await writeFile(partPath(path), kept.bytes, { mode: 0o600 });
  const bytes = await finishPart(path);
  const isFirst = before === undefined;
  const begun = checkpoint?.begun;
  const begunUs = begun && (video ? (begun.frame * US) / video.fps : (begun.sample * US) / SOUND_RATE);
  const beginsRun = begun?.continues === true && begunUs !== undefined && Math.abs(begunUs - startUs) < 1000;
  const size = video && { width: video.width, height: video.height, rotate: 0 as const };
  const kinds = [...(video ? (['video'] as const) : []), ...(kept.end.sample > 0 ? (['audio'] as const) : [])];
  return {
    ...{ type: 'slice', name, playlist: playlistName(baseName), index: isFirst ? 0 : before.index + 1, startUtcMs },
    ...{ durationUs: endUs - startUs, bytes, discontinuity: isFirst || beginsRun, ...(heldUs > 0 && { heldUs }) },
    starts: isFirst ? kinds.map((kind) => ({ kind, startUtcMs })) : [],
    rotations: size && (isFirst || beginsRun) ? [{ ...size, utcMs: startUtcMs }] : [],
    entryPoints: await readEntryPoints(path, video ? 'video' : 'audio'),
  };
}
