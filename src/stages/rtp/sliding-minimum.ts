/**
 * The least of the values seen within a span of time, in constant time and bounded memory.
 */

import type { SlidingMinimumState } from '../../contract/line/reception-state.ts';

/** Values within this time of a lower one are not kept: they matter only after that one has gone, and then hardly. */
const GRAIN_US = 50_000;

export class SlidingMinimum {
  readonly #spanUs: number;
  /** Rising in time and in value; the head is the minimum. At most one per grain of the span. */
  #entries: SlidingMinimumState;

  /** @param state of another one that this one goes on for */
  constructor(spanUs: number, state: SlidingMinimumState = []) {
    this.#spanUs = spanUs;
    this.#entries = structuredClone(state);
  }

  save(): SlidingMinimumState {
    return structuredClone(this.#entries);
  }

  /** @param atUs when the value was seen; not less than the times before it */
  push(value: number, atUs: number): void {
    const entries = this.#entries;
    let last = entries.at(-1);
    while (last && last.value >= value) {
      entries.pop();
      last = entries.at(-1);
    }
    if (!last || atUs - last.atUs >= GRAIN_US) entries.push({ value, atUs });
    this.#forget(atUs);
  }

  /** The minimum, of the latest value when all are older than the span; undefined before the first. */
  get value(): number | undefined {
    return this.#entries[0]?.value;
  }

  /** Whether any value was seen within the span before `nowUs`. */
  isFresh(nowUs: number): boolean {
    const last = this.#entries.at(-1);
    return last !== undefined && last.atUs >= nowUs - this.#spanUs;
  }

  clear(): void {
    this.#entries = [];
  }

  /** Values seen since `atUs` were too low by `by`. */
  raise(atUs: number, by: number): void {
    const entries = this.#entries;
    this.#entries = [];
    for (const entry of entries) {
      const value = entry.atUs >= atUs ? entry.value + by : entry.value;
      // What was not kept for a lower one that is not so low after all is gone: the one before it stands for it.
      if (value >= (this.#entries.at(-1)?.value ?? Number.NEGATIVE_INFINITY)) this.#entries.push({ ...entry, value });
    }
  }

  #forget(nowUs: number): void {
    let old = 0;
    while (old < this.#entries.length - 1 && this.#entries[old]!.atUs < nowUs - this.#spanUs) old++;
    if (old > 0) this.#entries.splice(0, old);
  }
}
