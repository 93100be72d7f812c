/**
 * Stretches of a recording: the runs of each are made on one node, with one data folder. Within a stretch each run goes
 * on from the files of the one before; the first run of another stretch begins anew, because what was recorded so far
 * lies on another node's disk (ADR 0027). Pure.
 */

export type Stretch = {
  /** The number of its first run. */
  from: number;
  /** Whether its files lie on this node's spool. */
  isHere: boolean;
};

/** The position of a run's stretch; 0 too where there are none, as in a recording that only one node has ever had. */
export function stretchOf(stretches: readonly Stretch[], generation: number): number {
  return Math.max(
    0,
    stretches.findLastIndex(({ from }) => from <= generation),
  );
}

/** Whether a run was made on another node; false for objects of versions that did not keep their run. */
export function isElsewhere(stretches: readonly Stretch[], generation: number | undefined): boolean {
  return generation !== undefined && stretches[stretchOf(stretches, generation)]?.isHere === false;
}
