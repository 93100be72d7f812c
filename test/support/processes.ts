/**
 * What Linux tells of a server's processes from outside: which are there, which recorder writes which recording, and
 * how to be sure that one of them is the one it was.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';

/** A pid alone may be given to another process later; with its start it names one process for good. */
export type ProcessRef = {
  pid: number;
  /** When it was started, clock ticks since the machine was (field 22 of proc(5)'s stat). */
  startTicks: number;
  /** Its command line. */
  args: string[];
};

/** Names a server's data folder to all that it starts; its settings are not handed on. */
export const STARTED_FOR = 'STARTED_FOR_DATA_DIR';

/** All processes of a server that a test started with this data folder: itself, and what it started. */
export function processesOf(dataDir: string): ProcessRef[] {
  return listPids().flatMap((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      return environment.includes(`${STARTED_FOR}=${dataDir}`) ? [refOf(pid)] : [];
    } catch {
      return []; // ended while we looked, or is another user's
    }
  });
}

/** The recorder process that has files of this recording open; undefined when there is none at this moment. */
export function recorderOf(dataDir: string, sid: string): ProcessRef | undefined {
  return workersOf(dataDir, sid).find(({ args }) => args.includes('recorder'));
}

/**
 * All processes that have files of this recording open, but for the server: who records it, and who makes it whole
 * after its end.
 */
export function workersOf(dataDir: string, sid: string): ProcessRef[] {
  const folder = join(dataDir, 'spool', sid);
  return processesOf(dataDir).filter(({ pid, args }) => !args.includes('serve') && hasOpen(pid, folder));
}

/** All processes that have each of these words in their command line. */
export function processesNaming(...words: string[]): ProcessRef[] {
  return listPids().flatMap((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return words.every((word) => line.includes(word)) ? [refOf(pid)] : [];
    } catch {
      return []; // ended while we looked
    }
  });
}

/** Where the runs of a server have their pages. */
export function pagesRoot(dataDir: string): string {
  const identity = readFileSync(join(dataDir, 'folder-id'), 'utf8').trim();
  return join(tmpdir(), `aircheck-pages-${identity.slice(0, 16)}`);
}

/** Pids of the direct children of a process. */
export function childrenOf(parent: number): number[] {
  return listPids().filter((pid) => {
    try {
      return Number(statOf(pid)[1]) === parent;
    } catch {
      return false; // ended while we looked
    }
  });
}

/** Pids of all processes that a process started, directly or by way of others that are still there. */
export function descendantsOf(parent: number): number[] {
  return childrenOf(parent).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Pids of the recorders that a server has, at work and waiting. */
export function recordersOf(server: number): number[] {
  return descendantsOf(server).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes('recorder');
    } catch {
      return false; // ended while we looked
    }
  });
}

/** True while this process, and no later one with its number, is there and has not ended. */
export function isAlive({ pid, startTicks }: ProcessRef): boolean {
  try {
    const fields = statOf(pid);
    return fields[0] !== 'Z' && Number(fields[19]) === startTicks;
  } catch {
    return false;
  }
}

/** Sends a signal to this process, and to no later one with its number. Returns whether it was there. */
export function signal(process_: ProcessRef, name: NodeJS.Signals): boolean {
  if (!isAlive(process_)) return false;
  process.kill(process_.pid, name);
  return true;
}

function hasOpen(pid: number, folder: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith(`${folder}/`));
  } catch {
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed while we looked
  }
}

function refOf(pid: number): ProcessRef {
  const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  return { pid, startTicks: Number(statOf(pid)[19]), args };
}

/** The fields of proc(5)'s stat from the state on, which is the third. */
function statOf(pid: number): string[] {
  // The name in brackets may hold spaces and brackets; fields are counted from behind it.
  return (readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1) ?? '').split(' ');
}

function listPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** What `nice` says of each thread of these processes. */
export function nicenesses(...pids: number[]): Set<number> {
  const threads = pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`));
  return new Set(threads.map((thread) => getPriority(Number(thread))));
}

/** What `nice` says of the sessions of these processes, where Linux shares out the CPU among those (sched(7)). */
export function sessionNicenesses(...pids: number[]): Set<number> {
  const found = new Set<number>();
  for (const pid of pids) {
    const path = `/proc/${pid}/autogroup`;
    const nice = existsSync(path) ? /nice (-?\d+)/.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
    if (nice !== undefined) found.add(Number(nice));
  }
  return found;
}
