/**
 * Turns RTP's wrapping numbers into growing ones: 16-bit sequence numbers and 32-bit timestamps. It also tells a sender
 * that started over from packets that are only late (RFC 3550 §A.1).
 */

/** Unwraps numbers of `bits` bits: each is placed as near as possible to the one before it, forwards or backwards. */
class Unwrapper {
  readonly #span: number;
  #latest: number | undefined;

  /**
   * @param bits width of the field, 1..32
   * @param latest an unwrapped number near the first one
   */
  constructor(bits: number, latest?: number) {
    this.#span = 2 ** bits;
    this.#latest = latest;
  }

  /** The first value is returned unchanged; later ones may be lower, even negative, after a wrap backwards. */
  unwrap(value: number): number {
    this.#latest = this.peek(value);
    return this.#latest;
  }

  /** What `unwrap` would return; the value is not remembered. */
  peek(value: number): number {
    if (this.#latest === undefined) return value;
    let delta = modulo(value - this.#latest, this.#span);
    if (delta >= this.#span / 2) delta -= this.#span;
    return this.#latest + delta;
  }

  /** Unwraps a value of a sender that started over: it is placed above `floor`, whatever it is. */
  unwrapAbove(value: number, floor: number): number {
    this.#latest = floor + 1 + modulo(value - (floor + 1), this.#span);
    return this.#latest;
  }
}

export class SequenceUnwrapper extends Unwrapper {
  constructor() {
    super(16);
  }
}

export class TimestampUnwrapper extends Unwrapper {
  constructor(latest?: number) {
    super(32, latest);
  }
}

/** How far ahead a packet may be and still belong to the same run after losses (RFC 3550 §A.1 MAX_DROPOUT). */
const MAX_DROPOUT = 3000;
/**
 * How far behind a packet may be and still be only late. It exceeds §A.1's 100, because answers to NACKs come late on
 * purpose.
 */
const MAX_MISORDER = 2000;

/** What a sequence number turned out to be. `stray` numbers are far off: noise, or the first number of a new run. */
export type Placement =
  | { kind: 'stray' }
  | {
      kind: 'placed';
      extended: number;
      /**
       * True for the packet that showed that the sender started over; the stray packet before it belongs at `extended -
       * 1`.
       */
      restarted: boolean;
    };

/**
 * Places 16-bit sequence numbers on one growing line. Two consecutive numbers far off the line show that the sender
 * started over; they are placed above all before them, with a hole between, so that the break looks like a loss.
 */
export class SequenceTracker {
  #highest: number | undefined;
  #awaited: number | undefined;
  #offset = 0;

  /** The highest number placed so far. */
  get highest(): number | undefined {
    return this.#highest;
  }

  place(sequence: number): Placement {
    if (this.#highest === undefined) {
      this.#highest = sequence + this.#offset;
      return { kind: 'placed', extended: this.#highest, restarted: false };
    }
    let delta = modulo(sequence + this.#offset - this.#highest, 0x10000);
    if (delta >= 0x8000) delta -= 0x10000;
    if (delta <= MAX_DROPOUT && delta >= -MAX_MISORDER) {
      this.#awaited = undefined;
      const extended = this.#highest + delta;
      if (delta > 0) this.#highest = extended;
      return { kind: 'placed', extended, restarted: false };
    }
    if (sequence !== this.#awaited) {
      this.#awaited = (sequence + 1) & 0xffff;
      return { kind: 'stray' };
    }
    return { kind: 'placed', extended: this.restart(sequence, 3), restarted: true };
  }

  /** Starts a new run at `sequence`, `above` numbers over the highest so far. Returns its place. */
  restart(sequence: number, above = 2): number {
    const extended = this.#highest === undefined ? sequence : this.#highest + above;
    this.#offset = extended - sequence;
    this.#awaited = undefined;
    this.#highest = extended;
    return extended;
  }
}

function modulo(value: number, span: number): number {
  const rest = value % span;
  return rest < 0 ? rest + span : rest;
}
