/**
 * What Linux tells of processes: CPU time, memory; and of the machine.
 */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { childrenOf } from '../test/support/processes.ts';

/** Clock ticks per second of /proc/<pid>/stat; 100 on every Linux that Node runs on. */
const TICKS = 100;

function statOf(pid: number): string[] {
  // The name in brackets may hold spaces; fields are counted from behind it.
  return (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '').split(' ');
}

/** CPU seconds that the process used so far, user and system, all threads. */
export function cpuSecondsOf(pid: number): number {
  const fields = statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/**
 * Cores that a process and its children use from this call to the call of what it returns. A child that ends meanwhile
 * is left out, and one that begins counts from its beginning.
 */
export function meterOf(pid: number): () => number {
  const before = new Map([pid, ...childrenOf(pid)].map((each) => [each, cpuNsOf(each)]));
  const began = performance.now();
  return () => {
    const ms = performance.now() - began;
    const now = [pid, ...childrenOf(pid)].map((each) => Math.max(0, cpuNsOf(each) - (before.get(each) ?? 0)));
    return now.reduce((sum, ns) => sum + ns, 0) / 1e6 / ms;
  };
}

/** To the nanosecond, where /proc/<pid>/stat counts hundredths of a second. */
function cpuNsOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
  } catch {
    return 0; // It ended meanwhile.
  }
}

/** The most memory the process ever held, MB (VmHWM). */
export function peakMemoryMbOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmHWM:\s+(\d+) kB$/m);
  return Number(line?.[1] ?? Number.NaN) / 1024;
}

/** Memory of the process, MB, of which what it shares counts in part (PSS). */
export function pssMbOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8').match(/^Pss:\s+(\d+) kB$/m);
  return Number(line?.[1] ?? Number.NaN) / 1024;
}

/** The recorder that records: others may wait, ready for the next recording. */
export function busiestOf(recorders: readonly number[]): number {
  const [busiest] = recorders.toSorted((a, b) => cpuSecondsOf(b) - cpuSecondsOf(a));
  if (busiest === undefined) throw new Error('the server has no recorder process');
  return busiest;
}

/** Seconds that the machine's cores were busy since it started, all together. */
export function busyCoreSeconds(): number {
  // user nice system idle iowait irq softirq steal
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (
    readFileSync('/proc/stat', 'utf8').match(/^cpu +(.*)$/m)?.[1] ?? ''
  )
    .split(' ')
    .map(Number);
  return (user + nice + system + irq + softirq) / TICKS;
}

/** The machine and how busy it is, in one line. */
export function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor';
  const memoryGb = (totalmem() / 2 ** 30).toFixed(0);
  const load = loadavg().map((l) => l.toFixed(2));
  return `${cpus().length} × ${model}, ${memoryGb} GB, Node ${process.version}; load ${load.join(' ')}`;
}
