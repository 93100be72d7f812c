/** SteeredClock: tells the wall time of another clock, which is asked for it now and then. */
import type { Clock, Timer } from './clock.ts';
import type { HostUs } from './time.ts';

/** Until the first answer it tells its own wall time. Between answers it runs as its own monotonic clock does. */
export class SteeredClock implements Clock {
  readonly #own: Clock;
  /** Wall time at the zero of the monotonic clock, Unix milliseconds. */
  #zeroMs: number;

  constructor(own: Clock) {
    this.#own = own;
    this.#zeroMs = own.nowMs() - own.monoUs() / 1000;
  }

  nowMs(): number {
    return Math.floor(this.#zeroMs + this.#own.monoUs() / 1000);
  }
  monoUs(): HostUs {
    return this.#own.monoUs();
  }
  after(delayMs: number, run: () => void): Timer {
    return this.#own.after(delayMs, run);
  }
  every(periodMs: number, run: () => void): Timer {
    return this.#own.every(periodMs, run);
  }

  /**
   * The other clock showed `toldMs` at some moment between two of this machine's. What is believed already and can be
   * so stays: an answer that was long on its way changes nothing.
   */
  steer(toldMs: number, askedUs: HostUs, answeredUs: HostUs): void {
    const [leastMs, mostMs] = [toldMs - answeredUs / 1000, toldMs - askedUs / 1000];
    this.#zeroMs = Math.min(Math.max(this.#zeroMs, leastMs), mostMs);
  }
}
