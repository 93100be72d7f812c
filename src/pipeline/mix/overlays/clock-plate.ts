/**
 * ClockPlate: the time of day of the recording's own timeline, on a plate in a corner of the canvas. The letters are
 * drawn once, and put together anew each second.
 */
import type { ClockOverlay } from '../../../contract/line/overlays.ts';
import type { RecordingUs } from '../../../kernel/time.ts';
import type { Picture } from '../../../media/frame.ts';
import type { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { MONO_WIDTH, type TextStyle } from '../../../stages/codec/text.ts';
import { fill } from '../../../stages/compose/color.ts';
import type { PixelRect } from '../../../stages/compose/layout/place.ts';
import type { Overlay } from '../../../stages/compose/picture-compositor.ts';
import { clockCharacters, clockTexts } from './clock-text.ts';
import { evenUp, INK, inCorner, type OverlaySizes, PLATE } from './sizes.ts';
import type { Texts } from './texts.ts';

/** On top of everything else. */
const TOP = Number.MAX_SAFE_INTEGER;

/** A clock's letters, and the text that it shows at a moment. */
type Face = { settings: ClockOverlay; letters: ReadonlyMap<string, Picture>; textAt: (utcMs: number) => string };

export class ClockPlate {
  readonly #pool: PicturePool;
  readonly #texts: Texts;
  readonly #sizes: OverlaySizes;
  readonly #canvas: PixelRect;
  readonly #zeroUtcMs: number;
  #face: Face | undefined;
  #shown: { text: string; picture: Picture; x: number; y: number } | undefined;

  /** @param zeroUtcMs wall time of the recording's zero */
  constructor(pool: PicturePool, texts: Texts, sizes: OverlaySizes, canvas: PixelRect, zeroUtcMs: number) {
    this.#pool = pool;
    this.#texts = texts;
    this.#sizes = sizes;
    this.#canvas = canvas;
    this.#zeroUtcMs = zeroUtcMs;
  }

  /** The clock of the frame at `atUs`, if there is one. ClockPlate owns it; it is valid until the next call. */
  async draw(settings: ClockOverlay | undefined, atUs: RecordingUs): Promise<Overlay[]> {
    if (this.#face?.settings !== settings) this.close();
    if (!settings) return [];
    this.#face ??= await this.#faceOf(settings);
    const { letters, textAt } = this.#face;
    if (letters.size === 0) return [];
    const text = textAt(Math.floor((this.#zeroUtcMs + atUs / 1000) / 1000) * 1000);
    if (this.#shown?.text !== text) this.#show(text, settings, letters);
    if (!this.#shown) return [];
    const { picture, x, y } = this.#shown;
    return [{ x, y, z: TOP, drawn: { kind: 'picture', picture } }];
  }

  close(): void {
    this.#shown?.picture.free();
    this.#shown = undefined;
    for (const letter of this.#face?.letters.values() ?? []) letter.free();
    this.#face = undefined;
  }

  async #faceOf(settings: ClockOverlay): Promise<Face> {
    const { plate: height, line: lineHeight } = this.#sizes;
    const characters = clockCharacters(settings.format);
    const style: TextStyle = {
      width: evenUp(lineHeight * MONO_WIDTH),
      height,
      lineHeight,
      font: 'mono',
      align: { kind: 'center' },
      ink: INK,
      outline: INK,
      outlineWidth: 0,
      ground: PLATE,
    };
    const drawn = await this.#texts.draw(characters, style, 'the clock');
    const letters = new Map(drawn.map((picture, index) => [characters[index]!, picture]));
    return { settings, letters, textAt: clockTexts(settings.format, settings.timeZone) };
  }

  #show(text: string, { corner }: ClockOverlay, letters: ReadonlyMap<string, Picture>): void {
    const before = this.#shown?.picture;
    this.#shown = undefined;
    const { plate: height, line, padding, margin } = this.#sizes;
    const letterWidth = evenUp(line * MONO_WIDTH);
    const whole = { width: text.length * letterWidth + 2 * padding, height };
    const rect = inCorner(this.#canvas, corner, whole, margin);
    if (rect && rect.height === height) {
      const { x, y, width } = rect;
      const picture = this.#pool.allocate(width, height);
      fill(picture, { x: 0, y: 0, width, height }, { luma: PLATE, cb: 128, cr: 128 });
      for (const [index, character] of [...text].entries()) {
        const left = padding + index * letterWidth;
        const letter = letters.get(character);
        if (letter && left + letterWidth <= width) this.#pool.copy(letter, picture, left, 0);
      }
      this.#shown = { text, picture, x, y };
    }
    before?.free();
  }
}
