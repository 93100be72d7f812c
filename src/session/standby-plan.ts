/** Of which recordings a second recorder can make the same, and what of a plan it does (ADR 0037, 0042). Pure. */
import type { IndividualPlan, MixPlan, Plan } from '../contract/line/plan.ts';
import { takesOnlySnapshots } from './task.ts';

/** A page is loaded by one recorder alone, and where only snapshots are taken there are no slices to go on with. */
export function canStandBy(plan: Plan): plan is MixPlan | IndividualPlan {
  return plan.mode !== 'web' && !takesOnlySnapshots(plan);
}

/** What a standby makes: slices alone. Snapshots are for one recorder, and what is made of the whole is made later. */
export function asStandby<P extends MixPlan | IndividualPlan>(plan: P): P {
  if (plan.mode === 'mix') return plan;
  const { snapshots: _none, ...slices } = plan;
  return { ...slices, extras: { mp4: false, manifest: false } } as P;
}
