/**
 * LatePuts: puts of one object's older versions that ended without the store's word, and that the store, or something
 * before it, may still carry out. Such a put would replace a newer version that the store has confirmed. Pure.
 */
import type { HostUs } from '../../kernel/time.ts';

/** A store that has not carried out a put so long after we gave it up will not do so any more. */
const LATE_MS = 10_000;

type Version = { text: string; us: HostUs };

export class LatePuts {
  /** The newest version whose put ended without an answer, and when. */
  #unheard: Version | undefined;
  /** When the put of any older version ended so. */
  #olderUs: HostUs | undefined;
  #stored: Version | undefined;

  /** A put of this version ended without an answer at `us`. */
  note(text: string, us: HostUs): void {
    this.#passOver(text);
    this.#unheard = { text, us };
  }

  /** The store has this version, whose put began at `us`. */
  store(text: string, us: HostUs): void {
    this.#passOver(text);
    this.#stored = { text, us };
  }

  /**
   * From when on the version that the store has must be put once more, since another one may come after it until then;
   * undefined when none can. A late put of the same text does no harm, so that once more is enough.
   */
  get againAtUs(): HostUs | undefined {
    if (this.#olderUs === undefined || !this.#stored) return undefined;
    const endUs = this.#olderUs + LATE_MS * 1000;
    return endUs > this.#stored.us ? endUs : undefined;
  }

  #passOver(text: string): void {
    if (!this.#unheard || this.#unheard.text === text) return;
    this.#olderUs = this.#unheard.us;
    this.#unheard = undefined;
  }
}
