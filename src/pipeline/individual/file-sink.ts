/**
 * FileSink: where users' streams are written, and who is told of it. SliceRuns: one playlist's slices over all
 * interruptions of its stream, numbered without gaps. UserRows: all rows of one user.
 */
import { messageOf } from '../../kernel/fault.ts';
import { type StreamUs, US } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { FileCodecs, FileOwner, Segment, Snapshot } from '../../media/segment.ts';
import type { MediaKind } from '../../media/track.ts';
import { fragmentRowName, userBaseName } from '../../stages/mux/names.ts';
import type { PictureShape, SliceContainer } from '../../stages/mux/slice-container.ts';
import { Slices } from '../../stages/mux/slices.ts';

/** A stream that was silent for this long has ended; what comes afterwards begins a new slice (contract §4.2). */
export const INTERRUPTION_US = 15 * US;

export type FileSink = {
  /** The spool folder. */
  dir: string;
  /** `<sid>_<cname>` */
  baseName: string;
  /** UTC of the recording's zero, Unix milliseconds. */
  zeroUtcMs: number;
  /**
   * `discontinueUtcMs` is where the last slice of the stream ended after an interruption, else the slice's own start.
   */
  onSliceStart(owner: FileOwner, startUtcMs: number, discontinueUtcMs: number): void;
  /** A file is finished and on the spool. */
  onFile(file: Segment | Snapshot): Promise<void>;
  /** Something of a user could not be written, in words. */
  onLost(uid: string, what: string): void;
};

export type Run = {
  kinds: readonly MediaKind[];
  codecs: FileCodecs;
  /** Makes the container of one slice. */
  container: () => SliceContainer;
  shape?: PictureShape | undefined;
  /** As of SlicesOptions. */
  continues?: boolean;
  forced?: boolean;
  mpd?: string | undefined;
  /** As of SlicesOptions. */
  firstUtcMs?: number | undefined;
};

/** What earlier runs of the recording made of a row. */
export type PastRow = {
  nextIndex: number;
  /** Milliseconds that its slices are named after. */
  taken: readonly number[];
  /** Where its last finished slice ends, microseconds of the recording; undefined without any. */
  endUs: StreamUs | undefined;
  /** Whether what is written now continues its playlist; false when it begins one of its own. */
  goesOn: boolean;
};

/** A stream that comes again this soon after the slices of an earlier run continues them. */
const JOINED_US = 500_000;

/** What a row of slices holds: `fragments` is sound for an MPD, in a row of its own beside `av`. */
export type RowType = 'audio' | 'video' | 'av' | 'fragments';

export class SliceRuns {
  readonly #sink: FileSink;
  readonly #owner: FileOwner;
  readonly #baseName: string;
  readonly #playlist: string | undefined;
  readonly #taken = new Set<number>();
  /** The next run, which begins with its first sample. */
  #next: Run | undefined;
  #slices: Slices | undefined;
  #nextIndex = 0;
  /** Where the last run ended, microseconds of the recording. */
  #endedUs: StreamUs | undefined;
  #endUs = 0;
  /** Where the slices of an earlier run end; undefined once this run has written one. */
  #pastUs: StreamUs | undefined;
  #finishing: Promise<void> = Promise.resolve();

  constructor(sink: FileSink, uid: string, type: RowType) {
    const isAlone = type === 'audio' || type === 'video';
    this.#sink = sink;
    this.#owner = { uid, trackType: isAlone ? type : 'audio_and_video' };
    this.#baseName = userBaseName(sink.baseName, uid, isAlone ? type : 'av');
    this.#playlist = type === 'fragments' ? fragmentRowName(sink.baseName, uid) : undefined;
  }

  get running(): boolean {
    return this.#slices !== undefined || this.#next !== undefined;
  }

  /** From here on what was written may not be on disk; undefined when everything is. As in Slices. */
  get unflushedUs(): StreamUs | undefined {
    return this.#slices?.unflushedUs;
  }

  /** Goes on from what earlier runs of the recording made. */
  goOn({ nextIndex, taken, endUs, goesOn }: PastRow): void {
    this.#nextIndex = nextIndex;
    for (const ms of taken) this.#taken.add(ms);
    this.#endUs = endUs ?? 0;
    this.#endedUs = endUs;
    this.#pastUs = goesOn ? endUs : undefined;
  }

  /** As of Slices. */
  get keyFrameWanted(): boolean {
    return this.#slices?.keyFrameWanted ?? false;
  }

  /** Begins a run with the next sample that is written; ends the run that is going on. */
  begin(run: Run): void {
    this.end();
    this.#next = run;
  }

  /** When something cannot be written the sink is told, and only that is lost. */
  write(sample: EncodedSample): void {
    if (this.#next) this.#slices = this.#open(this.#next, sample.ptsUs);
    this.#next = undefined;
    this.#slices?.write(sample);
    this.#endUs = Math.max(this.#endUs, sample.ptsUs + sample.durationUs);
  }

  #open(run: Run, fromUs: StreamUs): Slices {
    const { dir, zeroUtcMs, onSliceStart, onFile, onLost } = this.#sink;
    const { container, ...shared } = run;
    const isJoined = this.#pastUs !== undefined && fromUs - this.#pastUs < JOINED_US;
    this.#pastUs = undefined;
    const continues = run.continues || isJoined;
    const interruptedUs = continues ? undefined : this.#endedUs;
    let isFirst = true;
    // Slices of the former run may still be on their way to the disk, and come first.
    const before = this.#finishing;
    return new Slices(
      {
        ...shared,
        continues,
        dir,
        zeroUtcMs,
        taken: this.#taken,
        onFile: async (file) => {
          await before;
          await onFile({ ...file, index: this.#nextIndex });
          this.#nextIndex++;
        },
        onLost: (what) => onLost(this.#owner.uid, what),
        baseName: this.#baseName,
        playlist: this.#playlist,
        owner: this.#owner,
        onSliceStart: (startUtcMs) => {
          const isResumed = isFirst && interruptedUs !== undefined;
          // A slice that is written anew was told of when it was first begun.
          const isTold = isFirst && run.firstUtcMs !== undefined;
          isFirst = false;
          // Slices of a second container repeat what has been told already.
          if (this.#playlist !== undefined || isTold) return;
          onSliceStart(this.#owner, startUtcMs, isResumed ? zeroUtcMs + interruptedUs / 1000 : startUtcMs);
        },
      },
      container,
    );
  }

  /** As of Slices. */
  turn(shape: PictureShape, atUs: StreamUs, isKeyFrame: boolean): void {
    this.#slices?.turn(shape, atUs, isKeyFrame);
  }

  /** As of Slices. */
  flush(untilUs?: StreamUs): void {
    this.#slices?.flush(untilUs);
  }

  /**
   * Ends the run; what comes next begins a new one.
   * @param untilUs as in Slices
   */
  end(untilUs?: StreamUs): void {
    const slices = this.#slices;
    this.#next = undefined;
    if (!slices) return;
    this.#slices = undefined;
    this.#endedUs = this.#endUs;
    const finished = slices.finish(untilUs);
    // `finish` waits for it, perhaps long after.
    const told = finished.catch((error) => this.#sink.onLost(this.#owner.uid, messageOf(error)));
    this.#finishing = this.#finishing.then(() => told);
  }

  /** Resolves when all slices that could be written are on the spool. */
  async finish(): Promise<void> {
    this.end();
    await this.#finishing;
  }

  /** Ends no file. Resolves when none that was ended is on its way to the disk any more. */
  async close(): Promise<void> {
    const slices = this.#slices;
    this.#slices = undefined;
    slices?.close();
    await Promise.all([slices?.settled(), this.#finishing]);
  }
}

/** One user's rows of slices, whatever is written to them. */
export class UserRows {
  readonly #sink: FileSink;
  readonly #uid: string;
  readonly #rows = new Map<RowType, SliceRuns>();

  constructor(sink: FileSink, uid: string) {
    this.#sink = sink;
    this.#uid = uid;
  }

  row(type: RowType): SliceRuns {
    const known = this.#rows.get(type);
    if (known) return known;
    const row = new SliceRuns(this.#sink, this.#uid, type);
    this.#rows.set(type, row);
    return row;
  }

  /** From here on something may not be on disk; undefined when everything is. */
  get unflushedUs(): StreamUs | undefined {
    const held = [...this.#rows.values()].flatMap(({ unflushedUs: us }) => (us === undefined ? [] : [us]));
    return held.length > 0 ? Math.min(...held) : undefined;
  }

  /** Hands everything that was written before `untilUs` to the system. */
  flush(untilUs: StreamUs): void {
    for (const row of this.#rows.values()) row.flush(untilUs);
  }

  /** Ends every run, whatever the state of its stream. */
  end(): void {
    for (const row of this.#rows.values()) row.end();
  }

  /** Resolves when all slices that could be written are on the spool. */
  async finish(): Promise<void> {
    await Promise.all([...this.#rows.values()].map((row) => row.finish()));
  }

  /** As of SliceRuns, for all rows. */
  async close(): Promise<void> {
    await Promise.all([...this.#rows.values()].map((row) => row.close()));
  }
}
