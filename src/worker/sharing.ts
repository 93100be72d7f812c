/**
 * Sharing: which recordings share a recorder process, and which process takes one more (ADR 0024). A recording whose
 * process has died with others in it goes alone from then on, so that one that kills its process kills no other twice.
 */
import type { Plan } from '../contract/line/plan.ts';

/** A process, as far as it matters for who comes into it. */
export type SharedProcess = {
  readonly runs: readonly {
    readonly start: { plan: Plan; shared?: true | undefined };
    readonly pong?: Late | undefined;
  }[];
  /** Whether it can take a run of this recording at all. */
  takes(sid: string): boolean;
};
type Late = { lagUs: number };

/** How many users of a recording go into one place. */
const USERS_PER_PLACE = 2;
/** A process that is this late has enough to do. One that has just begun may be late for a second or two. */
const LATE_US = 3_000_000;
/** So many recordings that may have killed their process are remembered, the latest. */
const MAX_SUSPECTS = 10_000;

export class Sharing {
  readonly #places: number;
  readonly #suspects = new Set<string>();

  /** @param places recordings of two users in one process; 1: none share */
  constructor(places: number) {
    this.#places = places;
  }

  /**
   * Whether a recording may share a process. Those that only pass on what they receive may: they take little, and
   * decode no pictures of strangers.
   */
  mayShare(plan: Plan): boolean {
    return (
      plan.mode === 'individual' &&
      plan.snapshots === undefined &&
      !this.#suspects.has(plan.sid) &&
      plan.maxUsers <= this.#places
    );
  }

  /**
   * The process that a recording which may share comes into: of those with room the fullest, so that others become
   * empty and end. Undefined when none has room.
   */
  find<P extends SharedProcess>(plan: Plan, processes: Iterable<P>): P | undefined {
    let fullest: P | undefined;
    let most = 0;
    for (const process of processes) {
      const { runs } = process;
      const taken = runs.reduce((sum, { start }) => sum + placesOf(start.plan), 0);
      const isOpen =
        runs.length > 0 && runs.every(({ start, pong }) => start.shared && !((pong?.lagUs ?? 0) > LATE_US));
      if (!isOpen || !process.takes(plan.sid) || taken + placesOf(plan) > this.#places || taken <= most) continue;
      fullest = process;
      most = taken;
    }
    return fullest;
  }

  /** A process has died, maybe of one of these recordings. */
  suspect(sids: readonly string[]): void {
    for (const sid of sids) {
      this.#suspects.delete(sid);
      this.#suspects.add(sid);
    }
    for (const sid of this.#suspects) {
      if (this.#suspects.size <= MAX_SUSPECTS) break;
      this.#suspects.delete(sid);
    }
  }
}

/** How many places a recording takes: one, or as many as its users may need. */
function placesOf(plan: Plan): number {
  return plan.mode === 'individual' ? Math.max(1, plan.maxUsers / USERS_PER_PLACE) : Number.POSITIVE_INFINITY;
}
