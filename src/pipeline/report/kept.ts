/** Kept: the first items of a list that could grow without end, and how many more there were. */
export class Kept<T> {
  readonly #most: number;
  readonly #items: T[] = [];
  #more = 0;

  /** @param most how many are kept */
  constructor(most: number) {
    this.#most = most;
  }

  /** Returns whether it was kept. */
  add(item: T): boolean {
    if (this.#items.length < this.#most) {
      this.#items.push(item);
      return true;
    }
    this.#more++;
    return false;
  }

  get items(): readonly T[] {
    return this.#items;
  }

  get more(): number {
    return this.#more;
  }
}

/** How many spans or changes of one kind a report keeps for a track. */
export const MOST_SPANS = 50;

/** Microseconds as milliseconds, as a report has them. */
export function toMs(us: number): number {
  // Adding 0 avoids a negative zero, which JSON cannot express.
  return Math.round(us / 1000) + 0;
}
