/**
 * PictureClock: which frame is due, by absolute position. Frame n stands at n / fps from the recording's origin;
 * nothing is ever added up, so nothing drifts. Pure; times are microseconds of the recording.
 */
import { US } from '../../kernel/time.ts';

export class PictureClock {
  readonly fps: number;
  readonly originUs: number;
  #next: number;

  /** @param next the frame to begin with; later than 0 where a recording goes on */
  constructor(fps: number, originUs: number, next = 0) {
    this.fps = fps;
    this.originUs = originUs;
    this.#next = next;
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
}
