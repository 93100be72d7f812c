/**
 * Makes the MP4 files of a recording from its slices, without transcoding, when a recorder died before it could finish
 * them.
 */
import { Fault } from '../../../kernel/fault.ts';
import type { RecordingUs } from '../../../kernel/time.ts';
import type { WholeFile } from '../../../media/segment.ts';
import type { FileLimit } from '../cut.ts';
import { probeSlice, readSlices } from '../read-slices.ts';
import { Mp4Files } from './mp4-files.ts';

export type RemuxOptions = {
  /** The folder of the files: the spool folder. */
  dir: string;
  baseName: string;
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  limit: FileLimit;
  /** As of Mp4Files. */
  firstIndex?: number | undefined;
  fromUs?: RecordingUs | undefined;
  heldUs?: number | undefined;
  /** As of readSlices. */
  nearUs?: RecordingUs | undefined;
  /** As of Mp4Files. */
  onRefused?: ((what: string) => void) | undefined;
  /** As of Mp4Files. */
  onFile?(file: WholeFile): Promise<void> | void;
};

/**
 * Writes MP4 files from `<baseName>_<firstIndex>.mp4` on, from the slices at `slicePaths` in order, and returns what
 * was written. The first slice decides which kinds of stream there are. Throws a Fault when there are no slices, or one
 * cannot be read.
 */
export async function remuxSlices(slicePaths: readonly string[], options: RemuxOptions): Promise<WholeFile[]> {
  const [first] = slicePaths;
  if (first === undefined) throw new Fault('no-slices', 'there is no slice to make an MP4 from', { blame: 'self' });
  const streams = await probeSlice(first);
  const files: WholeFile[] = [];
  const mp4 = new Mp4Files({
    ...streams,
    dir: options.dir,
    baseName: options.baseName,
    zeroUtcMs: options.zeroUtcMs,
    limit: options.limit,
    firstIndex: options.firstIndex,
    fromUs: options.fromUs,
    // Slices of a server's next version may come from another encoder.
    setsMayChange: true,
    heldUs: options.heldUs,
    onRefused: options.onRefused,
    async onFile(file) {
      files.push(file);
      await options.onFile?.(file);
    },
  });
  try {
    for await (const sample of readSlices(slicePaths, options.nearUs)) mp4.write(sample);
    await mp4.finish();
  } finally {
    mp4.close();
  }
  return files;
}
