/**
 * RowEnd: where a row of slices stood when the run that wrote it was lost, read from its newest slice. A slice that was
 * being written is written anew, sample by sample, so that it goes on as if nothing had happened.
 */

import { join } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { FileCodecs, RotateEvent, Segment } from '../../media/segment.ts';
import type { MediaKind, VideoCodec } from '../../media/track.ts';
import { Fmp4Container } from '../../stages/mux/mp4/fmp4-container.ts';
import { probeSlice, readSamples } from '../../stages/mux/read-slices.ts';
import type { PictureShape, SliceContainer } from '../../stages/mux/slice-container.ts';
import type { Streams } from '../../stages/mux/stream.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import { WebmContainer } from '../../stages/mux/webm/webm-container.ts';
import type { Run, SliceRuns } from './file-sink.ts';
import { Joint } from './joint.ts';

/**
 * Two times this close are the same moment: one may come from a restored clock, or be counted in a container's ticks.
 */
const SAME_US = 2000;

export type RowEnd = {
  /** Whether its last slice goes on. */
  isOpen: boolean;
  /** Where that slice begins. All times are microseconds of the recording. */
  startUs: StreamUs;
  /** The last picture in decode order, and the latest in display order. */
  picture:
    | { codec: VideoCodec; shape: PictureShape; lastUs: StreamUs; decodedUs: StreamUs; highestUs: StreamUs }
    | undefined;
  /** Where the sound ends. */
  soundEndUs: StreamUs | undefined;
  channels: 1 | 2 | undefined;
};

/** A slice of an earlier run. `utcMs` is the time in its name. */
export type PastSlice = {
  dir: string;
  name: string;
  utcMs: number;
  /** It was being written, and is cut off somewhere. */
  isTorn: boolean;
  /** Its run had ended it and begun the next, so that it is whole; it is in no journal all the same. */
  isEnded?: boolean | undefined;
  /** What is known of a whole slice that a standby made: it is in no journal, and is written again (ADR 0042). */
  ofStandby?: Segment | undefined;
};

export type ReadRowOptions = {
  /** The row's unfinished slices and those that a standby made, in order, and its last finished one. */
  torn: readonly PastSlice[];
  finished: PastSlice | undefined;
  /** Up to where another node has stored the row, microseconds of the recording: what lies before is not written. */
  storedUs?: StreamUs | undefined;
  zeroUtcMs: number;
  /** As of Run; of slices that belong into an MPD. */
  mpd: string | undefined;
  rotate: RotateEvent['rotate'];
  /** Whether its slices hold sound beside the picture, where there is sound. */
  isMerged: boolean;
};

/** Slices of a standby that are no further apart than this continue each other. */
const JOINED_US = 500_000;
/** A slice of both kinds that lacks one has just begun: that kind is still waited for, or is in a muxer. */
const BEGINNING_US = 2_000_000;

/**
 * Reads the newest slices of a row, writes the unfinished ones to `row` again, and tells where the row ends.
 * @returns undefined when nothing of them can be read
 */
export async function readRow(row: SliceRuns, options: ReadRowOptions): Promise<RowEnd | undefined> {
  const again = new WrittenAgain(row, options);
  let end: RowEnd | undefined;
  for (const slice of options.torn) end = laterOf(end, await readSlice(again, slice, options));
  again.finish();
  if (end && (row.running || !options.finished)) return { ...end, isOpen: row.running };
  // Of a slice that was only begun nothing may be on disk.
  return options.finished && readSlice(again, options.finished, options);
}

/** Where the row ends by two of its slices: what a standby made may lie over what a later run made of it. */
function laterOf(a: RowEnd | undefined, b: RowEnd | undefined): RowEnd | undefined {
  if (!a || !b) return b ?? a;
  const isLater = (b.picture?.decodedUs ?? b.soundEndUs ?? 0) >= (a.picture?.decodedUs ?? a.soundEndUs ?? 0);
  const [last, before] = isLater ? [b, a] : [a, b];
  const soundEndUs = last.soundEndUs && Math.max(last.soundEndUs, before.soundEndUs ?? last.soundEndUs);
  return { ...last, soundEndUs };
}

async function readSlice(again: WrittenAgain, slice: PastSlice, options: ReadRowOptions): Promise<RowEnd | undefined> {
  const path = join(slice.dir, slice.name);
  const streams = await streamsOf(path);
  const run = streams && runOf(slice, streams, options);
  if (!streams || !run) return undefined;
  if (options.isMerged && slice.isTorn && (await isBeginning(path, slice, streams, options.zeroUtcMs)))
    return undefined;
  const { video, audio } = streams;
  const shape = video && { width: video.width, height: video.height, rotate: options.rotate };
  const end: RowEnd = {
    isOpen: false,
    startUs: Number.POSITIVE_INFINITY,
    picture: undefined,
    soundEndUs: undefined,
    channels: audio?.channels,
  };
  const isAgain = slice.isTorn || slice.ofStandby !== undefined;
  if (isAgain) again.begin(slice, run);
  for await (const sample of whole(path, slice, options.zeroUtcMs)) {
    if (isAgain) again.write(sample);
    const { ptsUs, dtsUs, durationUs } = sample;
    end.startUs = Math.min(end.startUs, ptsUs);
    if (sample.kind === 'audio') end.soundEndUs = Math.max(end.soundEndUs ?? 0, ptsUs + durationUs);
    else if (shape) {
      const highestUs = Math.max(end.picture?.highestUs ?? ptsUs, ptsUs);
      end.picture = { codec: video?.codec ?? 'h264', shape, lastUs: ptsUs, decodedUs: dtsUs, highestUs };
    }
  }
  return end.picture || end.soundEndUs !== undefined ? end : undefined;
}

/** Writes slices to a row again: those of a standby go on from each other, and from where the store has the row. */
class WrittenAgain {
  readonly #row: SliceRuns;
  readonly #zeroUtcMs: number;
  readonly #joint: Joint;
  /** The slice that is read, until something of it is written. */
  #next: { slice: PastSlice; run: Run } | undefined;
  /** What is written. */
  #current: Run | undefined;
  /** A standby made some of it. */
  #isOfStandby = false;
  /** Where the last sample that was written ends. */
  #endUs = Number.NEGATIVE_INFINITY;
  /** How the pictures of the slice are turned from when on, where that changes within it. */
  #turns: RotateEvent[] = [];

  constructor(row: SliceRuns, { storedUs, zeroUtcMs }: ReadRowOptions) {
    this.#row = row;
    this.#zeroUtcMs = zeroUtcMs;
    this.#joint = new Joint(storedUs);
  }

  begin(slice: PastSlice, run: Run): void {
    // What is held of the slice before belongs to its run.
    if (!this.#goesOn(slice, run)) this.finish();
    this.#next = { slice, run };
  }

  write(sample: EncodedSample): void {
    for (const next of this.#joint.push(sample)) this.#put(next);
  }

  /** Writes what is still held. */
  finish(): void {
    for (const held of this.#joint.flush()) this.#put(held);
  }

  #put(sample: EncodedSample): void {
    const { slice, run } = this.#next ?? {};
    this.#next = undefined;
    if (slice && run) {
      if (!this.#goesOn(slice, run) || sample.ptsUs - this.#endUs >= JOINED_US)
        this.#row.begin({ ...run, firstUtcMs: this.#nameOf(slice, sample) });
      this.#current = run;
      this.#isOfStandby ||= slice.ofStandby !== undefined;
      this.#turns = slice.ofStandby?.rotations.filter(({ utcMs }) => utcMs > slice.utcMs + 1) ?? [];
    }
    const turn = this.#turns[0];
    if (turn && sample.kind === 'video' && sample.ptsUs >= (turn.utcMs - this.#zeroUtcMs) * 1000 - SAME_US) {
      this.#turns.shift();
      this.#row.turn(turn, sample.ptsUs, sample.keyFrame);
    }
    this.#row.write(sample);
    this.#endUs = Math.max(this.#endUs, sample.ptsUs + sample.durationUs);
  }

  /** A slice of which the store has the beginning is named after what it lacks. */
  #nameOf({ utcMs }: PastSlice, { ptsUs }: EncodedSample): number {
    const sampleMs = this.#zeroUtcMs + Math.round(ptsUs / 1000);
    return this.#joint.isSet && sampleMs - utcMs > SAME_US / 1000 ? sampleMs : utcMs;
  }

  /** Whether a slice that a standby made, or what it or a later run was writing, continues what is written. */
  #goesOn({ ofStandby }: PastSlice, run: Run): boolean {
    const before = this.#current;
    if (!before || !this.#isOfStandby || ofStandby?.discontinuity) return false;
    return (
      JSON.stringify([before.codecs, before.shape, before.mpd]) === JSON.stringify([run.codecs, run.shape, run.mpd])
    );
  }
}

/** The feed gives again what has just begun, so the slice is made again as a whole. */
async function isBeginning(path: string, slice: PastSlice, { video, audio }: Streams, zeroUtcMs: number) {
  if (video && audio) return false;
  let [firstUs, lastUs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for await (const { ptsUs } of whole(path, slice, zeroUtcMs)) {
    firstUs = Math.min(firstUs, ptsUs);
    lastUs = Math.max(lastUs, ptsUs);
  }
  return !(lastUs - firstUs >= BEGINNING_US);
}

/** A slice that ends within its first samples does not count. */
async function streamsOf(path: string): Promise<Streams | undefined> {
  try {
    const streams = await probeSlice(path);
    return streams.video || streams.audio ? streams : undefined;
  } catch (error) {
    if (error instanceof Fault) return undefined;
    throw error;
  }
}

/**
 * The samples of a slice. From a torn one the last of each kind are left out: they may be cut off, and none so late was
 * reported to be on disk.
 */
async function* whole(path: string, slice: PastSlice, zeroUtcMs: number): AsyncGenerator<EncodedSample> {
  const held = new Map<MediaKind, EncodedSample>();
  const samples = readSamples(path, (slice.utcMs - zeroUtcMs) * 1000);
  for (;;) {
    const next = await samples.next().catch((error) => {
      // A reader may report an error at the tear.
      if (slice.isTorn) return undefined;
      throw error;
    });
    if (!next || next.done) break;
    const sample = next.value;
    const before = held.get(sample.kind);
    held.set(sample.kind, sample);
    if (before) yield before;
  }
  if (!slice.isTorn || slice.isEnded) yield* held.values();
}

function runOf({ name, utcMs }: PastSlice, streams: Streams, { mpd, rotate }: ReadRowOptions) {
  const { video, audio } = streams;
  const container = containerOf(name, streams);
  if (!container) return undefined;
  const isWebm = video?.codec !== undefined && video.codec !== 'h264';
  const codecs: FileCodecs = {
    ...(video && { video: video.codec ?? 'h264' }),
    ...(audio && { audio: audio.codec ?? 'aac' }),
  };
  const kinds: MediaKind[] = [...(video ? (['video'] as const) : []), ...(audio ? (['audio'] as const) : [])];
  const shape = video && { width: video.width, height: video.height, rotate };
  const belongsToMpd = isWebm || name.includes('.m4s');
  return { kinds, codecs, container, shape, forced: !isWebm, mpd: belongsToMpd ? mpd : undefined, firstUtcMs: utcMs };
}

function containerOf(name: string, { video, audio }: Streams): (() => SliceContainer) | undefined {
  const plain = name.replace(/\.part$/, '');
  if (plain.endsWith('.m4s')) return audio && (() => new Fmp4Container(audio));
  if (plain.endsWith('.webm')) {
    const codec = video?.codec;
    return codec && codec !== 'h264' ? () => new WebmContainer(codec) : undefined;
  }
  const size = video && { width: video.width, height: video.height };
  return () => new TsContainer({ video: size, audio });
}

/** Tells pictures that a file holds already from those after them, when a feed is read again. */
export class KnownPictures {
  readonly #lastUs: StreamUs;
  readonly #highestUs: StreamUs;
  #isPast = false;

  /**
   * @param lastUs time of the last picture in the file, in decode order
   * @param highestUs time of the latest to be shown
   */
  constructor(lastUs: StreamUs, highestUs: StreamUs) {
    this.#lastUs = lastUs;
    this.#highestUs = highestUs;
  }

  /** Ask in decode order. */
  has(ptsUs: StreamUs): boolean {
    if (this.#isPast) return false;
    if (ptsUs > this.#highestUs + SAME_US) this.#isPast = true;
    const isKnown = !this.#isPast;
    if (Math.abs(ptsUs - this.#lastUs) <= SAME_US) this.#isPast = true;
    return isKnown;
  }
}

/** Whether a file that ends at `endUs` holds the sound at `ptsUs`. */
export function isHeard(ptsUs: StreamUs, endUs: StreamUs | undefined): boolean {
  return endUs !== undefined && ptsUs < endUs - SAME_US;
}
