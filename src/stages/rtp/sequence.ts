/**
 * Makes growing numbers of RTP's wrapping ones: 16-bit sequence numbers and 32-bit timestamps, and tells a sender that
 * started over from packets that are merely late (RFC 3550 §A.1).
 */

/** Unwraps numbers of `bits` bits: each is placed nearest to the one before it, forwards or backwards. */
class Unwrapper {
  readonly #span: number;
  #latest: number | undefined;

  /**
   * @param bits width of the field, 1..32
   * @param latest an unwrapped number that the first one lies near to
   */
  constructor(bits: number, latest?: number) {
    this.#span = 2 ** bits;
    this.#latest = latest;
  }

  /** The first value comes back as it is; later ones may be lower than it, even negative, after a wrap backwards. */
  unwrap(value: number): number {
    this.#latest = this.peek(value);
    return this.#latest;
  }

  /** What `unwrap` would return, without taking note of the value. */
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

/** How far ahead a packet may be and still be the same run with packets lost (RFC 3550 §A.1 MAX_DROPOUT). */
const MAX_DROPOUT = 3000;
/**
 * How far behind a packet may be and still be a late one. More than §A.1's 100, as answers to NACKs come late on
 * purpose.
 */
const MAX_MISORDER = 2000;

/** What a sequence number turned out to be. `stray` numbers are far off: noise, or the first of a new run. */
export type Placement =
  | { kind: 'stray' }
  | {
      kind: 'placed';
      extended: number;
      /**
       * True for the packet that proved that the sender started over; the stray before it belongs at `extended - 1`.
       */
      restarted: boolean;
    };

/**
 * Places 16-bit sequence numbers on one growing line. Two numbers in order far off the line are a sender that started
 * over; they are placed above all before them, leaving a hole, so that the break can be seen as a loss.
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
