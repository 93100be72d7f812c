/**
 * RunRecord: what is kept of one run of a task, so that the next server knows which numbers are used and which process
 * may still be at work (ADR 0012).
 */

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
