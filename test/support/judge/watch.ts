/**
 * Watch: one pass over a recording's pictures that notes, for every frame and every region asked for, its colour, its
 * brightness, whether it moved, and the content time stamped into it. The judgements (picture.ts) are pure functions of
 * this.
 */
import { readStampBits, STAMP_AREA, STAMP_BITS, STAMP_DARK, STAMP_LIGHT } from '../media/stamp.ts';
import { readMedia, type ShownPicture } from './read-media.ts';
import type { Rect } from './regions.ts';

/** A region to watch. With `source`, the picture size of the participant shown there, its stamp is read too. */
export type View = { rect: Rect; source?: { width: number; height: number }; render?: 'crop' | 'fit' };

export type Reading = {
  atS: number;
  /** Medians over the region, 8 bits: the participant's own colour, whatever is drawn upon it. */
  y: number;
  u: number;
  v: number;
  /** Mean luma over the region. */
  luma: number;
  /** Share of the region, 0 to 1, whose luma differs from the frame before by more than coding noise. */
  moved: number;
  /** Content time in stamp units (stamp.ts), when it can be read. */
  stamp: number | undefined;
};

export type Watched = {
  /** One list per view, one reading per frame in the order shown. */
  views: Reading[][];
  /** Sizes that occurred, such as `1280x720`. */
  sizes: string[];
  damaged: number;
};

/** Points per row that are looked at in a region, at most. */
const GRID = 160;
const MOVED_BY = 24;

/** Watches the given views of a file or playlist. Throws an Error when it cannot be read. */
export function watch(path: string, views: readonly View[]): Watched {
  const eyes = views.map((view) => new Eye(view));
  const out: Reading[][] = views.map(() => []);
  const sizes = new Set<string>();
  const { damaged } = readMedia(path, {
    onPicture(picture) {
      sizes.add(`${picture.width}x${picture.height}`);
      eyes.forEach((eye, i) => {
        (out[i] as Reading[]).push(eye.read(picture));
      });
    },
  });
  return { views: out, sizes: [...sizes], damaged };
}

class Eye {
  #view: View;
  #before: Uint8Array = new Uint8Array(0);

  constructor(view: View) {
    this.#view = view;
  }

  read(picture: ShownPicture): Reading {
    const box = pixelBox(this.#view.rect, picture.width, picture.height);
    const step = Math.max(1, Math.floor(box.width / GRID));
    const columns = Math.floor((box.width - 1) / step) + 1;
    const rows = Math.floor((box.height - 1) / step) + 1;
    const counts = new Uint32Array(256);
    const now = new Uint8Array(columns * rows);
    const luma = picture.planes[0] as Buffer;
    const stride = picture.strides[0] as number;
    let sum = 0;
    for (let r = 0, n = 0; r < rows; r++) {
      const line = (box.y + r * step) * stride + box.x;
      for (let c = 0; c < columns; c++, n++) {
        const value = luma[line + c * step] as number;
        now[n] = value;
        sum += value;
        counts[value] = (counts[value] as number) + 1;
      }
    }
    let moved = 0;
    if (this.#before.length === now.length) {
      for (let n = 0; n < now.length; n++) {
        if (Math.abs((now[n] as number) - (this.#before[n] as number)) > MOVED_BY) moved++;
      }
    } else moved = now.length;
    this.#before = now;
    return {
      atS: picture.atS,
      y: median(counts, now.length),
      u: chromaMedian(picture, 1, box, step),
      v: chromaMedian(picture, 2, box, step),
      luma: sum / now.length,
      moved: moved / now.length,
      stamp: this.#view.source ? readStamp(picture, box, this.#view) : undefined,
    };
  }
}

type PixelBox = { x: number; y: number; width: number; height: number };

function pixelBox(rect: Rect, width: number, height: number): PixelBox {
  // A pixel is left out at each edge: scaling mixes neighbours there.
  const x = Math.min(width - 2, Math.round(rect.x * width) + 1);
  const y = Math.min(height - 2, Math.round(rect.y * height) + 1);
  return {
    x,
    y,
    width: Math.max(1, Math.min(width, Math.round((rect.x + rect.width) * width)) - 1 - x),
    height: Math.max(1, Math.min(height, Math.round((rect.y + rect.height) * height)) - 1 - y),
  };
}

function median(counts: Uint32Array, total: number): number {
  let seen = 0;
  for (let value = 0; value < 256; value++) {
    seen += counts[value] as number;
    if (seen * 2 >= total) return value;
  }
  return 255;
}

function chromaMedian(picture: ShownPicture, plane: 1 | 2, box: PixelBox, step: number): number {
  const data = picture.planes[plane] as Buffer;
  const stride = picture.strides[plane] as number;
  const counts = new Uint32Array(256);
  let total = 0;
  for (let y = box.y >> 1; y < (box.y + box.height) >> 1; y += step) {
    for (let x = box.x >> 1; x < (box.x + box.width) >> 1; x += step) {
      const value = data[y * stride + x] as number;
      counts[value] = (counts[value] as number) + 1;
      total++;
    }
  }
  return median(counts, total);
}

/** Reads the stamp where the layout's scaling has put it: cropped to fill the region, or fitted into it. */
function readStamp(picture: ShownPicture, box: PixelBox, view: View): number | undefined {
  const source = view.source as { width: number; height: number };
  const ratios = [box.width / source.width, box.height / source.height];
  const scale = view.render === 'fit' ? Math.min(...ratios) : Math.max(...ratios);
  const left = box.x + (box.width - source.width * scale) / 2;
  const top = box.y + (box.height - source.height * scale) / 2;
  const luma = picture.planes[0] as Buffer;
  const stride = picture.strides[0] as number;
  const y = Math.round(top + (STAMP_AREA.y + STAMP_AREA.height / 2) * source.height * scale);
  const bits: boolean[] = [];
  for (let i = 0; i < STAMP_BITS; i++) {
    const across = STAMP_AREA.x + ((i + 0.5) / STAMP_BITS) * STAMP_AREA.width;
    const x = Math.round(left + across * source.width * scale);
    if (x < 1 || y < 1 || x >= picture.width - 1 || y >= picture.height - 1) return undefined;
    let sum = 0;
    for (const dy of [-1, 0, 1]) for (const dx of [-1, 0, 1]) sum += luma[(y + dy) * stride + x + dx] as number;
    const value = sum / 9;
    // A block of neither shade is no block: a flash, another picture, or a smear.
    if (value > STAMP_DARK + 60 && value < STAMP_LIGHT - 60) return undefined;
    bits.push(value > (STAMP_DARK + STAMP_LIGHT) / 2);
  }
  return bits.every((bit) => bit) ? undefined : readStampBits(bits);
}
