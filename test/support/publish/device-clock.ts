/**
 * DeviceClock: a camera's or microphone's own clock, which runs a little fast or slow. What the device calls a second
 * is not quite one; content, the flashes and beeps, stays true to the wall clock.
 */
export class DeviceClock {
  readonly #rate: number;
  readonly #zeroUs: number;

  /**
   * @param skewPpm how much faster than true time it runs, parts per million
   * @param zeroUs the wall time at which both show the same, microseconds
   */
  constructor(skewPpm: number, zeroUs: number) {
    this.#rate = 1 + skewPpm / 1e6;
    this.#zeroUs = zeroUs;
  }

  /** Seconds of true time per second of this clock. */
  get trueSeconds(): number {
    return 1 / this.#rate;
  }

  /** What it shows at a wall time, microseconds. */
  deviceUs(wallUs: number): number {
    return wallUs + (wallUs - this.#zeroUs) * (this.#rate - 1);
  }

  /** The wall time at which it shows `deviceUs`, microseconds. */
  wallUs(deviceUs: number): number {
    return this.#zeroUs + (deviceUs - this.#zeroUs) / this.#rate;
  }

  /**
   * The place in true time of the device's sample `n`, in samples within a second, 0 up to `rate`. Exact enough to join
   * blocks.
   */
  trueSample(n: number, rate: number): number {
    // Numbers since the Unix epoch have no digits left for parts of a sample.
    const zero = Math.round((this.#zeroUs * rate) / 1e6);
    const at = ((zero % rate) + (n - zero) / this.#rate) % rate;
    return at < 0 ? at + rate : at;
  }
}
