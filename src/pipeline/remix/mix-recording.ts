/** Mixes a part of a recording of single users into one MP4, as a process that gives way to all others is told to. */

import { rename } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { mixCommandSchema } from '../../contract/line/mix.ts';
import { castOf } from './cast.ts';
import { readSlicesIn } from './read-slice.ts';
import { remix } from './remix.ts';

/** One MP4 has it all, however long it is. */
const NO_LIMIT = { durationMs: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };
/** How often it is told how far the work is: each time that it has got on by this part. */
const TELL_PART = 0.001;
/** At most this many problems are told; a torn disk has thousands. */
const MOST_PROBLEMS = 20;

export type MixOptions = {
  /** How much of it is made, 0 to 1. */
  onProgress?(part: number): void;
  /** Something of the recording could not be used, in words. */
  onProblem?(what: string): void;
};

/** Returns the size of the MP4 in bytes. Throws a Fault, and a ZodError when the command is invalid. */
export async function mixRecording(command: unknown, { onProgress, onProblem }: MixOptions = {}): Promise<number> {
  const { dir, name, slicesDir, manifest, missing, uids, fromUs, toUs, ...media } = mixCommandSchema.parse(command);
  const { video, audio, stereo } = media;
  const cast = castOf(manifest, {
    ...{ uids, audio: audio !== undefined, video: video !== undefined },
    missing: new Set(missing),
  });
  let told = 0;
  let problems = 0;
  const [mp4] = await remix({
    ...{ cast, fromUs, toUs, holds: manifest.holds, zeroUtcMs: manifest.zeroUtcMs, video, audio, stereo },
    files: { mp4: true, hls: false },
    mp4Limit: NO_LIMIT,
    ...{ dir, baseName: 'made', threads: availableParallelism(), read: readSlicesIn(slicesDir) },
    onProgress(doneUs) {
      const part = Math.min(1, doneUs / (toUs - fromUs));
      if (part < told + TELL_PART) return;
      told = part;
      onProgress?.(part);
    },
    onProblem(what) {
      if (problems++ < MOST_PROBLEMS) onProblem?.(what);
    },
  });
  if (mp4?.type !== 'mp4') throw new Error('nothing was made');
  await rename(join(dir, mp4.name), join(dir, name));
  return mp4.bytes;
}
