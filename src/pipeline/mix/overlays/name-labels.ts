/** NameLabels: the names of users on plates, each in a corner of the user's place and shortened where that ends. */
import type { Overlays } from '../../../contract/line/overlays.ts';
import type { Picture } from '../../../media/frame.ts';
import type { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { beginsAt, inkWidth, type TextStyle } from '../../../stages/codec/text.ts';
import type { PixelRect } from '../../../stages/compose/layout/place.ts';
import type { Overlay } from '../../../stages/compose/picture-compositor.ts';
import { cut, Plates } from './plates.ts';
import { shortened } from './shortened.ts';
import { evenUp, INK, inCorner, type OverlaySizes, PLATE } from './sizes.ts';
import type { Texts } from './texts.ts';

type Settings = NonNullable<Overlays['nameLabels']>;
/** A user's place on the canvas, in pixels. */
export type Place = { uid: string; area: PixelRect; z: number };

const ELLIPSIS = '…';
/** A label lies just above its user's picture and border, and below everything that covers these. */
const OVER_PICTURE = 0.5;

export class NameLabels {
  readonly #pool: PicturePool;
  readonly #texts: Texts;
  readonly #sizes: OverlaySizes;
  readonly #width: number;
  /** Labels of full width by name; undefined for a name that cannot be drawn. */
  readonly #whole = new Map<string, Picture | undefined>();
  readonly #plates = new Plates<string>();
  #settings: Settings | undefined;

  /** @param width of the canvas; no label is wider */
  constructor(pool: PicturePool, texts: Texts, sizes: OverlaySizes, width: number) {
    this.#pool = pool;
    this.#texts = texts;
    this.#sizes = sizes;
    this.#width = width;
  }

  /** The labels of users who have a place. NameLabels owns them; they are valid until the next call. */
  async draw(settings: Settings | undefined, places: readonly Place[]): Promise<Overlay[]> {
    if (settings !== this.#settings) this.#keep(new Set(Object.values(settings?.names ?? {})));
    this.#settings = settings;
    const overlays: Overlay[] = [];
    if (settings) {
      const { names, corner } = settings;
      await this.#make(places.flatMap(({ uid }) => names[uid] ?? []));
      for (const { uid, area, z } of places) {
        const name = names[uid];
        const whole = name === undefined ? undefined : this.#whole.get(name);
        const label = whole && this.#labelOf(name!, whole, area);
        const rect = label && inCorner(area, corner, label, this.#sizes.margin);
        if (!label || !rect) continue;
        const { x, y, width, height } = rect;
        const picture = this.#plates.of(`${width}x${height} ${name}`, () =>
          cut(this.#pool, label, rect, beginsAt(name!)),
        );
        overlays.push({ x, y, z: z + OVER_PICTURE, drawn: { kind: 'picture', picture } });
      }
    }
    this.#plates.sweep();
    return overlays;
  }

  close(): void {
    this.#plates.close();
    this.#keep(new Set());
  }

  /** The label of a name in a place of that width. */
  #labelOf(name: string, whole: Picture, area: PixelRect): Picture {
    const width = area.width - 2 * this.#sizes.margin;
    const ellipsis = this.#whole.get(ELLIPSIS);
    if (whole.width <= width || width < 2 || !ellipsis) return whole;
    const begins = beginsAt(name);
    return this.#plates.of(`in ${width} ${name}`, () => shortened(this.#pool, whole, ellipsis, { width, begins }));
  }

  #keep(names: ReadonlySet<string>): void {
    for (const [name, picture] of this.#whole) {
      if (names.has(name) || (name === ELLIPSIS && names.size > 0)) continue;
      picture?.free();
      this.#whole.delete(name);
    }
  }

  async #make(names: readonly string[]): Promise<void> {
    const missing = [...new Set(names)].filter((name) => !this.#whole.has(name));
    if (missing.length === 0) return;
    if (!this.#whole.has(ELLIPSIS)) missing.push(ELLIPSIS);
    const { plate: height, line: lineHeight, padding } = this.#sizes;
    const style: TextStyle = {
      width: this.#width,
      height,
      lineHeight,
      font: 'sans',
      align: { kind: 'start', margin: padding },
      ink: INK,
      outline: INK,
      outlineWidth: 0,
      ground: PLATE,
    };
    const drawn = await this.#texts.draw(missing, style, 'a name');
    for (const [index, name] of missing.entries()) {
      const full = drawn[index];
      const side = beginsAt(name);
      const ink = full ? inkWidth(full, PLATE, side) : 0;
      const width = Math.min(this.#width, evenUp(ink + padding));
      this.#whole.set(name, full && ink > 0 ? cut(this.#pool, full, { width, height }, side) : undefined);
      full?.free();
    }
  }
}
