/**
 * OverloadController: which rung of the ladder a recording should be on, by how late it is (ADR 0023). Being late alone
 * is no overload: what waits is caught up with. A recording that is late and does not get less so goes down, soon; one
 * that is in time goes up, after a while, and waits longer and longer before it tries again what failed. Pure; times
 * are microseconds of the host's monotonic clock.
 */
import type { OverloadState } from '../../contract/line/overload-state.ts';
import { type HostUs, US } from '../../kernel/time.ts';

/** When a recording counts as late, and when as in time. Between the two nothing changes. */
export type LagLimits = {
  /** From so much lag on, microseconds. */
  lateLagUs: number;
  /** Up to so much, microseconds. */
  inTimeLagUs: number;
};

/** Late for so long, without getting less late, a recording goes down one rung. */
const DOWN_AFTER_US = 2 * US;
/** A lag that falls by this part of the time that passes is being caught up with. */
const CATCHING_UP = 0.05;
/** Out of time for less than this is a jump, as where media has come that was waited for, and is no news. */
const JUMP_US = US;
/** In time for so long, a recording tries the rung above. */
export const UP_AFTER_US = 10 * US;
/** One that comes down again within so long after it went up had failed, and then waits twice as long as before it. */
export const TRIAL_US = 60 * US;
const MAX_UP_AFTER_US = 320 * US;

export class OverloadController {
  readonly #limits: LagLimits;
  readonly #lowest: number;
  #depth: number;
  /** Since when it is late, and how late it was then. */
  #late: { atUs: HostUs; lagUs: number } | undefined;
  #inTimeFromUs: HostUs | undefined;
  #outOfTimeFromUs: HostUs | undefined;
  #upAfterUs: number;
  #wentUpUs: HostUs | undefined;

  /**
   * @param lowest how deep it may go; 0 keeps it where it is
   * @param depth where it begins: 0 is the whole picture
   * @param state what another one saved, which this one goes on from
   */
  constructor(limits: LagLimits, lowest: number, depth = 0, state?: OverloadState) {
    this.#limits = limits;
    this.#lowest = lowest;
    this.#depth = Math.min(depth, lowest);
    this.#upAfterUs = state?.upAfterUs ?? UP_AFTER_US;
    this.#wentUpUs = state?.wentUpUs;
  }

  save(): OverloadState {
    return { upAfterUs: this.#upAfterUs, wentUpUs: this.#wentUpUs };
  }

  /** How many rungs it is down; 0 is the whole picture. */
  get depth(): number {
    return this.#depth;
  }

  /** Takes how late the recording is at `nowUs`, microseconds, often. Returns whether the rung is another one now. */
  observe(lagUs: number, nowUs: HostUs): boolean {
    this.#endTrial(nowUs);
    if (lagUs <= this.#limits.inTimeLagUs) this.#outOfTimeFromUs = undefined;
    else {
      this.#outOfTimeFromUs ??= nowUs;
      if (nowUs - this.#outOfTimeFromUs >= JUMP_US) this.#inTimeFromUs = undefined;
    }
    if (lagUs >= this.#limits.lateLagUs) return this.#observeLate(lagUs, nowUs);
    this.#late = undefined;
    return this.#outOfTimeFromUs === undefined && this.#observeInTime(nowUs);
  }

  #observeInTime(nowUs: HostUs): boolean {
    this.#inTimeFromUs ??= nowUs;
    if (this.#depth === 0 || nowUs - this.#inTimeFromUs < this.#upAfterUs) return false;
    this.#inTimeFromUs = nowUs;
    this.#wentUpUs = nowUs;
    this.#depth--;
    return true;
  }

  #observeLate(lagUs: number, nowUs: HostUs): boolean {
    this.#late ??= { atUs: nowUs, lagUs };
    const passedUs = nowUs - this.#late.atUs;
    if (passedUs < DOWN_AFTER_US) return false;
    const fellUs = this.#late.lagUs - lagUs;
    // What changes now is judged by what comes after it.
    this.#late = { atUs: nowUs, lagUs };
    if (fellUs >= passedUs * CATCHING_UP || this.#depth >= this.#lowest) return false;
    if (this.#wentUpUs !== undefined) this.#upAfterUs = Math.min(MAX_UP_AFTER_US, this.#upAfterUs * 2);
    this.#wentUpUs = undefined;
    this.#depth++;
    return true;
  }

  /** A rung that held for so long was no failure. */
  #endTrial(nowUs: HostUs): void {
    if (this.#wentUpUs === undefined || nowUs - this.#wentUpUs < TRIAL_US) return;
    this.#wentUpUs = undefined;
    this.#upAfterUs = UP_AFTER_US;
  }
}
