/**
 * Slices of one user made of made media, written by the product's own writers, as its pipeline would: a new writer
 * after each interruption, a new slice where the picture changes.
 */
import type { EncodedSample } from '../../../src/media/sample.ts';
import type { FileCodecs, FileOwner, Segment } from '../../../src/media/segment.ts';
import type { MediaKind } from '../../../src/media/track.ts';
import type { PictureShape, SliceContainer } from '../../../src/stages/mux/slice-container.ts';
import { Slices } from '../../../src/stages/mux/slices.ts';

/** Wall time of the made recordings' zero. */
export const SLICES_ZERO_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

/** What is written without an interruption. */
export type SliceRun = {
  samples: EncodedSample[];
  container: SliceContainer;
  codecs: FileCodecs;
  /** Of the picture, from the given recording time on; the first from the beginning. */
  shapes?: { fromS: number; shape: PictureShape }[];
};

export type SlicedStream = {
  dir: string;
  baseName: string;
  kinds: readonly MediaKind[];
  owner: FileOwner;
  mpd?: string;
  runs: SliceRun[];
};

/** Writes all runs one after another, and returns the slices in their order. */
export async function writeSlices({ runs, ...stream }: SlicedStream): Promise<Segment[]> {
  const files: Segment[] = [];
  let firstIndex = 0;
  for (const { samples, container, codecs, shapes = [] } of runs) {
    const slices = new Slices(
      {
        ...stream,
        ...{ zeroUtcMs: SLICES_ZERO_MS, firstIndex, codecs, shape: shapes[0]?.shape },
        forced: codecs.video === undefined || codecs.video === 'h264',
        onFile: (file) => void files.push(file),
      },
      () => container,
    );
    const changes = shapes.slice(1);
    for (const sample of samples) {
      const next = changes[0];
      if (next && sample.kind === 'video' && sample.ptsUs >= next.fromS * 1e6) {
        slices.turn(next.shape, sample.ptsUs, sample.keyFrame);
        changes.shift();
      }
      slices.write(sample);
    }
    await slices.finish();
    firstIndex = slices.nextIndex;
  }
  return files;
}
