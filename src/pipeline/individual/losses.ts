/**
 * Losses: what could not be written of users, gathered so that it is told now and then, and not for each sample.
 */

/** What could not be written is told this often, microseconds of the recording. */
const TELL_US = 1_000_000;

export class Losses {
  readonly #tell: (what: string, count: number) => void;
  readonly #lost = new Map<string, number>();
  #toldUs = 0;

  constructor(tell: (what: string, count: number) => void) {
    this.#tell = tell;
  }

  /** @param what could not be written of the user's files, in words */
  add(uid: string, what: string): void {
    const told = `files of user ${uid} lack something: ${what}`;
    this.#lost.set(told, (this.#lost.get(told) ?? 0) + 1);
  }

  /** Tells what there is, once it is time. @param nowUs of the recording */
  step(nowUs: number): void {
    if (nowUs - this.#toldUs < TELL_US) return;
    this.#toldUs = nowUs;
    this.flush();
  }

  flush(): void {
    for (const [what, count] of this.#lost) this.#tell(what, count);
    this.#lost.clear();
  }
}
