/**
 * Reads a JPEG as any viewer does: full-range BT.601 (JFIF) to RGB.
 */
import { readFileSync } from 'node:fs';
import type { Rgb } from '../media/participants.ts';
import { readMedia } from './read-media.ts';

export type SeenImage = {
  width: number;
  height: number;
  bytes: number;
  /** The file begins as JFIF says (ITU-T T.871 §10.1). */
  jfif: boolean;
  /** Luma, width × height, 0 to 255. */
  luma: Buffer;
  /** The colour of the pixel at a place given in parts of the picture's sides, 0 to 1. */
  at(x: number, y: number): Rgb;
};

/** Throws an Error when the file is not one whole 4:2:0 JPEG. */
export function readImage(path: string): SeenImage {
  const file = readFileSync(path);
  const ends = file.readUInt16BE(0) === 0xffd8 && file.readUInt16BE(file.length - 2) === 0xffd9;
  if (!ends) throw new Error(`${path} is not a whole JPEG`);
  let image: SeenImage | undefined;
  const { damaged } = readMedia(path, {
    onPicture({ width, height, planes, strides }) {
      const own = planes.map((plane) => Buffer.from(plane));
      const luma = Buffer.concat(
        Array.from({ length: height }, (_, y) => own[0]!.subarray(y * strides[0]!, y * strides[0]! + width)),
      );
      const at = (px: number, py: number) => {
        const [x, y] = [Math.min(width - 1, Math.floor(px * width)), Math.min(height - 1, Math.floor(py * height))];
        const half = (plane: number) => own[plane]![(y >> 1) * strides[plane]! + (x >> 1)]! - 128;
        const [light, cb, cr] = [luma[y * width + x]!, half(1), half(2)];
        const clamp = (value: number) => Math.round(Math.min(255, Math.max(0, value)));
        return {
          r: clamp(light + 1.402 * cr),
          g: clamp(light - 0.344136 * cb - 0.714136 * cr),
          b: clamp(light + 1.772 * cb),
        };
      };
      image = { width, height, bytes: file.length, jfif: file.toString('latin1', 6, 10) === 'JFIF', luma, at };
    },
  });
  if (!image || damaged > 0) throw new Error(`${path} does not decode`);
  return image;
}

/** The largest difference of any of the three. */
export function colourDistance(a: Rgb, b: Rgb): number {
  return Math.max(Math.abs(a.r - b.r), Math.abs(a.g - b.g), Math.abs(a.b - b.b));
}
