/** SnapshotFiles: takes pictures of one user and writes JPEG files to the spool, one after another. */

import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../kernel/fault.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Snapshot } from '../../media/segment.ts';
import { encodeJpeg } from '../../stages/codec/jpeg-encoder.ts';
import type { NativePicture } from '../../stages/codec/picture-pool.ts';
import { snapshotName } from '../../stages/mux/names.ts';
import { finishPart, partPath } from '../../stages/mux/spool-file.ts';

/** How many pictures may wait for the disk. */
const MAX_WAITING = 3;

export type SnapshotFilesOptions = {
  uid: string;
  dir: string;
  baseName: string;
  zeroUtcMs: number;
  onFile(file: Snapshot): Promise<void>;
  /** A picture's file could not be written, in words. */
  onLost(what: string): void;
};

export class SnapshotFiles {
  readonly #o: SnapshotFilesOptions;
  #waiting = 0;
  #dropped = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: SnapshotFilesOptions) {
    this.#o = options;
  }

  /** How many pictures have no file yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Takes over the picture; it is freed when its file is made, or at once when too many wait. @param ptsUs its place in
   * the recording
   */
  add(picture: NativePicture, ptsUs: RecordingUs): void {
    if (this.#waiting >= MAX_WAITING) {
      picture.free();
      this.#dropped++;
      return;
    }
    this.#waiting++;
    this.#writing = this.#writing.then(async () => {
      try {
        const jpeg = await this.#encode(picture);
        if (jpeg) await this.#write(jpeg, ptsUs);
      } catch (error) {
        this.#o.onLost(`a snapshot could not be written: ${messageOf(error)}`);
      }
      this.#waiting--;
    });
  }

  /** How many pictures were given up since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** Resolves when all files that could be written are written. */
  finish(): Promise<void> {
    return this.#writing;
  }

  /** Undefined when the picture cannot be encoded: a sender's odd picture must not end the recording. */
  async #encode(picture: NativePicture): Promise<Buffer | undefined> {
    try {
      return await encodeJpeg(picture);
    } catch {
      this.#dropped++;
      return undefined;
    } finally {
      picture.free();
    }
  }

  async #write(jpeg: Buffer, ptsUs: RecordingUs): Promise<void> {
    const { dir, uid, zeroUtcMs, baseName, onFile } = this.#o;
    let startUtcMs = Math.trunc(zeroUtcMs + Math.round(ptsUs / 1000));
    let name = snapshotName(baseName, startUtcMs);
    // Another track of the user, just before or after this one, may have given a picture the same millisecond.
    while (!(await writePart(join(dir, name), jpeg))) name = snapshotName(baseName, ++startUtcMs);
    const bytes = await finishPart(join(dir, name));
    await onFile({ type: 'snapshot', name, uid, startUtcMs, durationUs: 0, bytes });
  }
}

/** Writes `<path>.part`. False when somebody else is writing it or has written it. */
async function writePart(path: string, data: Buffer): Promise<boolean> {
  const part = partPath(path);
  const file = await open(part, 'wx').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return undefined;
    throw error;
  });
  if (!file) return false;
  try {
    await file.writeFile(data);
  } finally {
    await file.close();
  }
  const isTaken = await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
  if (isTaken) await rm(part);
  return !isTaken;
}
