/** `aircheck show`: what is known of one recording, with its timeline as text. */
import type { RecordingReport } from '../../../client/index.ts';
import { print, printJson } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';
import { retentionLines } from './retention.ts';
import { timelineText } from './timeline.ts';
import { momentOf, shown } from './words.ts';

const COLUMNS = 100;

export async function show(sid: string, words: AccessWords): Promise<void> {
  const { client } = openAccess(words);
  const report = await explaining(() => client.recording(sid));
  if (words.json) printJson(report);
  else print(reportText(report, process.stdout.columns ?? COLUMNS));
}

/** The report as lines of text, `columns` wide. */
function reportText(report: RecordingReport, columns: number): string {
  const { sid, cname, uid, mode, phase, healthy, startedMs, files, warnings, events, retention, quality } = report;
  return [
    `${sid}  ${shown(cname)}  ${mode}  ${phase}${healthy ? '' : ', not in order'}`,
    `started  ${momentOf(startedMs)}, as uid ${uid}`,
    ...endingLines(report),
    `events   ${events}: aircheck events --sid ${sid}`,
    ...(warnings.length > 0 ? ['warnings about its requests'] : []),
    ...warnings.map(({ path, message }) => `  ${shown(path)}: ${shown(message)}`),
    files.length === 0 ? 'files    none' : 'files',
    ...files.map(({ fileName }) => `  ${shown(fileName)}`),
    ...(retention ? ['retention', ...retentionLines(retention).map((line) => `  ${line}`)] : []),
    '',
    quality === null ? 'no quality report: nothing was measured yet, or it was lost' : timelineText(quality, columns),
  ].join('\n');
}

/** When and why it ended; of one whose files wait to be stored, why alone. */
function endingLines({ endedMs, ending }: RecordingReport): string[] {
  const why = ending === null ? undefined : shown(ending, 500);
  if (endedMs !== null) return [`ended    ${momentOf(endedMs)}${why === undefined ? '' : `: ${why}`}`];
  return why === undefined ? [] : [`ending   ${why}; not all is stored yet`];
}
