/**
 * How long to wait before an upload is tried again. Pure.
 */

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;

/**
 * Milliseconds before attempt `attempt + 1`: they double from a second to a minute, less up to half at random, so that
 * many recordings do not return to a store at once. A fault that will not pass by itself is tried once a minute.
 * @param attempt how many attempts have failed, from 1
 * @param random 0 (inclusive) to 1
 */
export function retryDelayMs(attempt: number, retryable: boolean, random: number): number {
  if (!retryable) return LONGEST_MS;
  const fullMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1));
  return Math.round(fullMs * (1 - random / 2));
}

/**
 * How long a store asks to be left alone, milliseconds, at most a minute; undefined when it does not say.
 * @param retryAfter value of the header `Retry-After`: seconds, or an HTTP date (RFC 9110 §10.2.3)
 * @param nowMs the store's own time, Unix milliseconds; without it a date is ignored
 */
export function retryAfterMs(retryAfter: string | undefined, nowMs: number | undefined): number | undefined {
  if (!retryAfter) return undefined;
  const ms = /^\d+$/.test(retryAfter.trim())
    ? Number(retryAfter) * 1000
    : Date.parse(retryAfter) - (nowMs ?? Number.NaN);
  return Number.isNaN(ms) ? undefined : Math.min(LONGEST_MS, Math.max(0, ms));
}
