/** Does work on one thing in order, and work on different things side by side. */
export class Turns {
  /** The end of the latest work on each thing. */
  #ends = new Map<string, Promise<void>>();

  /** Begins `work` when all earlier work on `key` has ended, well or not. Resolves, or rejects, as it does. */
  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#ends.get(key);
    const turn = before === undefined ? work() : before.then(work);
    const end = turn.then(
      () => {},
      () => {},
    );
    this.#ends.set(key, end);
    void end.then(() => {
      if (this.#ends.get(key) === end) this.#ends.delete(key);
    });
    return turn;
  }
}
