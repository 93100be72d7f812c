/**
 * Slices: samples in, slices of one stream on the spool out. Says where a slice ends (contract §4.2), what it is called
 * and what its playlist will say of it; how its bytes are written is a container's affair.
 */

import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { FileCodecs, FileOwner, Segment } from '../../media/segment.ts';
import type { MediaKind } from '../../media/track.ts';
import { endsSlice } from './cut.ts';
import { Interleaver } from './interleave.ts';
import { playlistName, sliceName } from './names.ts';
import type { PictureShape, SliceContainer } from './slice-container.ts';
import { type SliceTags, StreamTags } from './slice-tags.ts';
import { finishPart, partPath } from './spool-file.ts';

/**
 * What a process that dies had not handed to the system is lost; FFmpeg would keep 32 kB, seconds of a quiet recording.
 */
const FLUSH_US = 250_000;

/** A container that refuses so many samples in a row is given up for a new one. */
const MAX_REFUSED = 10;
/** After a file could not be begun, or was given up, none is begun for this long: what is wrong may pass. */
const RETRY_US = 1_000_000;

export type SlicesOptions = {
  /** The spool folder; exists. */
  dir: string;
  baseName: string;
  /** The playlist's name; that of `baseName` when left out. */
  playlist?: string | undefined;
  /** The kinds of sample that will come. */
  kinds: readonly MediaKind[];
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** Index of the first slice; 0 when left out. */
  firstIndex?: number | undefined;
  /** Of the first picture. */
  shape?: PictureShape | undefined;
  /**
   * The stream goes on from slices written otherwise, with another size: a discontinuity, but no new start (contract
   * §4.3).
   */
  continues?: boolean | undefined;
  /** Whether a slice of picture may be ended without a key frame when it gets too long (H.264 only, contract §4.2). */
  forced?: boolean | undefined;
  owner?: FileOwner | undefined;
  codecs?: FileCodecs | undefined;
  mpd?: string | undefined;
  /** Where the first slice begins, microseconds, where its first sample begins a little earlier or later. */
  startUs?: StreamUs | undefined;
  /** What the first slice is named after, Unix milliseconds, where that is not its first sample: it is written anew. */
  firstUtcMs?: number | undefined;
  /** How much of the recording was on hold before the first slice, microseconds; 0 when left out. */
  heldUs?: number | undefined;
  /** Milliseconds that slices of the same base name are named after already, Unix time; grows with each slice. */
  taken?: Set<number> | undefined;
  /**
   * Something could not be written: a sample that the container refused, or a slice. It costs just that, and the stream
   * goes on, pictures with the next key frame. Where this is left out, the first such failure is thrown.
   */
  onLost?: ((what: string) => void) | undefined;
  /** A slice was begun; `startUtcMs` is the whole millisecond that its name says (contract §4.1). */
  onSliceStart?: ((startUtcMs: number) => void) | undefined;
  /** A slice lies finished and synced on the spool. Called in order, the next call only after this one has resolved. */
  onFile(file: Segment): Promise<void> | void;
};

type OpenSlice = {
  name: string;
  path: string;
  startUs: StreamUs;
  startUtcMs: number;
  heldUs: number;
  /** Where the last of its samples ends. */
  endUs: StreamUs;
  bytes: number;
  /** Decode time of the last sample that was written, and of the last that was handed to the system. */
  writtenUs: StreamUs;
  flushedUs: StreamUs;
  /** Where the last sample ends that was handed to the system. */
  flushedEndUs: StreamUs;
  /** The system did not take all that came since. */
  flushFailed: boolean;
  tags: SliceTags;
};

/**
 * Up to where samples have been handed to the system, microseconds: picture in decode time, sound to the end of its
 * last.
 */
export type Flushed = { video: number; audio: number };

export class Slices {
  readonly #options: SlicesOptions;
  readonly #open: () => SliceContainer;
  /** Undefined after one was given up. */
  #container: SliceContainer | undefined;
  readonly #interleaver: Interleaver;
  readonly #taken: Set<number>;
  #slice: OpenSlice | undefined;
  #nextIndex: number;
  readonly #tags: StreamTags;
  /**
   * The next key frame, or without pictures the next sound, begins a slice that its playlist marks as a discontinuity.
   */
  #cutting = false;
  /** A picture was lost: what refers to it is left out. */
  #keyFrameWanted = false;
  #startUs: StreamUs | undefined;
  #firstUtcMs: number | undefined;
  #heldUs: number;
  #refused = 0;
  /** Where a file could not be begun or was given up. */
  #brokeOffUs: StreamUs | undefined;
  #written: Flushed = { video: Number.NEGATIVE_INFINITY, audio: Number.NEGATIVE_INFINITY };
  #flushed: Flushed = { ...this.#written };
  #finishing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #closed = false;

  /**
   * @param open a new container. Throws a Fault when no kind is named, and whatever `open` throws where nobody takes
   * losses.
   */
  constructor(options: SlicesOptions, open: () => SliceContainer) {
    if (options.kinds.length === 0)
      throw new Fault('no-streams', 'a file needs a video or an audio stream', { blame: 'self' });
    this.#options = options;
    this.#open = open;
    if (!options.onLost) this.#container = open();
    this.#interleaver = new Interleaver(options.kinds);
    this.#taken = options.taken ?? new Set();
    this.#nextIndex = options.firstIndex ?? 0;
    this.#tags = new StreamTags({ shape: options.shape, continues: options.continues });
    this.#startUs = options.startUs;
    this.#firstUtcMs = options.firstUtcMs;
    this.#heldUs = options.heldUs ?? 0;
  }

  /** The index of the next slice that is finished. */
  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** True while pictures are left out because one before them could not be written. */
  get keyFrameWanted(): boolean {
    return this.#keyFrameWanted;
  }

  /** What stays written even if this process is killed now. */
  get flushed(): Flushed {
    return this.#flushed;
  }

  /**
   * Takes the next sample; sound and picture may come in any interleave, each kind in its decode order.
   * Throws a Fault when a slice could not be written, also an earlier one, and nobody takes losses.
   */
  write(sample: EncodedSample): void {
    if (this.#failure) throw this.#failure;
    // An encoder's priming ends before zero. No slice has a way to say "do not play this".
    if (sample.kind === 'audio' && sample.ptsUs + sample.durationUs <= 0) return;
    for (const next of this.#interleaver.push(sample)) this.#mux(next);
  }

  /**
   * The picture is turned otherwise from the sample at `atUs` on, which is written next: told in the playlist, and a
   * new slice begins there when it is a key frame, else with the next one.
   */
  turn(shape: PictureShape, atUs: StreamUs, isKeyFrame: boolean): void {
    this.#cutting = true;
    this.#tags.turn(shape, isKeyFrame ? undefined : this.#slice?.tags, this.#utcMs(atUs));
  }

  /** Hands over to the system what was written before `untilUs`. Call it where nothing may come for a while. */
  flush(untilUs = Number.POSITIVE_INFINITY): void {
    const slice = this.#slice;
    if (!slice || slice.writtenUs <= slice.flushedUs || slice.writtenUs >= untilUs) return;
    slice.flushedUs = slice.writtenUs;
    if (this.#attempt(() => this.#container?.flush())) this.#flushed = { ...this.#written };
  }

  /** From where on samples were taken that may not be with the system yet, decode time; undefined when all are. */
  get unflushedUs(): StreamUs | undefined {
    const slice = this.#slice;
    const unwrittenUs = this.#interleaver.firstHeldUs;
    if (!slice || slice.writtenUs <= slice.flushedUs) return unwrittenUs;
    return Math.min(slice.flushedUs, unwrittenUs ?? slice.flushedUs);
  }

  /**
   * The recording is on hold: ends the slice. Resolves when all slices are finished and given to `onFile`.
   * @param atUs where the next picture will be shown, and the slice ends and the next begins; left out without pictures
   */
  async hold(atUs?: StreamUs): Promise<void> {
    for (const next of this.#interleaver.flush()) this.#mux(next);
    if (this.#slice) {
      this.#endSlice(this.#slice, atUs ?? this.#slice.endUs, false);
      this.#startUs = atUs;
    }
    await this.#finishing;
    if (this.#failure) throw this.#failure;
    this.#flushed = { video: Number.POSITIVE_INFINITY, audio: Number.POSITIVE_INFINITY };
  }

  /** The recording goes on as if no time had passed. @param heldUs how long it was on hold so far, all in all */
  resume(heldUs: number): void {
    this.#heldUs = heldUs;
    this.#flushed = { ...this.#written };
  }

  /**
   * Ends the last slice; resolves when all slices are finished and given to `onFile`. Frees everything.
   * @param untilUs how long its last picture is shown, where that is longer than it said
   */
  async finish(untilUs = Number.NEGATIVE_INFINITY): Promise<void> {
    try {
      if (this.#failure) throw this.#failure;
      for (const next of this.#interleaver.flush()) this.#mux(next);
      if (this.#slice) this.#endSlice(this.#slice, Math.max(this.#slice.endUs, untilUs), true);
      await this.#finishing;
      if (this.#failure) throw this.#failure;
    } finally {
      this.close();
    }
  }

  /** Resolves when none of the slices that were ended is on its way to the disk any more. Never rejects. */
  settled(): Promise<void> {
    return this.#finishing;
  }

  /** Frees what is native. A slice not finished stays behind as `.part`. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#slice = undefined;
    this.#container?.close();
  }

  #mux(sample: EncodedSample): void {
    if (this.#brokeOffUs !== undefined && Math.abs(sample.dtsUs - this.#brokeOffUs) < RETRY_US) return;
    const isKeyPicture = sample.kind === 'video' && sample.keyFrame;
    // A slice that begins anew begins with its picture: players stumble over one that has none.
    if (this.#keyFrameWanted && !this.#slice && !isKeyPicture) return;
    if (this.#keyFrameWanted && sample.kind === 'video') {
      if (!isKeyPicture) return;
      this.#cutting = true;
    }
    if (this.#attempt(() => this.#put(sample))) {
      this.#refused = 0;
      this.#brokeOffUs = undefined;
      if (isKeyPicture) this.#keyFrameWanted = false;
      return;
    }
    if (sample.kind === 'video') this.#keyFrameWanted = true;
    if (this.#slice && ++this.#refused < MAX_REFUSED) return;
    this.#breakOff(sample);
  }

  /** Carries out `work`. What it throws is told to whoever takes losses, and thrown on where nobody does. */
  #attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      const { onLost } = this.#options;
      if (!onLost) throw error;
      onLost(messageOf(error));
      return false;
    }
  }

  /** Begins anew with a new container, a little later. */
  #breakOff({ dtsUs }: EncodedSample): void {
    if (this.#slice) this.#endSlice(this.#slice, this.#slice.endUs, true);
    this.#container?.close();
    this.#container = undefined;
    this.#refused = 0;
    this.#brokeOffUs = dtsUs;
    this.#cutting = true;
  }

  #put(sample: EncodedSample): void {
    const { kinds, forced = true } = this.#options;
    const hasVideo = kinds.includes('video');
    if (sample.data.length === 0)
      throw new Fault('mux-failed', `a sample of ${sample.kind} is empty`, { blame: 'channel' });
    const cutting = this.#cutting && (!hasVideo || (sample.kind === 'video' && sample.keyFrame));
    if (this.#slice && (cutting || endsSlice(sample, this.#slice, hasVideo, forced)))
      this.#endSlice(this.#slice, sample.ptsUs, false);
    this.#slice ??= this.#beginSlice(sample.ptsUs, cutting);
    const slice = this.#slice;
    this.#container?.write(sample);
    this.#tags.note(slice.tags, sample.kind, this.#utcMs(sample.ptsUs), cutting);
    if (cutting) this.#cutting = false;
    slice.endUs = Math.max(slice.endUs, sample.ptsUs + sample.durationUs);
    slice.bytes += sample.data.length;
    this.#written[sample.kind] = sample.kind === 'video' ? sample.dtsUs : sample.ptsUs + sample.durationUs;
    slice.writtenUs = Math.max(slice.writtenUs, sample.dtsUs);
    if (sample.dtsUs - slice.flushedUs < FLUSH_US) return;
    slice.flushedUs = slice.writtenUs;
    slice.flushFailed = true;
    this.#container?.flush();
    slice.flushFailed = false;
    slice.flushedEndUs = slice.endUs;
    this.#flushed = { ...this.#written };
  }

  #beginSlice(firstUs: StreamUs, discontinuity: boolean): OpenSlice {
    const { dir, baseName, onSliceStart } = this.#options;
    this.#container ??= this.#open();
    const startUs = this.#startUs ?? firstUs;
    this.#startUs = undefined;
    let startUtcMs = this.#firstUtcMs ?? this.#utcMs(startUs);
    this.#firstUtcMs = undefined;
    while (this.#taken.has(Math.trunc(startUtcMs))) startUtcMs++;
    const name = sliceName(baseName, startUtcMs, this.#container.extension);
    const path = join(dir, name);
    try {
      this.#container.begin(partPath(path), this.#tags.shape);
    } catch (error) {
      removeEmpty(partPath(path));
      throw error;
    }
    this.#taken.add(Math.trunc(startUtcMs));
    onSliceStart?.(Math.trunc(startUtcMs));
    // Nothing of it is with the system yet, not its first sample either.
    const times = { writtenUs: firstUs, flushedUs: firstUs - 1, flushedEndUs: startUs, flushFailed: false };
    const counted = { startUs, startUtcMs, heldUs: this.#heldUs, endUs: startUs, bytes: 0, ...times };
    return { name, path, ...counted, tags: { starts: [], rotations: [], discontinuity } };
  }

  #endSlice(slice: OpenSlice, endUs: StreamUs, last: boolean): void {
    const container = this.#container;
    const headBytes = container?.headBytes;
    this.#slice = undefined;
    // What was written until then can be read in all containers. A full disk has no more than what was flushed.
    const isWhole = this.#attempt(() => this.#container?.end(last, endUs)) && !slice.flushFailed;
    const reachedUs = isWhole ? endUs : slice.flushedEndUs;
    if (!isWhole && reachedUs <= slice.startUs) slice.bytes = 0;
    this.#finishing = this.#finishing.then(async () => {
      if (this.#failure) return;
      try {
        await this.#keep(slice, reachedUs, headBytes, container);
      } catch (error) {
        this.#tags.leaveOut(slice.tags, slice.startUtcMs);
        const { onLost } = this.#options;
        if (onLost) onLost(`${slice.name}: ${messageOf(error)}`);
        else this.#failure = error instanceof Error ? error : new Error(messageOf(error));
      }
    });
  }

  async #keep(
    slice: OpenSlice,
    endUs: StreamUs,
    headBytes: number | undefined,
    container: SliceContainer | undefined,
  ): Promise<void> {
    if (slice.bytes === 0) {
      await rm(partPath(slice.path), { force: true });
      this.#tags.leaveOut(slice.tags, slice.startUtcMs);
      return;
    }
    const { baseName, playlist = playlistName(baseName), owner, codecs, mpd, onFile } = this.#options;
    const bytes = await finishPart(slice.path);
    // It is whole without them.
    const entryPoints = await container?.entryPointsOf?.(slice.path).catch(() => undefined);
    await onFile({
      type: 'slice',
      name: slice.name,
      playlist,
      index: this.#nextIndex,
      startUtcMs: slice.startUtcMs,
      durationUs: Math.max(0, endUs - slice.startUs),
      bytes,
      ...(slice.heldUs > 0 && { heldUs: slice.heldUs }),
      ...this.#tags.before(slice.tags, slice.startUtcMs),
      ...(owner && { owner }),
      ...(codecs && { codecs }),
      ...(mpd !== undefined && { mpd, startUs: slice.startUs, ...(headBytes && { headBytes }) }),
      ...(entryPoints && { entryPoints }),
    });
    this.#nextIndex++;
    this.#tags.listed();
  }

  #utcMs(us: number): number {
    return this.#options.zeroUtcMs + Math.round((us + this.#heldUs) / 1000);
  }
}

/**
 * A full disk has a name for a file that was begun, and nothing more. What cannot be removed stays: why it could not be
 * begun is what is told.
 */
function removeEmpty(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It is no file of ours.
  }
}
