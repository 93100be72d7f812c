/**
 * FrameNumbers: which frame of the files each picture of a screen is. Pictures come at a steady rate, a little early or
 * late; each is the next frame unless it is further from it than a frame allows. Pure.
 */
import type { FileUs } from '../../kernel/time.ts';

/**
 * A picture may stand this far from its place, in frames: less would leave one out and double another at every jitter.
 */
const TOLERANCE = 0.75;

export class FrameNumbers {
  readonly #fps: number;
  #next: number;

  /** @param first the first frame that no file holds yet */
  constructor(fps: number, first = 0) {
    this.#fps = fps;
    this.#next = first;
  }

  /** The frame of a picture at `atUs` of the files; undefined when there is one at its place already. */
  take(atUs: FileUs): number | undefined {
    const place = (atUs * this.#fps) / 1e6;
    if (place < this.#next - TOLERANCE) return undefined;
    const frame = place <= this.#next + TOLERANCE ? this.#next : Math.round(place);
    this.#next = frame + 1;
    return frame;
  }

  /** The frame that comes next at the earliest. */
  get next(): number {
    return this.#next;
  }
}
