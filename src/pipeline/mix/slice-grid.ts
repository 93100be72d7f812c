/** Where the slices of a composite may begin, in frames, or without a picture in blocks of sound. Pure. */
import { SOUND_RATE } from '../../media/frame.ts';
import { AUDIO_BLOCK, SLICE_S } from './mix-output.ts';

/**
 * How many frames or blocks there are in a second, and in a slice: without a picture it ends with the first block after
 * its 15 s.
 * @param fps undefined without a picture
 */
export function sliceGrid(fps: number | undefined): { ratePerS: number; ofSlice: number } {
  const ratePerS = fps ?? SOUND_RATE / AUDIO_BLOCK;
  return { ratePerS, ofSlice: Math.ceil(SLICE_S * ratePerS) };
}
