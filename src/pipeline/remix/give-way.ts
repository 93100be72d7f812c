/** The processes that mix recordings afterwards, and that draw thumbnails, give way to those that record. */
import { writeFileSync } from 'node:fs';
import { lowerPriority } from '../../stages/source/page/cpu-share.ts';

/** The lowest there is, as in `nice`. */
const LOWEST = 19;

/**
 * Lowers the priority of all threads of this process, and of its group where Linux shares out the CPU among sessions
 * (sched(7), autogroup): there the priority of a process counts within its own session alone.
 */
export function giveWay(): void {
  lowerPriority('self', LOWEST);
  try {
    writeFileSync('/proc/self/autogroup', String(LOWEST));
  } catch {
    // A system without that needs nothing of it.
  }
}
