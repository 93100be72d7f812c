/**
 * Where a slice ends (contract §4.2) and where an MP4 does (contract §7, "MP4 cut"). Pure.
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';

/** A slice takes at least this much before it may end. */
const MIN_SLICE_US = 15_000_000;
/** An H.264 slice ends here even without a key frame. */
export const FORCED_SLICE_US = 330_000_000;
export const FORCED_SLICE_BYTES = 50_000_000;

/** What has gone into the slice or file so far. */
export type Written = { startUs: StreamUs; bytes: number };

type Moment = Pick<EncodedSample, 'kind' | 'keyFrame' | 'ptsUs'>;

/**
 * True when `next` must begin a new slice: with video, a key frame once 15 s are full, or anything once H.264 has gone
 * on for 5.5 minutes or 50 MB and `forced`; without video, the first sound once 15 s are full.
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
