/**
 * How far a long command is, on standard error: one line written over and over on a terminal, one for each tenth
 * elsewhere.
 */
import type { Clock } from '../../kernel/clock.ts';
import { type HostUs, US } from '../../kernel/time.ts';

/** How often the line on a terminal is written anew. */
const PERIOD_US = 200_000;

export class Progress {
  readonly #clock: Clock;
  readonly #out: { write(text: string): unknown; isTTY?: boolean | undefined };
  readonly #totalS: number;
  readonly #startUs: HostUs;
  #toldUs = 0;
  #toldTenth = 0;
  #open = false;

  /** @param totalS seconds of media to work through */
  constructor(clock: Clock, out: { write(text: string): unknown; isTTY?: boolean | undefined }, totalS: number) {
    this.#clock = clock;
    this.#out = out;
    this.#totalS = totalS;
    this.#startUs = clock.monoUs();
    this.#toldUs = this.#startUs;
  }

  show(doneS: number): void {
    const nowUs = this.#clock.monoUs();
    const tenth = Math.floor((10 * doneS) / this.#totalS + 1e-9);
    if (this.#out.isTTY ? nowUs - this.#toldUs < PERIOD_US : tenth <= this.#toldTenth) return;
    this.#toldUs = nowUs;
    this.#toldTenth = tenth;
    const text = this.#line(doneS, (nowUs - this.#startUs) / US);
    // Blanks overwrite what a longer line left behind.
    this.#out.write(this.#out.isTTY ? `\r${text.padEnd(60)}` : `${text}\n`);
    this.#open = this.#out.isTTY === true;
  }

  /** Ends the line; `words` follow on the next one. */
  end(words?: string): void {
    if (this.#open) this.#out.write('\n');
    this.#open = false;
    if (words !== undefined) this.#out.write(`aircheck: ${words}\n`);
  }

  #line(doneS: number, tookS: number): string {
    const speed = doneS / tookS;
    const leftS = speed > 0 ? (this.#totalS - doneS) / speed : 0;
    const percent = Math.floor((100 * doneS) / this.#totalS + 1e-9);
    return `aircheck: ${percent} %, ${speed.toFixed(1)}× real time, ${Math.ceil(leftS)} s left`;
  }
}
