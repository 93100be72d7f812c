/**
 * BitReader: numbers from a bitstream, the highest bit first. Past the end it reads zeros; `isPast` tells that it did.
 */
export class BitReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isPast(): boolean {
    return this.#at > this.#bytes.length * 8;
  }

  /** @param count 0..32 */
  bits(count: number): number {
    let value = 0;
    for (let n = 0; n < count; n++, this.#at++)
      value = value * 2 + (((this.#bytes[this.#at >> 3] ?? 0) >> (7 - (this.#at & 7))) & 1);
    return value;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  /** Exp-Golomb, ue(v) (H.264 §9.1). */
  exponential(): number {
    let zeros = 0;
    while (!this.flag()) if (++zeros > 32 || this.isPast) return 0;
    return 2 ** zeros - 1 + this.bits(zeros);
  }
}
