/** What a standby made, as files of a run of the recording that its node has claimed (ADR 0037, 0042). */
import { readdir } from 'node:fs/promises';
import type { Takeover } from '../../contract/line/quality-report.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { keepTakenOver, rowKeyOf } from '../../pipeline/individual/taken-over.ts';
import { readSliceName } from '../../stages/mux/names.ts';
import { readSpool, writeJournal } from '../../stages/spool/journal.ts';
import type { KnownSlice, Standing } from '../../store/standby-tables.ts';
import { type OwnSlice, storedRows } from './stored-rows.ts';

/** A standby whose recorder has ended. */
type Ended = Pick<Standing, 'plan'> & { dir: string; sinceMs: number };

/**
 * Makes of its folder that of a run. Resolves to the files that can be stored as they are, and to where begins what the
 * store has not, Unix milliseconds; undefined where that is nothing.
 * @param knownOf what is known of the lost owner's slices of the time of these
 * Throws a Fault when the folder cannot be read, and the system's error when it cannot be written.
 */
export async function filesTakenOver(
  { plan, dir, sinceMs }: Ended,
  knownOf: (own: readonly OwnSlice[]) => Promise<KnownSlice[]>,
): Promise<{ files: SpooledFile[]; fromMs: number | undefined }> {
  if (plan.before.mode === 'individual') {
    const own = (await readdir(dir)).flatMap((name) => {
      const startUtcMs = readSliceName(name.replace(/\.part$/, ''))?.startUtcMs;
      return startUtcMs === undefined ? [] : [{ name, startUtcMs }];
    });
    const stored = storedRows(await knownOf(own), own);
    await keepTakenOver(dir, stored);
    const froms = own.map(({ name, startUtcMs }) => stored.get(rowKeyOf(name) ?? '') ?? startUtcMs);
    // Of a channel in which nobody sends there is no row.
    return { files: [], fromMs: froms.length > 0 ? Math.min(...froms) : undefined };
  }
  const { files } = await readSpool(dir);
  // Without those that were removed because the store has them.
  await writeJournal(dir, files);
  const stored = (await knownOf(files)).filter(({ isStored }) => isStored);
  const names = new Set(stored.map(({ name }) => name));
  const first = files.find(({ type, name }) => type === 'slice' && !names.has(name));
  // Nothing but the slice that was being written may be new.
  const fromMs = first?.startUtcMs ?? Math.max(sinceMs, ...stored.map(({ endUtcMs }) => endUtcMs));
  return { files, fromMs };
}

type Told = { sinceMs: number; protectedMs: number | undefined; zeroUtcMs: number };

/** What the report says of it. @param fromMs, untilMs Unix milliseconds; without the first, nothing was missing */
export function takeoverOf(
  { sinceMs, protectedMs, zeroUtcMs }: Told,
  { node, fromMs, untilMs }: { node: string; fromMs: number | undefined; untilMs: number },
): Takeover {
  return {
    node,
    sinceMs: Math.round(sinceMs),
    protectedMs: protectedMs === undefined ? null : Math.round(protectedMs),
    fromMs: Math.round((fromMs ?? untilMs) - zeroUtcMs),
    untilMs: Math.round(untilMs - zeroUtcMs),
  };
}
