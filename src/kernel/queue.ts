/**
 * A bounded first-in first-out queue with an explicit rule for "full", and a way to await the next item.
 */

export class BoundedQueue<T> {
  readonly capacity: number;
  #items: T[] = [];
  #head = 0;
  #waiting: ((item: T | undefined) => void)[] = [];
  #ended = false;

  /** @param capacity the most items held at once, at least 1 */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError('capacity must be a whole number of at least 1');
    this.capacity = capacity;
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Adds an item. Returns false, and keeps nothing, when the queue is full or ended. */
  push(item: T): boolean {
    if (this.#ended) return false;
    const waiter = this.#waiting.shift();
    if (waiter) {
      waiter(item);
      return true;
    }
    if (this.size >= this.capacity) return false;
    this.#items.push(item);
    return true;
  }

  /** Takes the oldest item now, or undefined when there is none. */
  take(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head] as T;
    this.#items[this.#head] = undefined as T;
    this.#head++;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Resolves with the next item, or with undefined once the queue has ended and is empty. */
  next(): Promise<T | undefined> {
    if (this.size > 0) return Promise.resolve(this.take());
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Takes no more items; those held can still be taken. Calling it again does nothing. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiting.splice(0)) waiter(undefined);
  }
}
