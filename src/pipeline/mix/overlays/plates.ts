/** Plates: opaque pictures, which are drawn by copying. Each is made once, and kept as long as frames use it. */
import type { Picture } from '../../../media/frame.ts';
import type { PicturePool } from '../../../stages/codec/picture-pool.ts';
import type { PixelRect } from '../../../stages/compose/layout/place.ts';

type Size = { width: number; height: number };

export class Plates<K> {
  readonly #made = new Map<K, Picture>();
  #used = new Set<K>();

  /** The picture of a key, made if there is none. Plates owns it. */
  of(key: K, make: () => Picture): Picture {
    this.#used.add(key);
    const picture = this.#made.get(key) ?? make();
    this.#made.set(key, picture);
    return picture;
  }

  /** Frees the pictures that were not asked for since the last call. */
  sweep(): void {
    for (const [key, picture] of this.#made) {
      if (this.#used.has(key)) continue;
      picture.free();
      this.#made.delete(key);
    }
    this.#used = new Set();
  }

  close(): void {
    this.#used.clear();
    this.sweep();
  }
}

/** The upper part of a picture, at one side of it, as a picture of its own; the caller frees it. */
export function cut(pool: PicturePool, from: Picture, { width, height }: Size, side: 'left' | 'right'): Picture {
  const part = pool.allocate(width, height);
  const x = side === 'left' ? 0 : from.width - width;
  pool.copyPart(from, part, { x, y: 0, width, height }, { x: 0, y: 0 });
  return part;
}

/** The rectangles of a border within an area, without overlaps; none where the area is too small for a border. */
export function borderOf({ x, y, width, height }: PixelRect, thick: number): PixelRect[] {
  if (width < 4 * thick || height < 4 * thick) return [];
  const inner = height - 2 * thick;
  return [
    { x, y, width, height: thick },
    { x, y: y + height - thick, width, height: thick },
    { x, y: y + thick, width: thick, height: inner },
    { x: x + width - thick, y: y + thick, width: thick, height: inner },
  ];
}
