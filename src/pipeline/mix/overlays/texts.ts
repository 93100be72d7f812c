/** Texts: text for overlays, drawn once. Text that cannot be drawn is told of and never ends a recording. */
import { messageOf } from '../../../kernel/fault.ts';
import type { Picture } from '../../../media/frame.ts';
import { drawTexts, type TextStyle } from '../../../stages/codec/text.ts';

export class Texts {
  readonly #onDegraded: (what: string) => void;
  readonly #drawn: typeof drawTexts;

  /** @param drawn as `drawTexts` */
  constructor(onDegraded: (what: string) => void, drawn = drawTexts) {
    this.#onDegraded = onDegraded;
    this.#drawn = drawn;
  }

  /**
   * A picture of each text, which the caller frees; none at all when one cannot be drawn.
   * @param what the texts are for, in words
   */
  async draw(texts: readonly string[], style: TextStyle, what: string): Promise<Picture[]> {
    try {
      return await this.#drawn(texts, style);
    } catch (error) {
      this.#onDegraded(`${what} is not shown: ${messageOf(error)}`);
      return [];
    }
  }
}
