/**
 * What the machine has, and how much of it this server may use: a container's limits count where they are lower (cgroup
 * v2 and v1).
 */
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { dirname } from 'node:path';
import type { Machine } from './cost.ts';

/** @param spool a folder, which may not exist yet; its disk is that of the nearest folder above that exists */
export function readMachine(spool: string, root = '/'): Machine {
  return { cores: readCores(root), ...readMemory(root), freeSpoolBytes: freeBytesOf(spool) };
}

function freeBytesOf(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch (error) {
    const above = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === folder) throw error;
    return freeBytesOf(above);
  }
}

function readCores(root: string): number {
  const all = availableParallelism();
  const [quota, period] = (read(root, 'sys/fs/cgroup/cpu.max') ?? '').split(' ').map(Number);
  if (quota && period) return Math.min(all, quota / period);
  const oldQuota = Number(read(root, 'sys/fs/cgroup/cpu/cpu.cfs_quota_us'));
  const oldPeriod = Number(read(root, 'sys/fs/cgroup/cpu/cpu.cfs_period_us'));
  return oldQuota > 0 && oldPeriod > 0 ? Math.min(all, oldQuota / oldPeriod) : all;
}

function readMemory(root: string): { freeBytes: number; totalBytes: number } {
  const meminfo = read(root, 'proc/meminfo');
  const line = (name: string) =>
    Number(meminfo?.match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm'))?.[1] ?? Number.NaN) * 1024;
  // Memory that caches files is counted as free: the system gives it back on demand.
  const machine = { totalBytes: line('MemTotal') || totalmem(), freeBytes: line('MemAvailable') || freemem() };
  for (const { max, current, stat } of CGROUPS) {
    const limit = Number(read(root, max));
    const used = Number(read(root, current));
    if (!Number.isFinite(limit) || !Number.isFinite(used) || limit <= 0 || limit >= machine.totalBytes) continue;
    const cached = Number(read(root, stat)?.match(/^(?:total_)?inactive_file (\d+)$/m)?.[1] ?? 0);
    return { totalBytes: limit, freeBytes: Math.min(machine.freeBytes, Math.max(0, limit - (used - cached))) };
  }
  return machine;
}

const CGROUPS = [
  {
    max: 'sys/fs/cgroup/memory.max',
    current: 'sys/fs/cgroup/memory.current',
    stat: 'sys/fs/cgroup/memory.stat',
  },
  {
    max: 'sys/fs/cgroup/memory/memory.limit_in_bytes',
    current: 'sys/fs/cgroup/memory/memory.usage_in_bytes',
    stat: 'sys/fs/cgroup/memory/memory.stat',
  },
];

function read(root: string, path: string): string | undefined {
  try {
    return readFileSync(`${root}${path}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
