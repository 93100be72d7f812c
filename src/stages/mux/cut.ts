/**
 * Where a slice ends (contract §4.2) and where an MP4 does (contract §7, "MP4 cut"). Pure.
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';

/** A slice may end only when it is this long. */
const MIN_SLICE_US = 15_000_000;
/** An H.264 slice of this length ends even without a key frame. */
export const FORCED_SLICE_US = 330_000_000;
export const FORCED_SLICE_BYTES = 50_000_000;

/** What the slice or file holds so far. */
export type Written = { startUs: StreamUs; bytes: number };

type Moment = Pick<EncodedSample, 'kind' | 'keyFrame' | 'ptsUs'>;

/**
 * True when `next` must begin a new slice. With video: at a key frame once 15 s are full, or at anything once an H.264
 * slice has reached 5.5 minutes or 50 MB and `forced` is set. Without video: at the first sound once 15 s are full.
 */
export function endsSlice(next: Moment, slice: Written, hasVideo: boolean, forced = true): boolean {
  const lengthUs = next.ptsUs - slice.startUs;
  if (!hasVideo) return lengthUs >= MIN_SLICE_US;
  if (!forced) return next.kind === 'video' && next.keyFrame && lengthUs >= MIN_SLICE_US;
  if (lengthUs >= FORCED_SLICE_US || slice.bytes > FORCED_SLICE_BYTES) return true;
  return next.kind === 'video' && next.keyFrame && lengthUs >= MIN_SLICE_US;
}

export type FileLimit = { durationMs: number; bytes: number };

/** True when `next` must begin a new MP4: the limit is reached and, with video, `next` is a key frame. */
export function endsFile(next: Moment, file: Written, limit: FileLimit, hasVideo: boolean): boolean {
  if (hasVideo && !(next.kind === 'video' && next.keyFrame)) return false;
  return next.ptsUs - file.startUs >= limit.durationMs * 1000 || file.bytes >= limit.bytes;
}
