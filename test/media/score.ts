/**
 * The rubric: one number from 0 to 100 for how well sound and picture of a recording go together, from its marks alone.
 */
import { median } from '../support/judge/offsets.ts';

/** What a recording's flashes and beeps came to. */
export type Measured = {
  /** Beep minus flash of each second, milliseconds, of all participants. */
  offsetsMs: readonly number[];
  /** How far marks of neighbouring seconds are from one second apart, milliseconds, without sign. */
  audioIntervalsMs: readonly number[];
  videoIntervalsMs: readonly number[];
  /** Seconds from the worst beginning until flash and beep were there in step. */
  stableS: number;
};

export type Criterion = {
  name: string;
  meaning: string;
  unit: 'ms' | 's';
  /** Up to `good` nothing is taken off, from `bad` on all `points`, and in between in proportion. */
  good: number;
  bad: number;
  points: number;
  of(measured: Measured): number;
};

export const RUBRIC: readonly Criterion[] = [
  {
    name: 'Median offset',
    meaning: 'the median of beep minus flash, without its sign',
    ...{ unit: 'ms', good: 20, bad: 120, points: 25 },
    of: (m) => Math.abs(median(m.offsetsMs)),
  },
  {
    name: 'Worst offset',
    meaning: 'the offset that is farthest from zero',
    ...{ unit: 'ms', good: 60, bad: 250, points: 20 },
    of: (m) => Math.max(...m.offsetsMs.map(Math.abs)),
  },
  {
    name: 'Spread',
    meaning: 'from the 5th to the 95th percentile of the offsets',
    ...{ unit: 'ms', good: 40, bad: 150, points: 20 },
    of: (m) => percentile(m.offsetsMs, 0.95) - percentile(m.offsetsMs, 0.05),
  },
  {
    name: 'Sound interval jitter',
    meaning: 'how far beeps of neighbouring seconds that were sent whole are from one second apart, 95th percentile',
    ...{ unit: 'ms', good: 10, bad: 80, points: 10 },
    of: (m) => percentile(m.audioIntervalsMs, 0.95),
  },
  {
    name: 'Picture interval jitter',
    meaning: 'the same of flashes; a frame lasts 33 ms',
    ...{ unit: 'ms', good: 35, bad: 120, points: 10 },
    of: (m) => percentile(m.videoIntervalsMs, 0.95),
  },
  {
    name: 'Time to stable',
    meaning: 'from the start, or a return, to the first of two seconds with flash and beep in step (80 ms)',
    ...{ unit: 's', good: 2, bad: 8, points: 15 },
    of: (m) => m.stableS,
  },
];

/** 0 to 100. Where nothing could be measured, all of a criterion's points are taken off. */
export function scoreOf(measured: Measured): number {
  return RUBRIC.reduce((score, { good, bad, points, of }) => {
    const value = of(measured);
    const share = Number.isFinite(value) ? (value - good) / (bad - good) : 1;
    return score - points * Math.min(1, Math.max(0, share));
  }, 100);
}

/** The value below which this share of all lie; NaN when there is none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  if (sorted.length === 0) return Number.NaN;
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] as number;
  const above = sorted[Math.ceil(at)] as number;
  return below + (above - below) * (at - Math.floor(at));
}
