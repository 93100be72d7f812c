/**
 * Timeline: a setting of the recording that changes while it runs, by the moment from which each value holds. Commands
 * come in the present and frames are made behind it, so for a while both the old and the new value are needed. Pure.
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
   * `value` holds from `fromUs` on, until the next. Changes count in the order in which they are told: one for a moment
   * before an earlier change's holds from that change's moment on. Returns from when it really holds.
   */
  change(fromUs: RecordingUs, value: T): number {
    const holds = Math.max(fromUs, (this.#values.at(-1) ?? this.#values[0]).fromUs);
    this.#values.push({ fromUs: holds, value });
    return holds;
  }

  /** The value that holds at `atUs`. */
  at(atUs: RecordingUs): T {
    return (this.#values.findLast(({ fromUs }) => fromUs <= atUs) ?? this.#values[0]).value;
  }

  /** The value that holds at `atUs` and every later one, in order. */
  since(atUs: RecordingUs): Holding<T>[] {
    const at = this.#values.findLastIndex(({ fromUs }) => fromUs <= atUs);
    return this.#values.slice(Math.max(0, at));
  }

  /** Drops values that no longer hold at `beforeUs`; nothing before it is asked about again. */
  forget(beforeUs: RecordingUs): void {
    const [first, ...later] = this.since(beforeUs);
    if (first && later.length + 1 < this.#values.length) this.#values = [first, ...later];
  }
}
