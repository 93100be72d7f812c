/**
 * Blends a translucent picture over a canvas. It is needed so rarely (custom layouts with alpha below 1) that plain
 * loops over the planes will do.
 */
import type { Picture } from '../../media/frame.ts';

/** canvas = alpha × from + (1 − alpha) × canvas, at the even point (x, y) of `to`; `from` lies inside it. */
export function blend(from: Picture, to: Picture, x: number, y: number, alpha: number): void {
  // 8-bit fixed point: the rounding error is below one step of a sample.
  const weight = Math.round(alpha * 256);
  const rest = 256 - weight;
  for (let index = 0; index < 3; index++) {
    const scale = index === 0 ? 1 : 2;
    const source = from.planes[index]!;
    const target = to.planes[index]!;
    const width = Math.ceil(from.width / scale);
    const height = Math.ceil(from.height / scale);
    for (let row = 0; row < height; row++) {
      let at = (y / scale + row) * to.strides[index]! + x / scale;
      let readAt = row * from.strides[index]!;
      for (const end = at + width; at < end; at++, readAt++)
        target[at] = (source[readAt]! * weight + target[at]! * rest + 128) >> 8;
    }
  }
}
