/**
 * HoldLine: when a recording is on hold, in blocks of sound from where its files begin. What is held is in no file:
 * after it they go on as if no time had passed. Holds begin and end between blocks, so that sound and picture agree.
 * Pure.
 */

type Change = { at: number; onhold: boolean };

export class HoldLine {
  /** In order; the first says how it was before all others. */
  #changes: Change[];
  /** Blocks that were held before the first change. */
  #held = 0;

  constructor(onhold: boolean) {
    this.#changes = [{ at: Number.NEGATIVE_INFINITY, onhold }];
  }

  /** From block `at` on, which may lie between two. */
  change(at: number, onhold: boolean): void {
    const from = Math.max(Math.ceil(at), this.#changes.at(-1)!.at);
    this.#changes.push({ at: from, onhold });
  }

  isHeld(at: number): boolean {
    return this.#changes.findLast((change) => change.at <= at)!.onhold;
  }

  /** How many blocks before `at` are in no file. What was held before the files begin is none of them. */
  heldBefore(at: number): number {
    let held = this.#held;
    for (const [i, { at: from, onhold }] of this.#changes.entries()) {
      const to = Math.min(at, this.#changes[i + 1]?.at ?? Number.POSITIVE_INFINITY);
      if (onhold) held += Math.max(0, to - Math.max(0, from));
    }
    return held;
  }

  /** Nothing is asked for before `at` any more. */
  forget(at: number): void {
    while (this.#changes.length > 1 && this.#changes[1]!.at <= at) {
      const [{ at: from, onhold }, next] = this.#changes as [Change, Change];
      if (onhold) this.#held += Math.max(0, next.at - Math.max(0, from));
      this.#changes.shift();
    }
  }
}
