/**
 * LeavingTasks: recordings that another node has taken over as planned, and of which this one still has something: a
 * recorder that goes on until its publishers have moved, then files that are not stored yet (ADR 0029).
 */
export class LeavingTasks {
  /** By sid; true once nothing is recorded here any more. */
  readonly #tasks = new Map<string, { isOver: boolean }>();
  #waiting: (() => void)[] = [];

  get size(): number {
    return this.#tasks.size;
  }

  has(sid: string): boolean {
    return this.#tasks.has(sid);
  }

  /** @param recorded settles when nothing is recorded here any more */
  add(sid: string, recorded: Promise<void>): void {
    const task = { isOver: false };
    this.#tasks.set(sid, task);
    const end = () => {
      task.isOver = true;
    };
    recorded.then(end, end);
  }

  /**
   * Forgets those of which all is stored.
   * @param unstored says of which of these recordings something is not
   */
  async look(unstored: (sids: readonly string[]) => Promise<string[]>): Promise<void> {
    const over = [...this.#tasks].filter(([, { isOver }]) => isOver).map(([sid]) => sid);
    if (over.length === 0) return;
    const left = new Set(await unstored(over));
    for (const sid of over) if (!left.has(sid)) this.#tasks.delete(sid);
    if (this.size === 0) for (const tell of this.#waiting.splice(0)) tell();
  }

  /** Resolves once there is none. */
  gone(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
