/** `aircheck recordings`: the recordings of an app, the newest first. */
import type { ListedRecording, Mode, RecordingFilter } from '../../../client/index.ts';
import { RECORDING_STATES } from '../../../contract/rest/recording-list.ts';
import { print, printJson } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';
import { refuse } from './record-request.ts';
import { clockOf, counted, momentOf, shown, sizeOf, tableOf } from './words.ts';

export type RecordingsWords = AccessWords & {
  channel?: string;
  state?: string;
  mode?: Mode;
  search?: string;
  limit: number;
};

const PAGE = 200;

export async function recordings(words: RecordingsWords): Promise<void> {
  const { client } = openAccess(words);
  const state = RECORDING_STATES.find((known) => known === words.state);
  if (words.state !== undefined && !state)
    throw refuse(`--state is ${words.state}; it is one of ${RECORDING_STATES.join(', ')}`);
  const filter: RecordingFilter = {
    ...(words.channel !== undefined && { cname: words.channel }),
    ...(state && { state }),
    ...(words.mode && { mode: words.mode }),
    ...(words.search !== undefined && { search: words.search }),
    limit: Math.min(PAGE, words.limit),
  };
  const found: ListedRecording[] = [];
  await explaining(async () => {
    for await (const recording of client.allRecordings(filter)) {
      found.push(recording);
      if (found.length === words.limit) break;
    }
  });
  if (words.json) printJson(found);
  else if (found.length === 0)
    process.stderr.write('aircheck: there are none; `aircheck record <channel>` makes one\n');
  else print(listText(found));
}

/** A line for each, under a line of titles. */
function listText(found: readonly ListedRecording[]): string {
  return tableOf([
    ['sid', 'channel', 'mode', 'started', 'length', 'size', 'state', 'quality'],
    ...found.map(({ sid, cname, mode, startedMs, lengthMs, bytes, phase, healthy, mark, waiting, warnings }) => [
      ...[sid, shown(cname, 40), mode, momentOf(startedMs)],
      ...[lengthMs === null ? '' : clockOf(lengthMs), sizeOf(bytes)],
      `${phase}${healthy ? '' : ', failed'}${waiting > 0 ? `, ${counted(waiting, 'file')} waiting` : ''}`,
      [mark ?? '', warnings > 0 ? counted(warnings, 'warning') : ''].filter((part) => part !== '').join(', '),
    ]),
  ]);
}
