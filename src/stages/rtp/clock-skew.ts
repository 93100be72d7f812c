/**
 * ClockSkew: how much faster or slower than our clock a sender counts, by the arrival of its packets. Delay can only
 * add, so the least offset of each span lies on the true line; the median slope between these is the skew, even when a
 * changed route moves some of them.
 */
import type { ClockSkewState } from '../../contract/line/reception-state.ts';
import { type HostUs, US } from '../../kernel/time.ts';

/**
 * At first the least offset of a span of this length makes one point of the line; the length doubles whenever there are
 * too many points.
 */
const FIRST_SPAN_US = 2 * US;
const MAX_POINTS = 64;
/** Over a shorter time jitter makes a larger slope than any crystal. */
const MIN_OBSERVED_US = 15 * US;

/** `offsetUs` is the least arrival time minus media time in a span; `atUs` is when it was seen. */
type Point = { span: number; atUs: HostUs; offsetUs: number };

function copied(points: readonly Point[]): Point[] {
  return points.map((point) => ({ ...point }));
}

export class ClockSkew {
  #spanUs = FIRST_SPAN_US;
  #points: Point[] = [];
  /** The latest result for `ppm`; null when it must be worked out again. */
  #known: { ppm: number | undefined } | null = null;

  /** @param state of another one that this one continues */
  constructor(state?: ClockSkewState) {
    if (!state) return;
    this.#spanUs = state.spanUs;
    this.#points = copied(state.points);
  }

  save(): ClockSkewState {
    return { spanUs: this.#spanUs, points: copied(this.#points) };
  }

  /**
   * @param offsetUs arrival time minus media time of a packet, microseconds
   * @param atUs arrival, monotonic
   */
  push(offsetUs: number, atUs: HostUs): void {
    const span = Math.floor(atUs / this.#spanUs);
    const last = this.#points.at(-1);
    if (last && span <= last.span) {
      if (offsetUs < last.offsetUs) Object.assign(last, { offsetUs, atUs });
      return;
    }
    this.#points.push({ span, atUs, offsetUs });
    this.#known = null;
    if (this.#points.length > MAX_POINTS) this.#halve();
  }

  /** The sender's timestamps jumped: earlier points say nothing about later ones. */
  clear(): void {
    this.#points = [];
    this.#spanUs = FIRST_SPAN_US;
    this.#known = null;
  }

  /** Over how long packets were watched, microseconds. */
  get observedUs(): number {
    const first = this.#points[0];
    return first ? this.#points.at(-1)!.atUs - first.atUs : 0;
  }

  /** Parts per million by which the sender counts faster than we do; undefined until enough has been seen. */
  get ppm(): number | undefined {
    this.#known ??= { ppm: this.#slope() };
    return this.#known.ppm;
  }

  #slope(): number | undefined {
    // The newest point may come from only a moment, in which no packet was fast.
    const points = this.#points.slice(0, -1);
    const [first] = points;
    if (!first || points.at(-1)!.atUs - first.atUs < MIN_OBSERVED_US) return undefined;
    const leastUs = (points.at(-1)!.atUs - first.atUs) / 3;
    const slopes: number[] = [];
    for (const [i, a] of points.entries()) {
      for (const b of points.slice(i + 1)) {
        // The slope between points that are close to each other is only noise.
        if (b.atUs - a.atUs >= leastUs) slopes.push((b.offsetUs - a.offsetUs) / (b.atUs - a.atUs));
      }
    }
    slopes.sort((a, b) => a - b);
    const middle = slopes[slopes.length >> 1];
    // When a sender counts fast its packets arrive ever earlier by its own count.
    return middle === undefined ? undefined : -middle * 1e6;
  }

  #halve(): void {
    this.#spanUs *= 2;
    const merged: Point[] = [];
    for (const point of this.#points) {
      const span = Math.floor(point.span / 2);
      const last = merged.at(-1);
      if (last?.span !== span) merged.push({ ...point, span });
      else if (point.offsetUs < last.offsetUs) Object.assign(last, { offsetUs: point.offsetUs, atUs: point.atUs });
    }
    this.#points = merged;
  }
}
