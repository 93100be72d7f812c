/** Which answers may be asked for again, and when. Pure. */

/** Between the first tries, as the API's own documentation has it; later ones wait as the last. */
const WAITS_MS = [3_000, 6_000, 9_000];
/** No server of ours asks for more; a proxy before it might. */
const MOST_WAIT_MS = 60_000;

export type Outcome =
  | { kind: 'lost' }
  | { kind: 'answered'; status: number; code: number | undefined; retryAfter: string | null };

/**
 * How long to wait before the call is made again, milliseconds; undefined when another try cannot help, or might do
 * twice what was asked for once.
 *
 * - 206 with code 65, and 5xx: the server was too slow, or has no recorder now. The same call again is safe: a start
 *   that came through is answered with its sid (contract §6.9).
 * - 429: too many calls; `Retry-After` says when to go on.
 * - no answer at all: as 5xx, unless the call may not be made twice.
 *
 * @param tries how often it was made
 * @param repeatable false for a call that does its work once more each time
 */
export function waitBefore(outcome: Outcome, tries: number, repeatable: boolean): number | undefined {
  const usual = WAITS_MS[Math.min(tries, WAITS_MS.length) - 1] ?? 0;
  if (outcome.kind === 'lost') return repeatable ? usual : undefined;
  const { status, code, retryAfter } = outcome;
  // Nothing was done of a call that was one too many.
  if (status === 429) return secondsOf(retryAfter) ?? usual;
  if (!repeatable) return undefined;
  if (status === 503) return secondsOf(retryAfter) ?? usual;
  if (status >= 500 || (status === 206 && code === 65)) return usual;
  return undefined;
}

function secondsOf(header: string | null): number | undefined {
  if (header === null || !/^\d{1,6}$/.test(header)) return undefined;
  return Math.min(MOST_WAIT_MS, Number(header) * 1000);
}
