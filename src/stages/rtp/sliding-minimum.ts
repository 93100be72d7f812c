/** The least of the values seen within a span of time, in constant time and bounded memory. */

import type { SlidingMinimumState } from '../../contract/line/reception-state.ts';
import type { HostUs } from '../../kernel/time.ts';

/** Values within this time of a lower one are not kept: they matter only after that one has gone, and then hardly. */
const GRAIN_US = 50_000;

export type SlidingMinimumOptions = {
  /**
   * A pause between values ages those before it by at most this, because nothing was seen meanwhile that contradicts
   * them.
   */
  pauseUs?: number;
};

export class SlidingMinimum {
  readonly #spanUs: number;
  readonly #pauseUs: number;
  /** When the last value was seen, including values that were not kept. */
  #seenUs: HostUs;
  /** Rising in time and in value; the first is the minimum. At most one per grain of the span. */
  #entries: SlidingMinimumState;

  /** @param state of another one that this one continues */
  constructor(spanUs: number, state: SlidingMinimumState = [], { pauseUs = Infinity }: SlidingMinimumOptions = {}) {
    this.#spanUs = spanUs;
    this.#pauseUs = pauseUs;
    this.#entries = state.map((entry) => ({ ...entry }));
    this.#seenUs = this.#entries.at(-1)?.atUs ?? Number.POSITIVE_INFINITY;
  }

  save(): SlidingMinimumState {
    return this.#entries.map((entry) => ({ ...entry }));
  }

  /** @param atUs when the value was seen; not less than the times before it */
  push(value: number, atUs: HostUs): void {
    const entries = this.#entries;
    const pauseUs = atUs - this.#seenUs - this.#pauseUs;
    if (pauseUs > 0) for (const entry of entries) entry.atUs += pauseUs;
    this.#seenUs = atUs;
    let last = entries.at(-1);
    while (last && last.value >= value) {
      entries.pop();
      last = entries.at(-1);
    }
    if (!last || atUs - last.atUs >= GRAIN_US) entries.push({ value, atUs });
    this.#forget(atUs);
  }

  /** The minimum; the latest value when all are older than the span; undefined before the first. */
  get value(): number | undefined {
    return this.#entries[0]?.value;
  }

  /** Whether any value was seen within the span before `nowUs`. */
  isFresh(nowUs: HostUs): boolean {
    const last = this.#entries.at(-1);
    return last !== undefined && last.atUs >= nowUs - this.#spanUs;
  }

  clear(): void {
    this.#entries = [];
  }

  /** Values seen since `atUs` were too low by `by`. */
  raise(atUs: HostUs, by: number): void {
    const entries = this.#entries;
    this.#entries = [];
    for (const entry of entries) {
      const value = entry.atUs >= atUs ? entry.value + by : entry.value;
      // Values that were dropped because of a lower one are gone, although that one is not so low after all: the one
      // before it stands for them.
      if (value >= (this.#entries.at(-1)?.value ?? Number.NEGATIVE_INFINITY)) this.#entries.push({ ...entry, value });
    }
  }

  #forget(nowUs: HostUs): void {
    let old = 0;
    while (old < this.#entries.length - 1 && this.#entries[old]!.atUs < nowUs - this.#spanUs) old++;
    if (old > 0) this.#entries.splice(0, old);
  }
}
