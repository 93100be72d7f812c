/** The layouts that follow the active speaker: one user large, and the others beside or not shown. Pure. */
import type { Layout } from '../../../contract/line/plan.ts';

/**
 * The layout of a moment.
 * @param kind `large` shows the others beside, as the vertical layout does; `alone` does not show them
 * @param recent users who have spoken, the last one first
 * @param uids those who may have a place, in join order; while none of them has spoken the first is large
 */
export function speakerLayout(kind: 'large' | 'alone', recent: readonly string[], uids: readonly string[]): Layout {
  const there = new Set(uids);
  const large = recent.find((uid) => there.has(uid)) ?? uids[0];
  if (large === undefined) return { kind: 'bestFit' };
  // A single user needs no room at the side.
  if (kind === 'large' && uids.length > 1) return { kind: 'vertical', maxResolutionUid: large };
  return { kind: 'custom', regions: [{ uid: large, x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'fit' }] };
}
