/**
 * Admission: whether the machine can carry one more recording. A recording that was let in counts from that moment,
 * before it has a recorder.
 */

import type { Plan } from '../contract/line/plan.ts';
import type { Clock } from '../kernel/clock.ts';
import type { HostUs } from '../kernel/time.ts';
import { type Limits, type Machine, type Running, refusalOf } from './cost.ts';

export type AdmissionOptions = {
  clock: Clock;
  limits: Limits;
  machine(): Machine;
  /** Recordings that have a recorder, by sid. */
  running(): ReadonlyMap<string, Running>;
  /** Whether there is a process that a recording would come into. */
  joins(plan: Plan): boolean;
  /** Why the spool takes no more of an app, in words; undefined when it does. */
  spoolRefusalOf(appid: string): string | undefined;
};

/** A recording that has no recorder by then has failed. */
const FORGET_US = 60_000_000;

export class Admission {
  #options: AdmissionOptions;
  #letIn = new Map<string, { plan: Plan; joins: boolean; atUs: HostUs }>();

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Why this recording cannot be begun, in words; undefined when it is let in. */
  refusalOf(plan: Plan, appid: string): string | undefined {
    const { clock, limits, machine, running, joins: joinsNow, spoolRefusalOf } = this.#options;
    const nowUs = clock.monoUs();
    const all = new Map(running());
    for (const [sid, { plan, joins, atUs }] of this.#letIn)
      if (all.has(sid) || nowUs - atUs > FORGET_US) this.#letIn.delete(sid);
      else all.set(sid, { plan, joins, seen: undefined });
    const joins = joinsNow(plan);
    const refusal = refusalOf(plan, [...all.values()], machine(), limits, joins) ?? spoolRefusalOf(appid);
    if (refusal === undefined) this.#letIn.set(plan.sid, { plan, joins, atUs: nowUs });
    return refusal;
  }

  /** Forgets a recording that failed to begin, or that has a recorder and counts by itself. */
  forget(sid: string): void {
    this.#letIn.delete(sid);
  }
}
