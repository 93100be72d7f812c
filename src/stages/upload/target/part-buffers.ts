/**
 * PartBuffers: the memory that files are read into on their way to a store. Buffers are used again and again, and all
 * uploads of a server share one budget, so a backlog of any length costs the same. Whoever would exceed it waits.
 */
const SMALLEST_BYTES = 1024 * 1024;
/** This much is kept for later use; everything beyond goes back to the system. */
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
    // Only a few sizes, so that a returned buffer fits the next user.
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
    // Shared, because another thread digests its content.
    return at < 0 ? Buffer.from(new SharedArrayBuffer(size)) : (this.#free.splice(at, 1)[0] as Buffer);
  }
}

/** The buffers that all uploads of the server share. */
export const partBuffers = new PartBuffers(384 * SMALLEST_BYTES);
