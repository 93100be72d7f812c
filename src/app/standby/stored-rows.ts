/**
 * Up to where the store has what a standby makes as well, row by row. Slices of single users are cut by each recorder
 * for itself, so that only their times tell (ADR 0042). Pure.
 */
import type { Segment } from '../../media/segment.ts';
import { rowKeyOf } from '../../pipeline/individual/taken-over.ts';
import type { KnownSlice } from '../../store/standby-tables.ts';

/** What a standby has of a row: nothing is asked of what lies before. */
export type OwnSlice = Pick<Segment, 'name' | 'startUtcMs'>;

/**
 * Where the stored slices of each row end, from the first of the standby's on and without a gap, Unix milliseconds.
 * Rows of which the store has nothing of that time are left out.
 * @param known what is known of the owner's slices
 * @param own the standby's slices, finished or not
 */
export function storedRows(known: readonly KnownSlice[], own: readonly OwnSlice[]): Map<string, number> {
  const ends = new Map<string, number>();
  const rows = Map.groupBy(own, ({ name }) => rowKeyOf(name));
  const knownRows = Map.groupBy(known, ({ name }) => rowKeyOf(name));
  for (const [row, slices] of rows) {
    if (row === undefined) continue;
    const fromMs = Math.min(...slices.map(({ startUtcMs }) => startUtcMs));
    const of = (knownRows.get(row) ?? []).filter(({ endUtcMs }) => endUtcMs > fromMs);
    of.sort((a, b) => a.startUtcMs - b.startUtcMs);
    const gap = of.findIndex(({ isStored }) => !isStored);
    const stored = gap < 0 ? of : of.slice(0, gap);
    if (stored.length > 0) ends.set(row, Math.max(...stored.map(({ endUtcMs }) => endUtcMs)));
  }
  return ends;
}
