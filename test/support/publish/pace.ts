/**
 * Pace: hands out frames and blocks of sound at their due times on the wall clock, as a camera and a microphone would.
 * A frame is due at its own content time; a block of sound when its last sample was heard.
 */
import { SOUND_RATE } from '../media/made-media.ts';

export type PaceOptions = {
  fps: number;
  /** Samples per block of sound. */
  blockSamples: number;
  /** `n` counts frames since the Unix epoch; its content time is n / fps seconds. */
  onFrame(n: number): void;
  /** `startSample` counts samples since the Unix epoch. */
  onSound(startSample: number): void;
  /** Called about 100 times a second, after what was due. */
  onTick?(nowUs: number): void;
};

/** Wall time in microseconds since the Unix epoch, finer than Date.now(). */
export function wallUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

/** Starts with the next frame and block after now. After a stall, what is overdue is sent at once, as capture buffers would. */
export function startPace(options: PaceOptions): { readonly startUs: number; stop(): void } {
  const { fps, blockSamples } = options;
  const startUs = wallUs();
  let frame = Math.ceil((startUs * fps) / 1e6);
  let sample = Math.ceil((startUs * SOUND_RATE) / 1e6);
  const timer = setInterval(() => {
    const nowUs = wallUs();
    for (; (frame * 1e6) / fps <= nowUs; frame++) options.onFrame(frame);
    for (; ((sample + blockSamples) * 1e6) / SOUND_RATE <= nowUs; sample += blockSamples) options.onSound(sample);
    options.onTick?.(nowUs);
  }, 8);
  return { startUs, stop: () => clearInterval(timer) };
}
