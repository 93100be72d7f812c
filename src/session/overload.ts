/** Overload: why this machine begins no recording that another may begin. */
import type { Plan } from '../contract/line/plan.ts';
import { problem } from '../contract/problems.ts';
import type { Fault } from '../kernel/fault.ts';

export class Overload extends Error {
  readonly plan: Plan;

  /** @param why in words */
  constructor(why: string, plan: Plan) {
    super(why);
    this.plan = plan;
  }
}

/** The refusal of a start that the machine cannot carry. */
export function overloaded(why: string, plan: Plan): Fault {
  return problem('allocate-failed', undefined, { cause: new Overload(why, plan) });
}

/** Whether a start was refused for that; undefined of every other error. */
export function overloadOf(error: unknown): Overload | undefined {
  const { cause } = error instanceof Error ? error : {};
  return cause instanceof Overload ? cause : undefined;
}
