/**
 * Changes of a running recording as its task keeps them: the newest one by one, so that a run that begins anew makes
 * each hold from the same moment on; older ones are part of the plan.
 */
import type { Change, ChangeCommand } from '../contract/line/commands.ts';
import { type OverlaysChange, withOverlays } from '../contract/line/overlays.ts';
import type { Plan } from '../contract/line/plan.ts';
import { type HostUs, type RecordingUs, toHost } from '../kernel/time.ts';

/** A change and its moment, which is the recording's: a host's means nothing after a restart. */
export type KeptChange = { atUs: RecordingUs; change: Change };
/** The plan as it was before `changes`. */
export type ChangedPlan = { before: Plan; changes: readonly KeptChange[] };

/** A new run goes on some seconds before the end of the one before it, never so far. */
const KEEP_US = 60_000_000;
/** Whoever changes things more often than this within a minute has the oldest hold from the run's beginning. */
const MAX_KEPT = 100;

/** Adds changes; what is too old, or too much, goes into the plan. */
export function keepChanges(
  { before, changes }: ChangedPlan,
  added: readonly KeptChange[],
  nowUs: RecordingUs,
): ChangedPlan {
  const all = [...changes, ...added];
  const kept = all.filter(({ atUs }) => atUs > nowUs - KEEP_US).slice(-MAX_KEPT);
  const folded = all.slice(0, all.length - kept.length);
  return { before: folded.reduce((plan, { change }) => changed(plan, change), before), changes: kept };
}

/** The plan with all its changes. */
export function planAfter({ before, changes }: ChangedPlan): Plan {
  return changes.reduce((plan, { change }) => changed(plan, change), before);
}

/** The changes as Commands of a recording whose zero is at `zeroMonoUs`. */
export function toCommands(changes: readonly KeptChange[], zeroMonoUs: HostUs): ChangeCommand[] {
  return changes.map(({ atUs, change }) => ({ ...change, atMonoUs: toHost(atUs, zeroMonoUs) }));
}

/** The whole of a composite's overlays with a change made to some; nothing where there is no picture. */
export function overlaysChanged(plan: Plan, change: OverlaysChange): Change[] {
  if (plan.mode !== 'mix' || !plan.video) return [];
  return [{ type: 'changeOverlays', overlays: withOverlays(plan.video.overlays, change) }];
}

function changed(plan: Plan, change: Change): Plan {
  switch (change.type) {
    case 'changeSubscription':
      return plan.mode === 'web' ? plan : { ...plan, subscribe: change.subscribe };
    case 'changeStereo':
      return plan.mode === 'mix' ? { ...plan, stereo: change.stereo } : plan;
    case 'changeHold':
      return { ...plan, onhold: change.onhold };
    case 'changeOverlays':
      if (plan.mode !== 'mix' || !plan.video) return plan;
      return { ...plan, video: { ...plan.video, overlays: change.overlays } };
    case 'changeLayout': {
      if (plan.mode !== 'mix' || !plan.video) return plan;
      const { type: _type, ...look } = change;
      // It replaces the whole of the old one, whose images go with it.
      const { backgrounds: _old, ...video } = plan.video;
      return { ...plan, video: { ...video, ...look } };
    }
  }
}
