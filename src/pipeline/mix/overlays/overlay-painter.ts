/**
 * OverlayPainter: what is drawn over the users' pictures of a composite in one frame: names, the border of the active
 * speaker, watermark and clock. Each is made when it changes, and the compositor draws it; what a frame shows depends
 * on its moment and never on when it is made.
 */
import type { Overlays } from '../../../contract/line/overlays.ts';
import type { RecordingUs } from '../../../kernel/time.ts';
import { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { fill, toColor } from '../../../stages/compose/color.ts';
import { type PixelRect, type Placement, toPixels } from '../../../stages/compose/layout/place.ts';
import type { Overlay } from '../../../stages/compose/picture-compositor.ts';
import type { ImageSource } from '../backgrounds.ts';
import type { ImageName } from '../images.ts';
import { ClockPlate } from './clock-plate.ts';
import { NameLabels, type Place } from './name-labels.ts';
import { borderOf, Plates } from './plates.ts';
import { type OverlaySizes, overlaySizes } from './sizes.ts';
import { Texts } from './texts.ts';
import { imagesOf, WatermarkLayer } from './watermark-layer.ts';

export type OverlayPainterOptions = {
  /** Size of the canvas. */
  size: { width: number; height: number };
  images: ImageSource;
  /** The wall time of the recording's zero, Unix milliseconds. */
  zeroUtcMs: number;
  onDegraded(what: string): void;
};

/** What overlays are drawn over. */
export type Drawn = {
  placements: readonly Placement[];
  /** The user who speaks, or spoke last. */
  speaker: string | undefined;
};

/** A border lies just above its user's picture. */
const OVER_PICTURE = 0.25;
/** Memory of plates that waits to be used again, bytes: enough for a clock's next second and some more. */
const IDLE_BYTES = 1 << 20;

export class OverlayPainter {
  readonly #canvas: PixelRect;
  readonly #sizes: OverlaySizes;
  readonly #pool = new PicturePool({ idleBytes: IDLE_BYTES });
  readonly #labels: NameLabels;
  readonly #watermark: WatermarkLayer;
  readonly #clock: ClockPlate;
  readonly #borders = new Plates<string>();

  constructor({ size, images, zeroUtcMs, onDegraded }: OverlayPainterOptions) {
    this.#canvas = { x: 0, y: 0, ...size };
    this.#sizes = overlaySizes(size);
    const texts = new Texts(onDegraded);
    this.#labels = new NameLabels(this.#pool, texts, this.#sizes, size.width);
    this.#watermark = new WatermarkLayer(this.#pool, texts, this.#sizes, this.#canvas, images);
    this.#clock = new ClockPlate(this.#pool, texts, this.#sizes, this.#canvas, zeroUtcMs);
  }

  /** Overlays were announced that will hold from some frame on. */
  announce(overlays: Overlays): void {
    this.#watermark.announce(overlays.watermark);
  }

  /**
   * The images of these overlays and of what is shown.
   * @param overlays those that hold now or later
   */
  imagesOf(overlays: readonly Overlays[]): ImageName[] {
    return [...overlays.flatMap(({ watermark }) => imagesOf(watermark)), ...this.#watermark.images];
  }

  /**
   * The overlays of the frame at `atUs`. The painter owns them; they are valid until the next call. Call it in order of
   * frames.
   */
  async draw(overlays: Overlays, { placements, speaker }: Drawn, atUs: RecordingUs): Promise<Overlay[]> {
    const places: Place[] = [];
    for (const placement of placements) {
      const area = placement.alpha > 0 ? toPixels(placement, this.#canvas.width, this.#canvas.height) : undefined;
      if (area) places.push({ uid: placement.uid, area, z: placement.z });
    }
    const { nameLabels, watermark, clock } = overlays;
    return [
      ...this.#drawBorder(overlays, places, speaker),
      ...(await this.#labels.draw(nameLabels, places)),
      ...(await this.#watermark.draw(watermark, atUs)),
      ...(await this.#clock.draw(clock, atUs)),
    ];
  }

  /** Called instead of `draw` for a frame that need not be drawn; later frames look as if it had been. */
  async pass({ watermark }: Overlays, atUs: RecordingUs): Promise<void> {
    await this.#watermark.draw(watermark, atUs);
  }

  close(): void {
    this.#labels.close();
    this.#watermark.close();
    this.#clock.close();
    this.#borders.close();
    this.#pool.close();
  }

  #drawBorder({ speaker: settings }: Overlays, places: readonly Place[], speaker: string | undefined): Overlay[] {
    const border = settings?.border;
    // Where only the speaker is shown, no border is needed.
    const place = settings?.layout === 'alone' ? undefined : places.find(({ uid }) => uid === speaker);
    const rects = border && place ? borderOf(place.area, this.#sizes.border) : [];
    const overlays = rects.map(({ x, y, width, height }): Overlay => {
      const picture = this.#borders.of(`${width}x${height} ${border} ${x},${y}`, () => {
        const bar = this.#pool.allocate(width, height);
        fill(bar, { x: 0, y: 0, width, height }, toColor(border ?? ''));
        return bar;
      });
      return { x, y, z: (place?.z ?? 0) + OVER_PICTURE, drawn: { kind: 'picture', picture } };
    });
    this.#borders.sweep();
    return overlays;
  }
}
