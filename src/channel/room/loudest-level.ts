/**
 * LoudestLevel: the loudest level that packets told within about the last second. Whoever looks now and then sees who
 * speaks, and not the pause between two words.
 */
import type { HostUs } from '../../kernel/time.ts';

const SPAN_US = 500_000;

export class LoudestLevel {
  #sinceUs = Number.NEGATIVE_INFINITY;
  #now: number | undefined;
  #former: number | undefined;

  /** @param levelDbov 0 to -127 @param atUs monotonic microseconds, never less than before */
  add(levelDbov: number, atUs: HostUs): void {
    this.#advance(atUs);
    this.#now = this.#now === undefined ? levelDbov : Math.max(this.#now, levelDbov);
  }

  /** Undefined when nothing was told lately. */
  at(nowUs: HostUs): number | undefined {
    this.#advance(nowUs);
    if (this.#now === undefined || this.#former === undefined) return this.#now ?? this.#former;
    return Math.max(this.#now, this.#former);
  }

  #advance(nowUs: HostUs): void {
    if (nowUs - this.#sinceUs < SPAN_US) return;
    this.#former = nowUs - this.#sinceUs < 2 * SPAN_US ? this.#now : undefined;
    this.#now = undefined;
    this.#sinceUs = nowUs;
  }
}
