/**
 * FileSink: where one user's streams are written, and who hears of it. SliceRuns: one playlist's slices over all interruptions
 * of its stream, numbered through.
 */
import { US } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { FileCodecs, FileOwner, Segment, Snapshot } from '../../media/segment.ts';
import type { MediaKind } from '../../media/track.ts';
import { userBaseName } from '../../stages/mux/names.ts';
import { type PictureShape, type SliceContainer, Slices } from '../../stages/mux/slices.ts';

/** A stream of which nothing came for this long has ended; what comes then begins a new slice (contract §4.2). */
export const INTERRUPTION_US = 15 * US;

export type FileSink = {
  /** The spool folder. */
  dir: string;
  /** `<sid>_<cname>` */
  baseName: string;
  /** UTC of the recording's zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** `discontinueUtcMs` is where the last slice of the stream ended after an interruption, else the slice's own start. */
  onSliceStart(owner: FileOwner, startUtcMs: number, discontinueUtcMs: number): void;
  /** A file lies finished on the spool. */
  onFile(file: Segment | Snapshot): Promise<void>;
};

export type Run = {
  kinds: readonly MediaKind[];
  codecs: FileCodecs;
  container: SliceContainer;
  shape?: PictureShape | undefined;
  /** As of SlicesOptions. */
  continues?: boolean;
  forced?: boolean;
  mpd?: string | undefined;
};

export class SliceRuns {
  readonly #sink: FileSink;
  readonly #owner: FileOwner;
  readonly #baseName: string;
  readonly #playlist: string | undefined;
  #slices: Slices | undefined;
  #nextIndex = 0;
  /** Where the last run ended, microseconds of the recording. */
  #endedUs: number | undefined;
  #endUs = 0;
  #finishing: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | undefined;

  /**
   * @param type of the file names
   * @param playlist its name where it is not that of the slices
   */
  constructor(sink: FileSink, uid: string, type: 'audio' | 'video' | 'av', playlist?: string) {
    this.#sink = sink;
    this.#owner = { uid, trackType: type === 'av' ? 'audio_and_video' : type };
    this.#baseName = userBaseName(sink.baseName, uid, type);
    this.#playlist = playlist;
  }

  get running(): boolean {
    return this.#slices !== undefined;
  }

  /** Begins a run; one that is going on is ended. */
  begin(run: Run): void {
    this.end();
    const { dir, zeroUtcMs, onSliceStart, onFile } = this.#sink;
    const { container, ...shared } = run;
    const interruptedUs = run.continues ? undefined : this.#endedUs;
    let isFirst = true;
    this.#slices = new Slices(
      {
        ...shared,
        dir,
        zeroUtcMs,
        onFile: (file) => onFile(file),
        baseName: this.#baseName,
        playlist: this.#playlist,
        firstIndex: this.#nextIndex,
        owner: this.#owner,
        onSliceStart: (startUtcMs) => {
          const isResumed = isFirst && interruptedUs !== undefined;
          isFirst = false;
          // Slices for another container repeat what is told already.
          if (this.#playlist !== undefined) return;
          onSliceStart(this.#owner, startUtcMs, isResumed ? zeroUtcMs + interruptedUs / 1000 : startUtcMs);
        },
      },
      container,
    );
  }

  /** Throws a Fault when a slice could not be written, or there is no run. */
  write(sample: EncodedSample): void {
    if (this.#failure) throw this.#failure.error;
    this.#slices?.write(sample);
    this.#endUs = Math.max(this.#endUs, sample.ptsUs + sample.durationUs);
  }

  /** As of Slices. */
  turn(shape: PictureShape, atUs: number, isKeyFrame: boolean): void {
    this.#slices?.turn(shape, atUs, isKeyFrame);
  }

  /** Ends the run; what comes next begins a new one. */
  end(): void {
    const slices = this.#slices;
    if (!slices) return;
    this.#slices = undefined;
    this.#endedUs = this.#endUs;
    const finished = slices.finish();
    this.#nextIndex = slices.nextIndex;
    this.#finishing = this.#finishing
      .then(() => finished)
      .catch((error) => {
        this.#failure ??= { error };
      });
  }

  /** Resolves when all slices lie on the spool. Rejects with the Fault of the first that could not be written. */
  async finish(): Promise<void> {
    this.end();
    await this.#finishing;
    if (this.#failure) throw this.#failure.error;
  }

  close(): void {
    this.#slices?.close();
    this.#slices = undefined;
  }
}
