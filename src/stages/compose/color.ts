/** A colour as a Picture holds it (8-bit limited range, BT.601), and a rectangle filled with it. */
import type { Picture } from '../../media/frame.ts';

export type Color = { luma: number; cb: number; cr: number };

/** `#RRGGBB` as luma 16..235 and chroma 16..240 (ITU-R BT.601). */
export function toColor(hex: string): Color {
  const value = Number.parseInt(hex.slice(1), 16);
  const red = (value >> 16) / 255;
  const green = ((value >> 8) & 255) / 255;
  const blue = (value & 255) / 255;
  const luma = 0.299 * red + 0.587 * green + 0.114 * blue;
  return {
    luma: Math.round(16 + 219 * luma),
    cb: Math.round(128 + (224 * (blue - luma)) / 1.772),
    cr: Math.round(128 + (224 * (red - luma)) / 1.402),
  };
}

/** Fills an even rectangle inside the picture. */
export function fill(
  picture: Picture,
  rect: { x: number; y: number; width: number; height: number },
  color: Color,
): void {
  const values = [color.luma, color.cb, color.cr];
  picture.planes.forEach((plane, index) => {
    const scale = index === 0 ? 1 : 2;
    const stride = picture.strides[index]!;
    const left = rect.x / scale;
    const right = (rect.x + rect.width) / scale;
    for (let row = rect.y / scale; row < (rect.y + rect.height) / scale; row++)
      plane.fill(values[index]!, row * stride + left, row * stride + right);
  });
}
