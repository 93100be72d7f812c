/**
 * IdleWatch: how long the channel has been without users. Pure; times are monotonic microseconds.
 */
export class IdleWatch {
  #emptySinceUs: number | undefined;

  /** @param nowUs the moment the recorder joined; a channel that stays empty is idle from then on */
  constructor(nowUs: number) {
    this.#emptySinceUs = nowUs;
  }

  /** Told after every change of presence. */
  onPresence(users: number, atUs: number): void {
    if (users > 0) this.#emptySinceUs = undefined;
    else this.#emptySinceUs ??= atUs;
  }

  /** Since when nobody is there, or undefined when somebody is. */
  get emptySinceUs(): number | undefined {
    return this.#emptySinceUs;
  }

  /** True when nobody was there for `maxIdleMs`. */
  isExpired(nowUs: number, maxIdleMs: number): boolean {
    return this.#emptySinceUs !== undefined && nowUs - this.#emptySinceUs >= maxIdleMs * 1000;
  }
}
