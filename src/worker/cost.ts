/**
 * What recordings cost their machine: what running ones were seen to take, and what a new one is likely to take by its
 * plan. The figures are near what the bench measured, and low enough that what ran together on two cores is still let
 * in.
 */
import type { Plan } from '../contract/line/plan.ts';

/** CPU in cores, memory in bytes. */
export type Cost = { cores: number; bytes: number };
/**
 * A recording at work; `seen` is absent while it has not been watched for long enough. `isDegraded`: the machine is too
 * slow for its whole picture (ADR 0023). `joins`: it came into a process that was there for others (ADR 0024).
 */
export type Running = { plan: Plan; seen: Cost | undefined; isDegraded?: boolean; joins?: boolean };
/** What the machine has for all recordings together, and how much of its memory and its spool's disk is free now. */
export type Machine = { cores: number; freeBytes: number; totalBytes: number; freeSpoolBytes: number };
export type Limits = {
  /** Share of all cores that recorders may use together. 0 sets no limit. */
  cpuPercent: number;
  /** Share of the memory that everything on the machine may use together. 0 sets no limit. */
  memoryPercent: number;
  /** Free space that the spool's disk must keep. 0 sets no limit. */
  spoolFreeBytes: number;
};

const MB = 1_000_000;
/** The figures that estimates are made of; `npm run bench -- cost-model` measures the same. */
export const COST_MODEL = {
  /** A composite: a base, sound, and each pixel that is composed and encoded. */
  mix: { cores: 0.06, coresPerPixelPerS: 1.4e-8, bytes: 95 * MB, bytesPerPixel: 85 },
  /**
   * A recording of single users, or of snapshots alone, by the user; how many users will come is not known. `joining`:
   * what it takes besides its users where the process is there already.
   */
  individual: {
    ...{ cores: 0.025, coresPerUser: 0.02, coresPerSnapshots: 0.01, likelyUsers: 2, bytes: 70 * MB },
    joining: { cores: 0.005, bytes: 12 * MB },
  },
  /** A web page: reading, converting and encoding each pixel of its screen. */
  web: { coresPerPixelPerS: 2.1e-8, bytes: 165 * MB, bytesPerPixel: 85 },
  /** Chromium, its screen and its sound. */
  pagePrograms: { cores: 0.4, bytes: 500 * MB },
  /** The process that pushes a page live. */
  push: { cores: 0.01, bytes: 40 * MB },
};

/** What a recording is likely to cost by its plan. @param joins as of Running */
export function estimate(plan: Plan, joins = false): Cost {
  if (plan.mode === 'individual') {
    const { coresPerUser, coresPerSnapshots, likelyUsers, joining } = COST_MODEL.individual;
    const { cores, bytes } = joins ? joining : COST_MODEL.individual;
    const perUser = plan.streamMode === 'none' ? coresPerSnapshots : coresPerUser;
    return { cores: cores + perUser * Math.min(likelyUsers, plan.maxUsers), bytes };
  }
  const { width, height, fps } = plan.video ?? { width: 0, height: 0, fps: 0 };
  const pixels = width * height;
  if (plan.mode === 'web') {
    const { web, pagePrograms } = COST_MODEL;
    const push = plan.pushed ? COST_MODEL.push : { cores: 0, bytes: 0 };
    return {
      cores: pagePrograms.cores + push.cores + pixels * fps * web.coresPerPixelPerS,
      bytes: pagePrograms.bytes + push.bytes + web.bytes + pixels * web.bytesPerPixel,
    };
  }
  const { mix } = COST_MODEL;
  return {
    cores: mix.cores + pixels * fps * mix.coresPerPixelPerS,
    bytes: mix.bytes + pixels * mix.bytesPerPixel,
  };
}

/**
 * What a recording at work takes: what was seen of it, or else its estimate. One of which a part is left out takes less
 * than it should, and is to have the rest back.
 */
function costOf({ plan, seen, isDegraded, joins }: Running): Cost {
  const estimated = estimate(plan, joins);
  if (!seen) return estimated;
  return isDegraded ? { ...seen, cores: Math.max(seen.cores, estimated.cores) } : seen;
}

/** What recordings take together, as they count for whether one more is let in. */
export function loadOf(running: Iterable<Running>): Cost {
  const load = { cores: 0, bytes: 0 };
  for (const each of running) {
    const { cores, bytes } = costOf(each);
    load.cores += cores;
    load.bytes += bytes;
  }
  return load;
}

/** What recordings may take together: all that the machine has where there is no limit. */
export function capacityOf({ cores, totalBytes }: Machine, { cpuPercent, memoryPercent }: Limits): Cost {
  const share = (percent: number) => (percent > 0 ? percent / 100 : 1);
  return { cores: cores * share(cpuPercent), bytes: totalBytes * share(memoryPercent) };
}

/** Why the machine cannot carry one more recording, in words; undefined when it can. @param joins as of Running */
export function refusalOf(
  plan: Plan,
  running: readonly Running[],
  machine: Machine,
  limits: Limits,
  joins = false,
): string | undefined {
  const own = estimate(plan, joins);
  const { cpuPercent, memoryPercent, spoolFreeBytes } = limits;

  const coresTaken = loadOf(running).cores;
  const coresAllowed = (machine.cores * cpuPercent) / 100;
  if (cpuPercent > 0 && coresTaken + own.cores > coresAllowed)
    return `${running.length} recordings take ${cores(coresTaken)}, this one is likely to take ${cores(own.cores)}, and ${cores(coresAllowed)} are allowed (admissionCpuPercent)`;

  // Recordings that have just begun do not use yet what they are going to take.
  const bytesToCome = running.reduce((sum, { plan, seen, joins }) => sum + (seen ? 0 : estimate(plan, joins).bytes), 0);
  const bytesFree = machine.freeBytes - (machine.totalBytes * (100 - memoryPercent)) / 100 - bytesToCome;
  if (memoryPercent > 0 && own.bytes > bytesFree)
    return `this recording is likely to take ${megabytes(own.bytes)} of memory, and ${megabytes(bytesFree)} are free for it (admissionMemoryPercent)`;

  if (spoolFreeBytes > 0 && machine.freeSpoolBytes < spoolFreeBytes)
    return `the spool's disk has ${megabytes(machine.freeSpoolBytes)} free, and keeps ${megabytes(spoolFreeBytes)} (admissionSpoolMb)`;
  return undefined;
}

const cores = (n: number) => `${n.toFixed(2)} cores`;
const megabytes = (bytes: number) => `${Math.max(0, Math.floor(bytes / MB))} MB`;
