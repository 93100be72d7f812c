/**
 * Mp4Files: takes samples and writes MP4 files to the spool, one after another as each reaches its limit. The index
 * (`moov`) of a finished file comes before the media, so that the file plays before it is fully loaded. An unfinished
 * file cannot be read: after a crash it is made anew from the slices (`remux-slices.ts`).
 */

import { join } from 'node:path';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import type { StreamUs } from '../../../kernel/time.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { WholeFile } from '../../../media/segment.ts';
import { parameterSetsOf } from '../bitstream.ts';
import { endsFile, type FileLimit } from '../cut.ts';
import { Interleaver } from '../interleave.ts';
import { mp4Name } from '../names.ts';
import { finishPart } from '../spool-file.ts';
import { kindsOf, type Streams } from '../stream.ts';
import { indexRoom } from './index-place.ts';
import { OpenMp4 } from './open-mp4.ts';

export type Mp4FilesOptions = Streams & {
  /** The spool folder; exists. */
  dir: string;
  baseName: string;
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  /**
   * A file ends, and the next begins, at the first key frame beyond either limit; at the first sound where no picture
   * is shown.
   */
  limit: FileLimit;
  /**
   * A key frame of H.264 may bring other parameter sets than those of `video`, as after a change of encoders. An index
   * holds one of each, so a new file begins there.
   */
  setsMayChange?: boolean | undefined;
  /**
   * Leaves room for the index where a file begins, so that it ends soon: while a recording waits for it. The room may
   * take some megabytes of the disk when it ends.
   */
  endsSoon?: boolean | undefined;
  /** Index of the first file; 0 when left out. */
  firstIndex?: number | undefined;
  /**
   * Something could not be written: a sample that the muxer refused, or a file. Only that is lost, and after a lost
   * file the next one is begun. Without this callback the first such failure is thrown.
   */
  onLost?: ((what: string) => void) | undefined;
  /** As `onLost`, but only for refused samples; for users that want a file that cannot be written to be thrown. */
  onRefused?: ((what: string) => void) | undefined;
  /** The first file begins here, where a finished one ended; earlier samples are ignored. */
  fromUs?: StreamUs | undefined;
  /** As of SlicesOptions. */
  heldUs?: number | undefined;
  /** A file is finished and synced on the spool. Called in order, and again only after this has resolved. */
  onFile(file: WholeFile): Promise<void> | void;
};

/** Where the last picture has ended and no other came for this long, none is shown. */
const PICTURE_AWAY_US = 15_000_000;
/** After a file could not be begun, none is begun for this long, because the cause may pass. */
const RETRY_US = 1_000_000;

export class Mp4Files {
  #options: Mp4FilesOptions;
  #interleaver: Interleaver;
  #file: OpenMp4 | undefined;
  #index: number;
  /** A picture was lost, so pictures that refer to it are left out. */
  #keyFrameWanted = false;
  /** Where a file could not be begun. */
  #brokeOffUs: StreamUs | undefined;
  /**
   * The latest sounds: a file that begins in the middle of one needs it, and the one before it to decode it correctly.
   */
  #lastSounds: EncodedSample[] = [];
  #finishing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #abandoned = false;
  #heldUs: number;
  #streams: Streams;
  /** Where the last picture ends. */
  #pictureEndUs = Number.NEGATIVE_INFINITY;

  /** Throws a Fault when no stream is described. */
  constructor(options: Mp4FilesOptions) {
    this.#options = options;
    this.#streams = { video: options.video, audio: options.audio };
    this.#index = options.firstIndex ?? 0;
    this.#interleaver = new Interleaver(kindsOf(options));
    this.#heldUs = options.heldUs ?? 0;
  }

  /**
   * Takes the next sample; sound and picture may be interleaved in any way, each kind in its decode order. Throws a
   * Fault when a file could not be written, perhaps an earlier one, and there is no `onLost`.
   */
  write(sample: EncodedSample): void {
    if (this.#failure) throw this.#failure;
    for (const next of this.#interleaver.push(sample)) this.#take(next);
  }

  /** As in Slices. Everything that was encoded before has been written. */
  resume(heldUs: number): void {
    for (const next of this.#interleaver.flush()) this.#take(next);
    this.#heldUs = heldUs;
  }

  /** Stops writing, and leaves the file that was begun as `.part`; files that were ended are finished. */
  abandon(): void {
    this.#abandoned = true;
    this.close();
  }

  /** Ends the last file; resolves when all files are finished and have been given to `onFile`. Frees everything. */
  async finish(): Promise<void> {
    try {
      if (this.#failure) throw this.#failure;
      for (const next of this.#interleaver.flush()) this.#take(next);
      if (this.#file) this.#endFile(this.#file, this.#file.endUs);
      await this.#finishing;
      if (this.#failure) throw this.#failure;
    } finally {
      this.close();
    }
  }

  /** Frees everything native. An unfinished file stays behind as `.part`. Calling it again does nothing. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #take(sample: EncodedSample): void {
    if (this.#abandoned) return;
    const isVideo = sample.kind === 'video';
    if (isVideo && this.#keyFrameWanted && !sample.keyFrame) return;
    if (this.#brokeOffUs !== undefined && Math.abs(sample.dtsUs - this.#brokeOffUs) < RETRY_US) return;
    try {
      this.#mux(sample);
      if (isVideo) this.#keyFrameWanted = false;
      this.#brokeOffUs = undefined;
    } catch (error) {
      this.#tellLost(error);
      if (isVideo) this.#keyFrameWanted = true;
      if (!this.#file) this.#brokeOffUs = sample.dtsUs;
    }
  }

  /** Throws the error when there is no `onLost`. */
  #tellLost(error: unknown): void {
    const { onLost, onRefused } = this.#options;
    const tell = error instanceof Fault && error.code === 'sample-refused' ? (onLost ?? onRefused) : onLost;
    if (!tell) throw error;
    tell(messageOf(error));
  }

  #mux(sample: EncodedSample): void {
    if (sample.data.length === 0)
      throw new Fault('sample-refused', `a sample of ${sample.kind} is empty`, { blame: 'channel' });
    const { limit, video } = this.#options;
    const isShown = video !== undefined && sample.ptsUs - this.#pictureEndUs < PICTURE_AWAY_US;
    const ends = this.#takeSets(sample) || (this.#file && endsFile(sample, this.#file, limit, isShown));
    if (this.#file && ends) this.#endFile(this.#file, sample.ptsUs);
    if (!this.#file && !this.#isPast(sample)) {
      const isPriming = sample.kind === 'audio' && sample.ptsUs + sample.durationUs <= 0;
      if (!isPriming) this.#beginFile(sample.ptsUs);
    }
    this.#file?.write(sample);
    if (sample.kind === 'audio') this.#lastSounds = [...this.#lastSounds.slice(-1), sample];
    else this.#pictureEndUs = Math.max(this.#pictureEndUs, sample.ptsUs + sample.durationUs);
  }

  /** True for a key frame with other parameter sets than those before it; the next file tells these. */
  #takeSets({ kind, keyFrame, data }: EncodedSample): boolean {
    const { video } = this.#streams;
    if (!this.#options.setsMayChange || kind !== 'video' || !keyFrame || video?.extradata === undefined) return false;
    const extradata = parameterSetsOf(data);
    if (extradata.length === 0 || extradata.equals(video.extradata)) return false;
    this.#streams = { ...this.#streams, video: { ...video, extradata } };
    return true;
  }

  /** True for a sample that an earlier file holds. A new file begins with a key frame if there is a picture. */
  #isPast({ kind, keyFrame, ptsUs, durationUs }: EncodedSample): boolean {
    const { fromUs, video } = this.#options;
    if (fromUs === undefined || this.#index > (this.#options.firstIndex ?? 0)) return false;
    if (video) return kind !== 'video' || !keyFrame || ptsUs + durationUs / 2 < fromUs;
    return ptsUs + durationUs <= fromUs;
  }

  #beginFile(startUs: StreamUs): void {
    const { dir, baseName, limit, endsSoon } = this.#options;
    const name = mp4Name(baseName, this.#index);
    const room = endsSoon ? indexRoom(this.#options, limit) : 0;
    const begun = { startUs, heldUs: this.#heldUs, startUtcMs: this.#utcMs(startUs) };
    this.#file = new OpenMp4(join(dir, name), begun, this.#streams, room);
    for (const sound of this.#lastSounds)
      if (sound.ptsUs + sound.durationUs > startUs - sound.durationUs) this.#file.write(sound);
  }

  #endFile(file: OpenMp4, endUs: StreamUs): void {
    const index = this.#index++;
    this.#file = undefined;
    this.#finishing = this.#finishing.then(async () => {
      try {
        if (this.#failure) return;
        try {
          file.writeLast(endUs);
        } catch (error) {
          this.#tellLost(error);
        }
        await file.end();
        const bytes = await finishPart(file.path);
        await this.#options.onFile({
          type: 'mp4',
          name: file.name,
          index,
          startUtcMs: file.startUtcMs,
          durationUs: endUs - file.startUs,
          bytes,
          ...(file.heldUs > 0 && { heldUs: file.heldUs }),
        });
      } catch (error) {
        const { onLost } = this.#options;
        if (onLost) onLost(`${file.name}: ${messageOf(error)}`);
        else this.#failure = error instanceof Error ? error : new Error(messageOf(error));
      } finally {
        file.close();
      }
    });
  }

  #utcMs(us: number): number {
    return this.#options.zeroUtcMs + Math.round((us + this.#heldUs) / 1000);
  }
}
