/**
 * Whether a picture is wholly black. When a page switches its camera off, the browser goes on sending, but black
 * pictures.
 */
import type { Picture } from '../../media/frame.ts';

/** The brightest that black is after encoding: limited range begins at 16, and codecs miss it a little. */
const MAX_LUMA = 20;
const MAX_CHROMA_OFFSET = 3;

export function isBlack({ planes, strides, width, height }: Picture): boolean {
  return planes.every((plane, index) => {
    const stride = strides[index]!;
    const [columns, rows] = index === 0 ? [width, height] : [Math.ceil(width / 2), Math.ceil(height / 2)];
    for (let y = 0; y < rows; y++)
      for (let at = y * stride, end = at + columns; at < end; at++) {
        const value = plane[at]!;
        if (index === 0 ? value > MAX_LUMA : Math.abs(value - 128) > MAX_CHROMA_OFFSET) return false;
      }
    return true;
  });
}
