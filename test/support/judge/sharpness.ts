/**
 * How sharp a recording's pictures are: a picture that was made small and enlarged has no steep edges, however it is
 * encoded.
 */
import { readMedia } from './read-media.ts';

export type Sharpness = {
  atS: number;
  /** The luma step from one pixel to the next, 0 to 255, that the steepest 0.05 % of a picture's steps reach. */
  step: number;
};

const STEEPEST = 0.0005;

/** @param everyFrames how many frames lie between two that are judged */
export function sharpnessOf(path: string, everyFrames: number): Sharpness[] {
  const out: Sharpness[] = [];
  let n = 0;
  readMedia(path, {
    onPicture({ atS, width, height, planes, strides }) {
      if (n++ % everyFrames !== 0) return;
      const [luma, stride] = [planes[0]!, strides[0]!];
      const counts = new Uint32Array(256);
      for (let y = 0; y < height; y++)
        for (let x = y * stride; x < y * stride + width - 1; x++) counts[Math.abs(luma[x + 1]! - luma[x]!)]!++;
      let step = 255;
      for (let above = counts[255]!; above < STEEPEST * width * height; above += counts[step]!) step--;
      out.push({ atS, step });
    },
  });
  return out;
}
