/**
 * Whether a picture is wholly black. A browser whose camera is switched off by its page goes on sending, black
 * pictures.
 */
import type { Picture } from '../../media/frame.ts';

/** As black is after it was encoded: limited range begins at 16, and codecs leave it a little off. */
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
