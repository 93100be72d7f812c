/**
 * IdleWatch: how long the channel has been without users. Pure; times are monotonic microseconds.
 */
import type { HostUs } from '../../kernel/time.ts';

export class IdleWatch {
  #emptySinceUs: HostUs | undefined;

  /** @param nowUs when the recorder joined; a channel that stays empty is idle from then on */
  constructor(nowUs: HostUs) {
    this.#emptySinceUs = nowUs;
  }

  /** Called after every change of presence. */
  onPresence(users: number, atUs: HostUs): void {
    if (users > 0) this.#emptySinceUs = undefined;
    else this.#emptySinceUs ??= atUs;
  }

  /** Since when nobody is there, or undefined when somebody is. */
  get emptySinceUs(): HostUs | undefined {
    return this.#emptySinceUs;
  }

  /** True when nobody was there for `maxIdleMs`. */
  isExpired(nowUs: HostUs, maxIdleMs: number): boolean {
    return this.#emptySinceUs !== undefined && nowUs - this.#emptySinceUs >= maxIdleMs * 1000;
  }
}
