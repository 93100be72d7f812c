/**
 * The order in which processes get the CPU when there is too little for all (ADR 0044). What cannot be made again comes
 * first: the server, which receives packets, and pages, which play. Recorders read what the server has written, so
 * that being late costs them nothing; what somebody wants afterwards waits for both.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { type Clock, sleep, systemClock } from './clock.ts';

/** As of `nice`, added to that of the server. */
export const NICENESS = {
  /** Recorders of composites and of single users, and what finishes their files or cuts out of them. */
  recorder: 10,
  /** Mixes of recordings that are over, and thumbnails. */
  afterwards: 19,
} as const;

/** Linux lets one process of those who are not root be lowered each 100 ms. */
const SESSION_TRIES = 50;
const SESSION_AGAIN_MS = 110;

/**
 * Lowers the priority of all threads of this process, and of its session where Linux shares out the CPU among sessions
 * (sched(7), autogroup): there the priority of a process counts within its own session alone. A session that somebody
 * else leads, such as the shell of whoever typed a command, is left as it is. To be called before anything is loaded
 * that begins threads, which inherit it.
 * @param niceness added to what the process has
 */
export function giveWay(niceness: number): void {
  const least = Math.min(getPriority() + niceness, constants.priority.PRIORITY_LOW);
  lowerPriority('self', least);
  if (leadsSession()) void lowerSession(least, systemClock);
}

/** Lowers the priority of all threads of a process, and with it that of those to come. @param niceness as of `nice` */
export function lowerPriority(pid: number | 'self', niceness: number): void {
  for (const thread of threadsOf(pid)) {
    try {
      setPriority(thread, niceness);
    } catch (error) {
      // It has ended since.
      if ((error as { code?: string }).code !== 'ERR_SYSTEM_ERROR') throw error;
    }
  }
}

/** Whether this process leads its session (proc(5)). */
function leadsSession(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // Behind the program's name, which may hold spaces: the state, the parent, the group, the session.
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === process.pid;
  } catch {
    return false;
  }
}

async function lowerSession(niceness: number, clock: Clock): Promise<void> {
  for (let tries = 0; tries < SESSION_TRIES; tries++) {
    try {
      writeFileSync('/proc/self/autogroup', String(niceness));
      return;
    } catch (error) {
      // A system without sessions that share, or one that lets nobody write there, needs nothing of it.
      if ((error as { code?: string }).code !== 'EAGAIN') return;
    }
    await sleep(clock, SESSION_AGAIN_MS);
  }
}

function threadsOf(pid: number | 'self'): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map(Number);
  } catch {
    return []; // the process has ended since
  }
}
