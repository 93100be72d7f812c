/**
 * Pace: hands out frames and blocks of sound at their due times, as a camera and a microphone would, each by its own
 * clock. A frame is due at its own content time; a block of sound when its last sample was heard.
 */
import { SOUND_RATE } from '../media/made-media.ts';
import { DeviceClock } from './device-clock.ts';

export type PaceOptions = {
  fps: number;
  /** Samples per block of sound. */
  blockSamples: number;
  /** `n` counts frames since the Unix epoch; its content time is n / fps seconds of the camera's clock. */
  onFrame(n: number): void;
  /** `startSample` counts samples of the microphone's clock since the Unix epoch. */
  onSound(startSample: number): void;
  /** Called about 100 times a second, after what was due. */
  onTick?(nowUs: number): void;
  /** Clocks that are not the wall's. */
  camera?: DeviceClock;
  microphone?: DeviceClock;
};

/** Wall time in microseconds since the Unix epoch, finer than Date.now(). */
export function wallUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}

/**
 * Starts with the next frame and block after now. After a stall, what is overdue is sent at once, as capture buffers
 * would.
 */
export function startPace(options: PaceOptions): { readonly startUs: number; stop(): void } {
  const { fps, blockSamples } = options;
  const startUs = wallUs();
  const camera = options.camera ?? new DeviceClock(0, startUs);
  const microphone = options.microphone ?? new DeviceClock(0, startUs);
  let frame = Math.ceil((camera.deviceUs(startUs) * fps) / 1e6);
  let sample = Math.ceil((microphone.deviceUs(startUs) * SOUND_RATE) / 1e6);
  const timer = setInterval(() => {
    const nowUs = wallUs();
    const cameraUs = camera.deviceUs(nowUs);
    const microphoneUs = microphone.deviceUs(nowUs);
    for (; (frame * 1e6) / fps <= cameraUs; frame++) options.onFrame(frame);
    for (; ((sample + blockSamples) * 1e6) / SOUND_RATE <= microphoneUs; sample += blockSamples)
      options.onSound(sample);
    options.onTick?.(nowUs);
  }, 8);
  return { startUs, stop: () => clearInterval(timer) };
}
