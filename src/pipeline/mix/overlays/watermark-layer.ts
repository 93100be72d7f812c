/**
 * WatermarkLayer: an image or a text over all pictures, with the opacity that was asked for. An image is shown only
 * once it is loaded; until then the former watermark stays.
 */
import type { Overlays, Watermark } from '../../../contract/line/overlays.ts';
import type { RecordingUs } from '../../../kernel/time.ts';
import type { Layer, Picture } from '../../../media/frame.ts';
import { pictureLayer, shadedLayer } from '../../../stages/codec/layer.ts';
import type { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { beginsAt, inkWidth, type TextStyle } from '../../../stages/codec/text.ts';
import type { PixelRect } from '../../../stages/compose/layout/place.ts';
import type { Overlay } from '../../../stages/compose/picture-compositor.ts';
import type { ImageSource } from '../backgrounds.ts';
import type { ImageName } from '../images.ts';
import { cut } from './plates.ts';
import { evenUp, INK, inCorner, type OverlaySizes } from './sizes.ts';
import type { Texts } from './texts.ts';

/** Above all pictures and their labels, below the clock. */
const OVER_PICTURES = Number.MAX_SAFE_INTEGER - 1;
/** Luma of the empty layer, and of the rim that keeps letters readable on any background. */
const BLACK = 16;
/** The rim's thickness as a fraction of the text's height. */
const RIM = 0.05;
/** A text that is too wide is tried again at this fraction of its size, down to this many pixels. */
const SMALLER = 0.75;
const MIN_HEIGHT = 8;

type Shown = {
  settings: Watermark;
  /** The image that the layer was made from. */
  source: Picture | undefined;
  layer: Layer | undefined;
};

export class WatermarkLayer {
  readonly #pool: PicturePool;
  readonly #texts: Texts;
  readonly #sizes: OverlaySizes;
  readonly #canvas: PixelRect;
  readonly #images: ImageSource;
  #shown: Shown | undefined;

  constructor(pool: PicturePool, texts: Texts, sizes: OverlaySizes, canvas: PixelRect, images: ImageSource) {
    this.#pool = pool;
    this.#texts = texts;
    this.#sizes = sizes;
    this.#canvas = canvas;
    this.#images = images;
  }

  /** A watermark was announced that will be shown from some frame on: its image is loaded from now on. */
  announce(settings: Overlays['watermark']): void {
    for (const name of imagesOf(settings)) this.#images.want(name, 'watermark');
  }

  /** The image that is shown now. */
  get images(): ImageName[] {
    return imagesOf(this.#shown?.settings);
  }

  /** The watermark of the frame at `atUs`, if there is one. The layer owns it; it is valid until the next call. */
  async draw(settings: Watermark | undefined, atUs: RecordingUs): Promise<Overlay[]> {
    if (!settings) this.close();
    else if (settings.shown.kind === 'text') {
      if (this.#shown?.settings !== settings)
        this.#show({ settings, source: undefined, layer: await this.#textLayer(settings, settings.shown.text) });
    } else this.#drawImage(settings, settings.shown.image, atUs);
    const { layer, settings: shown } = this.#shown ?? {};
    const rect = layer && shown && this.#rectOf(shown, layer);
    return layer && rect ? [{ x: rect.x, y: rect.y, z: OVER_PICTURES, drawn: { kind: 'layer', layer } }] : [];
  }

  close(): void {
    this.#shown?.layer?.free();
    this.#shown = undefined;
  }

  #show(shown: Shown): void {
    this.close();
    this.#shown = shown;
  }

  #drawImage(settings: Watermark, url: string, atUs: RecordingUs): void {
    const state = this.#images.at({ url }, atUs);
    if (state.is === 'failed') this.close();
    // The former watermark cannot be kept without its image.
    if (state.is === 'loading' && this.#isLost(atUs)) this.close();
    if (state.is !== 'ready') return;
    const { picture } = state;
    if (this.#shown?.settings === settings && this.#shown.source === picture) return;
    const size = this.#sizeOf(settings, picture);
    this.#show({ settings, source: picture, layer: size && pictureLayer(picture, size, settings.opacity) });
  }

  /** Whether the layer was made from an image that is gone. */
  #isLost(atUs: RecordingUs): boolean {
    return this.images.some((name) => this.#images.at(name, atUs).is !== 'ready');
  }

  /** The most that a watermark may take, within the margins; undefined on a canvas that is hardly larger than these. */
  #room(): { width: number; height: number } | undefined {
    const { margin } = this.#sizes;
    const room = { width: this.#canvas.width - 2 * margin, height: this.#canvas.height - 2 * margin };
    return Math.min(room.width, room.height) < 2 ? undefined : room;
  }

  #sizeOf({ size }: Watermark, { width, height }: Picture): { width: number; height: number } | undefined {
    const room = this.#room();
    if (!room) return undefined;
    const scale = Math.min((this.#canvas.height * size) / height, room.width / width, room.height / height);
    const even = (pixels: number, most: number) => Math.min(most, Math.max(2, 2 * Math.round((pixels * scale) / 2)));
    return { width: even(width, room.width), height: even(height, room.height) };
  }

  /** White letters with a dark rim; undefined when they cannot be drawn. */
  async #textLayer({ size, opacity }: Watermark, text: string): Promise<Layer | undefined> {
    const { width = 0, height: most = 0 } = this.#room() ?? {};
    if (width === 0) return undefined;
    for (let wanted = this.#canvas.height * size; ; wanted *= SMALLER) {
      const height = Math.min(most, evenUp(Math.max(MIN_HEIGHT, wanted)));
      const drawn = await this.#drawText(text, width, height);
      if (!drawn) return undefined;
      const { shade, coverage } = drawn;
      const side = beginsAt(text);
      const ink = inkWidth(coverage, BLACK, side);
      const isWhole = ink < width - 2 || height <= MIN_HEIGHT;
      try {
        if (!isWhole) continue;
        if (ink === 0) return undefined;
        const part = { width: Math.min(width, evenUp(ink)), height };
        const [shaded, covering] = [cut(this.#pool, shade, part, side), cut(this.#pool, coverage, part, side)];
        try {
          return shadedLayer(shaded, covering, opacity);
        } finally {
          shaded.free();
          covering.free();
        }
      } finally {
        shade.free();
        coverage.free();
      }
    }
  }

  async #drawText(
    text: string,
    width: number,
    height: number,
  ): Promise<{ shade: Picture; coverage: Picture } | undefined> {
    const rim = Math.max(1, height * RIM);
    const style: TextStyle = {
      width,
      height,
      lineHeight: Math.max(4, height - 2 * rim),
      font: 'sans',
      ground: BLACK,
      ink: INK,
      align: { kind: 'start', margin: Math.ceil(rim) },
      outlineWidth: rim,
      outline: BLACK,
    };
    const [shade] = await this.#texts.draw([text], style, 'the watermark');
    if (!shade) return undefined;
    const [coverage] = await this.#texts.draw([text], { ...style, outline: INK }, 'the watermark');
    if (coverage) return { shade, coverage };
    shade.free();
    return undefined;
  }

  #rectOf({ place }: Watermark, layer: Layer): PixelRect | undefined {
    const { width, height } = this.#canvas;
    if (place !== 'center') return inCorner(this.#canvas, place, layer, this.#sizes.margin);
    const middle = (room: number, size: number) => 2 * Math.floor((room - size) / 4);
    return { x: middle(width, layer.width), y: middle(height, layer.height), width: layer.width, height: layer.height };
  }
}

/** The images of a watermark that must be fetched. */
export function imagesOf(settings: Watermark | undefined): ImageName[] {
  return settings?.shown.kind === 'image' ? [{ url: settings.shown.image }] : [];
}
