/**
 * FrameNumbers: gives each picture of a screen its frame in the files. Pictures come at a steady rate, a little early
 * or late; each is the next frame unless it is too far from that frame's place. Pure.
 */
import type { FileUs } from '../../kernel/time.ts';

/**
 * How far a picture may stand from its place, in frames: with less, every jitter would leave one out and double
 * another.
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

  /** The frame of a picture at `atUs` of the files; undefined when its place is taken. */
  take(atUs: FileUs): number | undefined {
    const place = (atUs * this.#fps) / 1e6;
    if (place < this.#next - TOLERANCE) return undefined;
    const frame = place <= this.#next + TOLERANCE ? this.#next : Math.round(place);
    this.#next = frame + 1;
    return frame;
  }

  /** The earliest frame that can come next. */
  get next(): number {
    return this.#next;
  }
}
