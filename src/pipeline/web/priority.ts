/**
 * Who encodes a page makes way for who draws and plays it.
 */
import { readdirSync } from 'node:fs';
import { setPriority } from 'node:os';

/** Of `nice`. */
const LOWER = 5;

/** Lowers the priority of all threads of this process, and with it that of those to come, but of no other process. */
export function yieldToMakers(): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), LOWER);
    } catch (error) {
      // It has ended since.
      if ((error as { code?: string }).code !== 'ERR_SYSTEM_ERROR') throw error;
    }
  }
}
