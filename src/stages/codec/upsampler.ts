/**
 * Raises the sampling rate of telephone sound by a whole factor, with a windowed sinc in one phase per output sample.
 * Samples in and out are in a fixed relation, so that a stream with gaps keeps its place in time.
 */

/**
 * How many input samples make one output sample. More would ring longer, fewer would leave more of the mirrored
 * spectrum.
 */
const TAPS = 24;

export class Upsampler {
  /** By how many output samples the output is delayed. */
  readonly delaySamples: number;
  readonly #factor: number;
  /** By phase, then from the newest input sample to the oldest. */
  readonly #phases: Float32Array[];
  /** The last TAPS - 1 input samples. */
  #history = new Float32Array(TAPS - 1);

  constructor(factor: number) {
    this.#factor = factor;
    this.#phases = phasesOf(factor);
    this.delaySamples = (TAPS * factor) / 2;
  }

  /** Returns `factor` times as many samples. */
  push(samples: Float32Array): Float32Array {
    const input = new Float32Array(this.#history.length + samples.length);
    input.set(this.#history);
    input.set(samples, this.#history.length);
    const out = new Float32Array(samples.length * this.#factor);
    this.#phases.forEach((kernel, phase) => {
      for (let n = 0; n < samples.length; n++) {
        let sum = 0;
        for (let k = 0; k < TAPS; k++) sum += input[n + TAPS - 1 - k]! * kernel[k]!;
        out[n * this.#factor + phase] = sum;
      }
    });
    this.#history = input.slice(-(TAPS - 1));
    return out;
  }

  /** Forgets what came before. */
  reset(): void {
    this.#history.fill(0);
  }
}

/** A constant passes each phase unchanged. */
function phasesOf(factor: number): Float32Array[] {
  const center = (TAPS * factor) / 2;
  return Array.from({ length: factor }, (_, phase) => {
    const kernel = Float32Array.from({ length: TAPS }, (_tap, k) => {
      const at = (k * factor + phase - center) / factor;
      // Blackman, over the whole length of the kernel.
      const angle = (2 * Math.PI * (k * factor + phase)) / (TAPS * factor);
      const window = 0.42 - 0.5 * Math.cos(angle) + 0.08 * Math.cos(2 * angle);
      return window * (at === 0 ? 1 : Math.sin(Math.PI * at) / (Math.PI * at));
    });
    const sum = kernel.reduce((total, tap) => total + tap, 0);
    return kernel.map((tap) => tap / sum);
  });
}
