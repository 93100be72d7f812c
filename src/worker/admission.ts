/**
 * Admission: whether the machine can carry one more recording. A recording that was let in counts from that moment,
 * before it has a recorder.
 */

import type { Plan } from '../contract/line/plan.ts';
import type { Clock } from '../kernel/clock.ts';
import type { HostUs } from '../kernel/time.ts';
import { type Cost, capacityOf, type Limits, loadOf, type Machine, type Running, refusalOf } from './cost.ts';

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
    const { clock, limits, machine, joins: joinsNow, spoolRefusalOf } = this.#options;
    const joins = joinsNow(plan);
    const refusal = refusalOf(plan, this.#carried(), machine(), limits, joins) ?? spoolRefusalOf(appid);
    if (refusal === undefined) this.#letIn.set(plan.sid, { plan, joins, atUs: clock.monoUs() });
    return refusal;
  }

  /** What the machine has for recordings, and what those take that it carries. */
  carries(): { capacity: Cost; load: Cost } {
    const { machine, limits } = this.#options;
    return { capacity: capacityOf(machine(), limits), load: loadOf(this.#carried()) };
  }

  /** Recordings at work, and those that were let in and are about to be. */
  #carried(): Running[] {
    const { clock, running } = this.#options;
    const nowUs = clock.monoUs();
    const all = new Map(running());
    for (const [sid, { plan, joins, atUs }] of this.#letIn)
      if (all.has(sid) || nowUs - atUs > FORGET_US) this.#letIn.delete(sid);
      else all.set(sid, { plan, joins, seen: undefined });
    return [...all.values()];
  }

  /** Forgets a recording that failed to begin, or that has a recorder and counts by itself. */
  forget(sid: string): void {
    this.#letIn.delete(sid);
  }
}
