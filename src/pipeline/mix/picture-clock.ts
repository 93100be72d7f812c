/**
 * PictureClock: which frame is due, by absolute position. Frame n stands at n / fps from the recording's origin;
 * nothing is summed up, so nothing drifts. Time on hold has no frames. Pure; times are microseconds of the recording.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { HoldLine } from '../hold-line.ts';

export class PictureClock {
  readonly fps: number;
  readonly originUs: RecordingUs;
  readonly #holds: HoldLine | undefined;
  #next: number;

  /**
   * @param next the frame to begin with; later than 0 where a recording goes on
   * @param holds the holds between frames; none when left out
   */
  constructor(fps: number, originUs: RecordingUs, next = 0, holds?: HoldLine) {
    this.fps = fps;
    this.originUs = originUs;
    this.#next = next;
    this.#holds = holds;
  }

  /** The number of the next frame to make. */
  get frame(): number {
    return this.#next;
  }

  /** Where a frame stands, microseconds from the origin. */
  offsetOf(frame: number): number {
    return Math.round((frame * US) / this.fps);
  }

  /** A frame's place in the recording; infinite while the recording is on hold there. */
  recordingUs(frame: number): RecordingUs {
    const offsetUs = this.offsetOf(frame);
    return this.#holds ? Math.round(this.#holds.toRecording(offsetUs)) : this.originUs + offsetUs;
  }

  /** The next frame's place in the recording, as `recordingUs` tells it. */
  get dueUs(): RecordingUs {
    return this.recordingUs(this.#next);
  }

  advance(): void {
    this.#next++;
  }
}
