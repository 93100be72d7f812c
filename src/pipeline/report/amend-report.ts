/** Adds to the quality report of a recording that is over what was found out while it was completed. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { qualityReportSchema } from '../../contract/line/quality-report.ts';
import { finishPart, partPath } from '../../stages/mux/spool-file.ts';
import { readSpool, writeJournal } from '../../stages/spool/journal.ts';
import { MOST_SPANS } from './kept.ts';

/**
 * Call it when the folder's journal has no other writer. Returns whether there was a report to add to. Throws a Fault
 * or the system's error when the folder cannot be read or written, and a ZodError for an invalid report.
 * @param problems what the files lack, in words, and how often
 */
export async function amendReport(dir: string, problems: readonly { what: string; count: number }[]): Promise<boolean> {
  const { files } = await readSpool(dir);
  const report = files.find((file) => file.type === 'document' && file.kind === 'report');
  if (!report) return false;
  const path = join(dir, report.name);
  const told = qualityReportSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  const room = Math.max(0, 2 * MOST_SPANS - told.degraded.length);
  const atMs = told.endedMs ?? told.measuredMs;
  told.degraded.push(...problems.slice(0, room).map((problem) => ({ atMs, ...problem })));
  told.moreDegraded += Math.max(0, problems.length - room);
  // The file may be a link to an earlier run's, which must not change.
  await writeFile(partPath(path), `${JSON.stringify(told, null, 2)}\n`, { mode: 0o600 });
  const bytes = await finishPart(path);
  await writeJournal(
    dir,
    files.map((file) => (file === report ? { ...file, bytes } : file)),
  );
  return true;
}
