/** The process that encodes a page gives way to those that draw and play it. */
import { lowerPriority } from '../../kernel/priority.ts';

/** As in `nice`. */
const LOWER = 5;

/** Lowers the priority of all threads of this process, but of no other process. */
export function yieldToMakers(): void {
  lowerPriority('self', LOWER);
}
