/**
 * Tells a process from a later one that got the same number: by when it began, and in which start of the machine
 * (Linux).
 */
import { readFileSync } from 'node:fs';
import type { ProcessIdentity } from '../session/run-record.ts';

/** Which start of the machine this is; undefined where the system does not say. */
export function readBootId(): string | undefined {
  return read('/proc/sys/kernel/random/boot_id')?.trim();
}

/** The identity of a process; undefined when none has that number. */
export function identityOf(pid: number): ProcessIdentity | undefined {
  const bootId = readBootId();
  if (bootId === undefined) return isThere(pid) ? { pid, startTicks: undefined, bootId } : undefined;
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the command in parentheses, and may hold spaces and parentheses itself.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  // A process that has ended does nothing any more, even while its parent has not asked how it ended.
  if (state === 'Z' || state === 'X') return undefined;
  return { pid, startTicks: Number(fields[22 - 3]), bootId };
}

/**
 * Whether that very process still runs. Where the system does not say when a process began, any with its number counts.
 */
export function isAlive(identity: ProcessIdentity): boolean {
  const found = identityOf(identity.pid);
  if (!found) return false;
  return identity.startTicks === undefined || isSame(found, identity);
}

/** Ends the process and its whole group by force. Does nothing unless it is surely that very process. */
export function killGroup(identity: ProcessIdentity): void {
  const found = identityOf(identity.pid);
  if (!found || identity.startTicks === undefined || !isSame(found, identity)) return;
  signalGroup(identity.pid, 'SIGKILL');
}

/** Signals a group whose leader has, or had, this pid. Does nothing when the group is gone. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalProcess(-pid, signal);
}

/** Signals the process with this pid. Does nothing when it is gone, as it may be since it was last looked for. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function isSame(a: ProcessIdentity, b: ProcessIdentity): boolean {
  return a.startTicks === b.startTicks && a.bootId === b.bootId;
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process belongs to another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
