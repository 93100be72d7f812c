/** Reads numbers of any length in bits from a bitstream, the highest bit first. */

/** What `BitReader` throws when the stream ends before the number. */
export class BitsExhausted extends Error {}

export class BitReader {
  #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** The next `count` bits, at most 32, as an unsigned number. Throws BitsExhausted. */
  bits(count: number): number {
    let value = 0;
    for (let n = 0; n < count; n++) {
      const byte = this.#bytes[this.#at >> 3];
      if (byte === undefined) throw new BitsExhausted();
      value = value * 2 + ((byte >> (7 - (this.#at & 7))) & 1);
      this.#at++;
    }
    return value;
  }

  /** Skips bits, even beyond the end. */
  skip(count: number): void {
    this.#at += count;
  }

  /** How many bits have been read. */
  get position(): number {
    return this.#at;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  /** Unsigned Exp-Golomb, `ue(v)` of H.264 §9.1 and `uvlc()` of AV1 §4.10.3. Throws BitsExhausted. */
  golomb(): number {
    let zeros = 0;
    while (!this.flag()) if (++zeros > 32) throw new BitsExhausted();
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** Signed Exp-Golomb, `se(v)` of H.264 §9.1.1. Throws BitsExhausted. */
  signedGolomb(): number {
    const code = this.golomb();
    return code % 2 === 0 ? -code / 2 : (code + 1) / 2;
  }
}
