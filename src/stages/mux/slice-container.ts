/** SliceContainer: how the bytes of slices are written. `Slices` says where a slice begins and ends. */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { EntryPoint, RotateEvent } from '../../media/segment.ts';

/** One container's way of writing samples to one file after another. Every file can be played alone. */
export type SliceContainer = {
  /** Of the files' names, without a dot. */
  readonly extension: string;
  /**
   * Bytes at the beginning of the file being written that describe its streams; undefined in containers without such.
   */
  readonly headBytes?: number | undefined;
  /** Begins the file at `path`, whose first picture has `shape`. Throws a Fault. */
  begin(path: string, shape?: PictureShape | undefined): void;
  /** Throws a Fault. */
  write(sample: EncodedSample): void;
  /** Hands what was written to the system. */
  flush(): void;
  /**
   * Ends the file, whose last picture is shown until `untilUs`; `last` when no other follows. Throws a Fault; the file
   * is closed nevertheless.
   */
  end(last: boolean, untilUs: StreamUs): void;
  /** Where players may begin inside of a finished file at `path`; absent where a container's files are not entered. */
  entryPointsOf?(path: string): Promise<EntryPoint[]>;
  /** Frees everything; a file not ended stays as it is. Calling it again does nothing. */
  close(): void;
};

/** A picture's size, and how it is to be turned when shown, anticlockwise as playlists have it (contract §4.3). */
export type PictureShape = Pick<RotateEvent, 'width' | 'height' | 'rotate'>;
