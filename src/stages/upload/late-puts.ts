/**
 * LatePuts: puts of older versions of an object that ended without the store's answer, and that the store, or something
 * before it, may still carry out. Such a put would replace a newer version that the store has confirmed. Pure.
 */
import type { HostUs } from '../../kernel/time.ts';

/** When a store has not carried out a put this long after we gave it up, it never will. */
const LATE_MS = 10_000;

type Version = { text: string; us: HostUs };

export class LatePuts {
  /** The newest version whose put ended without an answer, and when. */
  #unheard: Version | undefined;
  /** When the put of any older version ended without an answer. */
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
   * When the version in the store must be put once more, because until then an older one may replace it; undefined when
   * none can. A late put of the same text is harmless, so once more is enough.
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
