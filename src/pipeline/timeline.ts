/**
 * Timeline: a setting of the recording that is changed while it runs, by the moment each value holds from. Commands
 * come in the present and frames are made behind it, so both the old and the new value are wanted for a while. Pure.
 */
import type { RecordingUs } from '../kernel/time.ts';

export type Holding<T> = { /** Microseconds of the recording. */ fromUs: RecordingUs; value: T };

export class Timeline<T> {
  #values: [Holding<T>, ...Holding<T>[]];

  /** @param first holds from the beginning */
  constructor(first: T) {
    this.#values = [{ fromUs: Number.NEGATIVE_INFINITY, value: first }];
  }

  /** The value given last, whether its moment has come or not. */
  get newest(): T {
    return (this.#values.at(-1) ?? this.#values[0]).value;
  }

  /**
   * `value` holds from `fromUs` on, until the next. Changes count in the order they are told: one that names a moment
   * before an earlier one's takes its place from there on. Returns from when it really holds.
   */
  change(fromUs: RecordingUs, value: T): number {
    const holds = Math.max(fromUs, (this.#values.at(-1) ?? this.#values[0]).fromUs);
    this.#values.push({ fromUs: holds, value });
    return holds;
  }

  /** What holds at `atUs`. */
  at(atUs: RecordingUs): T {
    return (this.#values.findLast(({ fromUs }) => fromUs <= atUs) ?? this.#values[0]).value;
  }

  /** What holds at `atUs` and everything that will hold later, in order. */
  since(atUs: RecordingUs): Holding<T>[] {
    const at = this.#values.findLastIndex(({ fromUs }) => fromUs <= atUs);
    return this.#values.slice(Math.max(0, at));
  }

  /** Drops values that hold no more at `beforeUs`; nothing asks about the time before it again. */
  forget(beforeUs: RecordingUs): void {
    const [first, ...later] = this.since(beforeUs);
    if (first && later.length + 1 < this.#values.length) this.#values = [first, ...later];
  }
}
