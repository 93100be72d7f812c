/**
 * ArrivalWindow: when the packets of a stretch of numbers came in. The numbers lie side by side in memory that is used
 * over and over, since a server notes thousands a second and asks for each of them again.
 */
import type { HostUs } from '../../kernel/time.ts';

/** Room for half a second of a usual picture. */
const FIRST_ROOM = 256;
/** What stands for a packet that has not come. */
const NOT_COME = Number.NaN;

export class ArrivalWindow {
  readonly #maxNumbers: number;
  /** Arrival of number n at place n modulo its length, which is a power of two. */
  #arrivals = new Float64Array(FIRST_ROOM).fill(NOT_COME);
  #first = 0;
  #end = 0;

  /** @param maxNumbers the window spans at most so many numbers, a power of two */
  constructor(maxNumbers: number) {
    this.#maxNumbers = maxNumbers;
  }

  /** The first number of the window. */
  get first(): number {
    return this.#first;
  }

  /** The number behind the window. */
  get end(): number {
    return this.#end;
  }

  /** When a number of the window came in; NaN when it has not, and for numbers outside. */
  at(number: number): HostUs {
    if (number < this.#first || number >= this.#end) return NOT_COME;
    return this.#arrivals[this.#place(number)]!;
  }

  has(number: number): boolean {
    return !Number.isNaN(this.at(number));
  }

  /** Begins anew, empty, at this number. */
  restart(number: number): void {
    this.#arrivals.fill(NOT_COME);
    this.#first = number;
    this.#end = number;
  }

  /** Notes an arrival. A number before the window is passed over; one behind it moves the window along. */
  note(number: number, arrivalUs: HostUs): void {
    if (number < this.#first) return;
    if (number >= this.#end) {
      if (number - this.#first >= this.#maxNumbers) this.forgetTo(number - this.#maxNumbers + 1);
      this.#end = number + 1;
      if (this.#end - this.#first > this.#arrivals.length) this.#widen();
    }
    this.#arrivals[this.#place(number)] = arrivalUs;
  }

  /** Forgets what is before this number. */
  forgetTo(number: number): void {
    const end = Math.min(number, this.#end);
    for (; this.#first < end; this.#first++) this.#arrivals[this.#place(this.#first)] = NOT_COME;
    if (number <= this.#first) return;
    this.#first = number;
    this.#end = number;
  }

  #place(number: number): number {
    // Numbers may be negative, and larger than what bitwise operators take.
    const room = this.#arrivals.length;
    return ((number % room) + room) % room;
  }

  #widen(): void {
    const before = this.#arrivals;
    let room = before.length;
    while (room < this.#end - this.#first) room *= 2;
    const placeBefore = (number: number) => ((number % before.length) + before.length) % before.length;
    this.#arrivals = new Float64Array(room).fill(NOT_COME);
    const last = Math.min(this.#end, this.#first + before.length);
    for (let n = this.#first; n < last; n++) this.#arrivals[this.#place(n)] = before[placeBefore(n)]!;
  }
}
