/**
 * PictureClock: which frame is due, by absolute position. Frame n stands at n / fps from the recording's origin; nothing is
 * ever added up, so nothing drifts. Pure; times are microseconds of the recording.
 */
import { US } from '../../kernel/time.ts';

export class PictureClock {
  readonly fps: number;
  readonly originUs: number;
  #next = 0;

  constructor(fps: number, originUs: number) {
    this.fps = fps;
    this.originUs = originUs;
  }

  /** The number of the next frame to make. */
  get frame(): number {
    return this.#next;
  }

  /** Where a frame stands, microseconds from the origin. */
  offsetOf(frame: number): number {
    return Math.round((frame * US) / this.fps);
  }

  /** The next frame's place in the recording. */
  get dueUs(): number {
    return this.originUs + this.offsetOf(this.#next);
  }

  advance(): void {
    this.#next++;
  }

  /** Leaves out frames until the next one stands at or after `atUs`. Returns how many were left out. */
  skipTo(atUs: number): number {
    const target = Math.ceil(((atUs - this.originUs) * this.fps) / US);
    const skipped = Math.max(0, target - this.#next);
    this.#next += skipped;
    return skipped;
  }
}
