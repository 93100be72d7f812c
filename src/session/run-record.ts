/**
 * RunRecord: what is kept of one run of a task, so that the next server knows which numbers are used and which process
 * may still be at work (ADR 0012).
 */
import { type Stretch, stretchOf } from '../contract/line/stretches.ts';

/** A process, told apart from a later one that got the same number. */
export type ProcessIdentity = {
  pid: number;
  /**
   * Clock ticks from the machine's start to the process's (field 22 of /proc/PID/stat); undefined where that is not
   * known.
   */
  startTicks: number | undefined;
  /** Which start of the machine the process belongs to; undefined where that is not known. */
  bootId: string | undefined;
};

/** `record`: reads the source; `complete`: makes what is made of the whole afterwards. */
type RunKind = 'record' | 'complete';
type RunPhase = 'starting' | 'running' | 'ended';

export type RunRecord = {
  /** From 1; each run of a task has the next number, of whatever kind. */
  generation: number;
  kind: RunKind;
  phase: RunPhase;
  /** Absent until the process exists. */
  process: ProcessIdentity | undefined;
  startedMs: number;
  endedMs: number | undefined;
  /** Why it ended, in words. */
  why: string | undefined;
};

/** A run of a task that was claimed. */
export type FormerRun = RunRecord & {
  /** The data folder of the node that made it; absent where that is this server's own. */
  elsewhere?: string | undefined;
};

/**
 * The stretches of a recording whose next run is made here: empty where only this server's folder has ever had it.
 * @param runs oldest first
 * @param next the number of the next run
 * @param spooled the runs that have a folder here: what was stored and removed is known as other nodes' files are
 */
export function stretchesOf(runs: readonly FormerRun[], next: number, spooled: readonly number[]): Stretch[] {
  const stretches: (Stretch & { folder: string | undefined })[] = [];
  for (const { generation, elsewhere } of [...runs, { generation: next, elsewhere: undefined }])
    if (stretches.length === 0 || stretches.at(-1)?.folder !== elsewhere)
      stretches.push({ from: generation, isHere: elsewhere === undefined, folder: elsewhere });
  if (stretches.length < 2) return [];
  return stretches.map(({ from, isHere }, n) => ({
    from,
    isHere: isHere && (n === stretches.length - 1 || spooled.some((run) => stretchOf(stretches, run) === n)),
  }));
}
