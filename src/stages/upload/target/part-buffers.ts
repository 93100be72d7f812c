/**
 * PartBuffers: the memory that files are read into on their way to a store. Buffers are used over and over, and all
 * uploads of a server share one budget, so a backlog of any length costs the same. Whoever would exceed it waits for
 * its turn.
 */
const SMALLEST_BYTES = 1024 * 1024;
/** So much is kept for the next turn; what is beyond goes back to the system. */
const KEEP_BYTES = 48 * SMALLEST_BYTES;

class PartBuffers {
  readonly #budget: number;
  readonly #free: Buffer[] = [];
  readonly #waiting: { bytes: number; go: () => void }[] = [];
  #lent = 0;

  /** @param budget bytes that may be lent at once; a single larger loan is made when nothing else is lent */
  constructor(budget: number) {
    this.#budget = budget;
  }

  /** Lends a buffer of at least `bytes` to `use` until it settles. */
  async lend<T>(bytes: number, use: (buffer: Buffer) => Promise<T>): Promise<T> {
    // A few sizes, so that a returned buffer fits whoever comes next.
    const size = Math.max(SMALLEST_BYTES, 2 ** Math.ceil(Math.log2(Math.max(bytes, 1))));
    if (!this.#fits(size)) await new Promise<void>((go) => this.#waiting.push({ bytes: size, go }));
    else this.#lent += size;
    const buffer = this.#take(size);
    try {
      return await use(buffer);
    } finally {
      this.#lent -= size;
      if (this.#free.reduce((sum, { length }) => sum + length, size) <= KEEP_BYTES) this.#free.push(buffer);
      this.#wakeNext();
    }
  }

  #fits(bytes: number): boolean {
    return this.#lent === 0 || this.#lent + bytes <= this.#budget;
  }

  #wakeNext(): void {
    for (let next = this.#waiting[0]; next && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#lent += next.bytes;
      next.go();
    }
  }

  #take(size: number): Buffer {
    const at = this.#free.findIndex(({ length }) => length === size);
    // Another thread digests what is in it.
    return at < 0 ? Buffer.from(new SharedArrayBuffer(size)) : (this.#free.splice(at, 1)[0] as Buffer);
  }
}

/** What the server's uploads share. */
export const partBuffers = new PartBuffers(384 * SMALLEST_BYTES);
