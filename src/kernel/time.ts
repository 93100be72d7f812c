/**
 * Media time: whole ticks with a rate, and the one text form of a moment that file names and playlists use.
 */

/** Ticks of `from` per second expressed in ticks of `to` per second, rounded to nearest. */
export function rescale(ticks: number, from: number, to: number): number {
  return Math.round((ticks * to) / from);
}

/** Microseconds per second, the rate of every `…Us` value. */
export const US = 1_000_000;

/** `yyyyMMddHHmmssSSS` in UTC, 17 digits (contract §4.1). */
export function utcStamp(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/[-:TZ.]/g, '');
}
