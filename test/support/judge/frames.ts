/** Frames: all pictures of a recording, kept to look at any part of them later. For small and short ones. */
import type { Yuv } from '../media/participants.ts';
import { readMedia } from './read-media.ts';
import type { Rect } from './regions.ts';

type Plane = { width: number; samples: Buffer };

export class KeptFrame {
  readonly atS: number;
  readonly #planes: readonly Plane[];
  readonly #known = new Map<string, Yuv>();

  /** @param planes of 4:2:0, without padding */
  constructor(atS: number, planes: readonly Plane[]) {
    this.atS = atS;
    this.#planes = planes;
  }

  /** The medians of a rectangle in whole pixels; of colour, of all samples that lie wholly in it. */
  colourOf({ x, y, width, height }: Rect): Yuv {
    const key = `${x},${y},${width},${height}`;
    const known = this.#known.get(key);
    if (known) return known;
    const half = (from: number, size: number): [from: number, to: number] => {
      const first = Math.ceil(from / 2);
      return [first, Math.max(first + 1, Math.floor((from + size) / 2))];
    };
    const [luma, u, v] = this.#planes as [Plane, Plane, Plane];
    const [columns, rows] = [half(x, width), half(y, height)];
    const colour = {
      y: median(luma, [x, x + width], [y, y + height]),
      u: median(u, columns, rows),
      v: median(v, columns, rows),
    };
    this.#known.set(key, colour);
    return colour;
  }
}

/** Throws an Error when the file or playlist cannot be read. */
export function framesOf(path: string): { frames: KeptFrame[]; damaged: number } {
  const frames: KeptFrame[] = [];
  const { damaged } = readMedia(path, {
    onPicture({ atS, width, height, planes, strides }) {
      const kept = planes.map((plane, n): Plane => {
        const [wide, high] = n === 0 ? [width, height] : [width / 2, height / 2];
        const samples = Buffer.alloc(wide * high);
        for (let row = 0; row < high; row++)
          plane.copy(samples, row * wide, row * strides[n]!, row * strides[n]! + wide);
        return { width: wide, samples };
      });
      frames.push(new KeptFrame(atS, kept));
    },
  });
  return { frames, damaged };
}

function median({ width, samples }: Plane, [left, right]: [number, number], [top, bottom]: [number, number]): number {
  const found: number[] = [];
  for (let row = top; row < bottom; row++)
    for (let column = left; column < right; column++) found.push(samples[row * width + column]!);
  return found.sort((a, b) => a - b)[found.length >> 1]!;
}
