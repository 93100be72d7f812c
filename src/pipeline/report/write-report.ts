/**
 * Writes the quality report into the recording's spool folder, as a file like its others.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { QualityReport } from '../../contract/line/quality-report.ts';
import type { SpooledDocument } from '../../media/segment.ts';
import { reportName } from '../../stages/mux/names.ts';
import { finishPart, partPath } from '../../stages/mux/spool-file.ts';
import { Journal } from '../../stages/spool/journal.ts';

/**
 * Call it when the folder's journal has no other writer. Throws when the folder cannot be written.
 * @param base the start of the recording's file names
 */
export async function writeReport(dir: string, base: string, report: QualityReport): Promise<SpooledDocument> {
  const name = reportName(base);
  const path = join(dir, name);
  await writeFile(partPath(path), `${JSON.stringify(report, null, 2)}\n`, { mode: 0o600 });
  const bytes = await finishPart(path);
  const durationUs = Math.max(0, Math.round((report.endedMs ?? report.measuredMs) * 1000));
  const file: SpooledDocument = {
    type: 'document',
    name,
    kind: 'report',
    startUtcMs: report.zeroUtcMs,
    durationUs,
    bytes,
  };
  const journal = await Journal.open(dir);
  try {
    await journal.append(file);
  } finally {
    await journal.close();
  }
  return file;
}
