/**
 * How long to wait before an upload is tried again. Pure.
 */

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;

/**
 * Milliseconds before attempt `attempt + 1`: doubling from a second to a minute, less up to half of it at random so
 * that many recordings do not return to a store in step. What will not heal by itself is tried once a minute.
 * @param attempt how many attempts have failed, from 1
 * @param random 0 (inclusive) to 1
 */
export function retryDelayMs(attempt: number, retryable: boolean, random: number): number {
  if (!retryable) return LONGEST_MS;
  const fullMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  return Math.round(fullMs * (1 - random / 2));
}
