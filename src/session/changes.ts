/**
 * Changes of a running recording as its task keeps them. The newest are kept one by one, so that a new run makes each
 * hold from the same moment on; older ones become part of the plan.
 */
import type { Change, ChangeCommand } from '../contract/line/commands.ts';
import { type OverlaysChange, withOverlays } from '../contract/line/overlays.ts';
import type { Plan } from '../contract/line/plan.ts';
import { type HostUs, type RecordingUs, toHost } from '../kernel/time.ts';

/** A change and its moment in the recording's time: a host's time means nothing after a restart. */
export type KeptChange = { atUs: RecordingUs; change: Change };
/** `before`: the plan without `changes`. */
export type ChangedPlan = { before: Plan; changes: readonly KeptChange[] };

/** A new run goes on some seconds before the end of the one before it, never as far back as this. */
const KEEP_US = 60_000_000;
/** When more changes than this come within a minute, the oldest hold from the run's beginning. */
const MAX_KEPT = 100;

/** Adds changes; those that are too old or too many become part of the plan. */
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

/** All overlays of a composite after a change to some of them; undefined where there is no picture. */
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
      // The new look replaces the whole old one, and the old one's images with it.
      const { backgrounds: _old, ...video } = plan.video;
      return { ...plan, video: { ...video, ...look } };
    }
  }
}
