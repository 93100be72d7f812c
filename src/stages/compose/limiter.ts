/**
 * A peak limiter for a sum of voices: it leaves everything below −3 dBFS unchanged, never passes full scale, and turns
 * down ahead of a peak so that nothing clicks.
 */

/** −3 dBFS. */
const KNEE = 10 ** (-3 / 20);
/** The value that the loudest sum approaches. */
const CEILING = 0.99;
/** How far ahead peaks are seen, samples at 48 kHz: 2.7 ms. */
export const LIMITER_HOP = 128;
/** Share of the way back to full gain per hop; about 90 ms to two thirds. */
const RELEASE = 0.03;

export class Limiter {
  /** The gain at the next sample. */
  #gain = 1;
  #started = false;

  /** The gain at the next sample; undefined before the first. */
  get gain(): number | undefined {
    return this.#started ? this.#gain : undefined;
  }

  /** Goes on at `gain`. */
  restore(gain: number): void {
    this.#gain = gain;
    this.#started = true;
  }

  /**
   * Limits samples in place.
   * @param block all channels, of one length
   * @param ahead the samples that follow, up to LIMITER_HOP of them; they are only read
   */
  process(block: Float32Array[], ahead: Float32Array[]): void {
    const total = block[0]?.length ?? 0;
    let peak = peakOf(block, 0, Math.min(LIMITER_HOP, total));
    // The very first samples have nothing before them from which the gain could change gradually.
    if (!this.#started) this.#gain = gainFor(peak);
    this.#started = true;
    for (let start = 0; start < total; start += LIMITER_HOP) {
      const end = Math.min(total, start + LIMITER_HOP);
      const nextPeak = end < total ? peakOf(block, end, Math.min(total, end + LIMITER_HOP)) : 0;
      // A short last hop looks on into what follows the block, as far as a full hop would.
      const seenInBlock = end < total ? Math.min(total, end + LIMITER_HOP) - end : 0;
      const aheadPeak = seenInBlock < LIMITER_HOP ? peakOf(ahead, 0, LIMITER_HOP - seenInBlock) : 0;
      const wanted = gainFor(Math.max(peak, nextPeak, aheadPeak));
      const target = Math.min(wanted, this.#gain + (1 - this.#gain) * RELEASE);
      if (this.#gain < 1 || target < 1) this.#ramp(block, start, end, target);
      this.#gain = target > 0.9999 ? 1 : target;
      peak = nextPeak;
    }
  }

  #ramp(block: Float32Array[], start: number, end: number, target: number): void {
    const step = (target - this.#gain) / (end - start);
    for (const samples of block) {
      let gain = this.#gain;
      for (let i = start; i < end; i++) {
        gain += step;
        const value = samples[i]! * gain;
        // Only needed when a voice was added after its place had been looked at.
        samples[i] = Math.max(-1, Math.min(1, value));
      }
    }
  }
}

/** Peaks are squeezed into the room above the knee, louder ones more. */
function gainFor(peak: number): number {
  if (peak <= KNEE) return 1;
  const room = CEILING - KNEE;
  return (KNEE + room * Math.tanh((peak - KNEE) / room)) / peak;
}

function peakOf(channels: Float32Array[], start: number, end: number): number {
  let peak = 0;
  for (const samples of channels) {
    const stop = Math.min(end, samples.length);
    for (let i = start; i < stop; i++) {
      const level = Math.abs(samples[i]!);
      if (level > peak) peak = level;
    }
  }
  return peak;
}
