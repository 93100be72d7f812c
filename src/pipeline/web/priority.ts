/** The process that encodes a page gives way to those that draw and play it. */
import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';

/** As in `nice`. */
const LOWER = 5;

/** Lowers the priority of all present and future threads of this process, and of no other process. */
export function yieldToMakers(): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), LOWER);
    } catch (error) {
      // The thread has ended meanwhile.
      if ((error as { code?: string }).code !== 'ERR_SYSTEM_ERROR') throw error;
    }
  }
}
