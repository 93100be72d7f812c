/** Waits between attempts that fail: each twice as long as the one before, and never the same for many who wait. */

export type BackOff = {
  /** Before the second attempt, in the middle. */
  firstMs: number;
  /** No wait is longer than this in the middle. */
  longestMs: number;
  /** How far a wait may lie from the middle, as a share of it. */
  jitter: number;
};

/**
 * Milliseconds until the next attempt.
 * @param failures attempts that have failed, 1 or more
 * @param random from 0 to below 1
 */
export function backOffMs(failures: number, { firstMs, longestMs, jitter }: BackOff, random: number): number {
  return Math.min(longestMs, firstMs * 2 ** (failures - 1)) * (1 - jitter + 2 * jitter * random);
}
