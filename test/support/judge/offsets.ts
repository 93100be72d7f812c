/**
 * A/V offsets: pairs flashes with beeps and tells how far apart they are.
 */
export type Offsets = {
  /** Beep time minus flash time per pair, milliseconds; positive when the sound is late. */
  eachMs: number[];
  medianMs: number;
  /** The offset farthest from zero. */
  worstMs: number;
  /** Flashes without a beep within reach, and beeps without a flash, by their times in seconds. */
  missing: number[];
  extra: number[];
};

/**
 * Pairs every flash with the nearest beep at most `reachS` away; each beep serves one flash.
 * @param flashes, beeps onsets in seconds
 */
export function avOffsets(flashes: readonly number[], beeps: readonly number[], reachS = 0.45): Offsets {
  const free = new Set(beeps);
  const eachMs: number[] = [];
  const missing: number[] = [];
  for (const flash of flashes) {
    let best: number | undefined;
    for (const beep of free) if (best === undefined || Math.abs(beep - flash) < Math.abs(best - flash)) best = beep;
    if (best === undefined || Math.abs(best - flash) > reachS) {
      missing.push(flash);
      continue;
    }
    free.delete(best);
    eachMs.push((best - flash) * 1000);
  }
  return {
    eachMs,
    medianMs: median(eachMs),
    worstMs: eachMs.reduce((worst, ms) => (Math.abs(ms) > Math.abs(worst) ? ms : worst), 0),
    missing,
    extra: [...free],
  };
}

/** NaN for an empty list. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/**
 * The full seconds between the first and last mark at which there is none, for marks that should come once a second.
 */
export function missingSeconds(marks: readonly number[]): number[] {
  const out: number[] = [];
  for (let i = 1; i < marks.length; i++) {
    const from = marks[i - 1] as number;
    for (let n = 1; n < Math.round((marks[i] as number) - from); n++) out.push(from + n);
  }
  return out;
}
