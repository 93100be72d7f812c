/** Endings: how to end what was begun, from the last to the first. One that fails keeps none of the others. */
export type EndingsLog = { error(bindings: { err: unknown }, text: string): void };

export class Endings {
  readonly #log: EndingsLog;
  readonly #left: (() => unknown)[] = [];
  #over: Promise<void> | undefined;

  constructor(log: EndingsLog) {
    this.#log = log;
  }

  push(ending: () => unknown): void {
    this.#left.push(ending);
  }

  /**
   * Ends everything, after `first` in its order. Calling it again waits for the same end, whatever comes first. Never
   * rejects: what fails is in the log.
   */
  end(first: readonly (() => unknown)[] = []): Promise<void> {
    this.#over ??= this.#endAll(first);
    return this.#over;
  }

  async #endAll(first: readonly (() => unknown)[]): Promise<void> {
    for (const ending of [...first, ...this.#left.splice(0).reverse()]) {
      try {
        await ending();
      } catch (error) {
        this.#log.error({ err: error }, 'a part of the server did not end cleanly');
      }
    }
  }
}
