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
  const {
    sid,
    cname,
    uid,
    mode,
    phase,
    healthy,
    ending,
    startedMs,
    endedMs,
    files,
    warnings,
    events,
    retention,
    quality,
  } = report;
  return [
    `${sid}  ${shown(cname)}  ${mode}  ${phase}${healthy ? '' : ', not in order'}`,
    `started  ${momentOf(startedMs)}, as uid ${uid}`,
    ...(endedMs === null ? [] : [`ended    ${momentOf(endedMs)}${ending === null ? '' : `: ${shown(ending)}`}`]),
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
