/** `aircheck retention`: how long the files of a recording are kept, its legal hold, and what was deleted. */
import type { AircheckClient, RetentionReply } from '../../../client/index.ts';
import { Fault } from '../../../kernel/fault.ts';
import { print, printJson } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';
import { momentOf, shown } from './words.ts';

export type RetentionWords = AccessWords & {
  days?: number;
  hold?: string | true;
  release?: boolean;
  delete?: boolean;
  yes?: boolean;
  accessKey?: string;
  secretKey?: string;
};

export async function retention(sid: string, words: RetentionWords): Promise<void> {
  const { client } = openAccess(words);
  if (words.delete && !words.yes)
    throw new Fault('not-confirmed', `--delete deletes all files of ${sid} for good; say --yes as well`, {
      blame: 'caller',
    });
  const told = await explaining(() => ask(client, sid, words));
  if (words.json) printJson(told);
  else print(retentionLines(told).join('\n'));
}

function ask(client: AircheckClient, sid: string, words: RetentionWords): Promise<RetentionReply> {
  const { accessKey = '', secretKey = '' } = words;
  const keys = accessKey === '' ? {} : { keys: { accessKey, secretKey } };
  const isAlone = [words.days, words.hold, words.release, words.delete].filter((each) => each !== undefined).length < 2;
  if (!isAlone)
    throw new Fault('options-conflict', 'one of --days, --hold, --release and --delete', { blame: 'caller' });
  if (words.days !== undefined) return client.setRetention(sid, { days: words.days, ...keys });
  if (words.hold !== undefined)
    return client.holdRecording(sid, typeof words.hold === 'string' ? { reason: words.hold } : {});
  if (words.release) return client.releaseRecording(sid);
  if (words.delete) return client.deleteFiles(sid, keys);
  return client.retention(sid);
}

/** How long files are kept and what was deleted, as lines of text. */
export function retentionLines(told: RetentionReply): string[] {
  const { days, rule, dueMs, legalHold, state, deletedMs, files, bytes, error, nextTryMs, away, history } = told;
  const rules = { recording: 'by its start', app: 'by its app', call: 'by a call' };
  const kept = days === null ? 'for ever' : `${days} days after its end`;
  const mb = (bytes / 1e6).toFixed(1);
  return [
    ...(deletedMs === null
      ? [`kept     ${kept}${rule ? `, ${rules[rule]}` : ''}${dueMs === null ? '' : `: until ${momentOf(dueMs)}`}`]
      : [`deleted  ${momentOf(deletedMs)}: ${files} files, ${mb} MB`]),
    ...(state === 'deleting' ? [`deleting ${files} files, ${mb} MB so far`] : []),
    ...(state === 'left' ? [`deleted  ${files} files, ${mb} MB so far`] : []),
    ...(legalHold
      ? [
          `held     since ${momentOf(legalHold.sinceMs)}, by ${legalHold.byOperator ? 'operator' : 'customer'} ${shown(legalHold.by)}${legalHold.reason === null ? '' : `: ${shown(legalHold.reason)}`}`,
        ]
      : []),
    ...(error === null
      ? []
      : [
          `${state === 'refused' ? 'refused ' : 'failed  '} ${shown(error)}${nextTryMs === null ? '' : `; tried again ${momentOf(nextTryMs)}`}`,
        ]),
    ...(away ? [awayLine(away)] : []),
    ...history.map(
      ({ atMs, act, by, details }) =>
        `  ${momentOf(atMs)}  ${act}${by === null ? '' : ` by ${shown(by)}`}${details === null ? '' : `: ${shown(details)}`}`,
    ),
  ];
}

function awayLine({ server, seenMs, untilMs, files, bytes }: NonNullable<RetentionReply['away']>): string {
  const seen = seenMs === null ? '' : ` since ${momentOf(seenMs)}`;
  const until = untilMs === null ? 'goes when it is back' : `it is waited for until ${momentOf(untilMs)}`;
  return `away     ${shown(server)} is gone${seen}, with ${files} files, ${(bytes / 1e6).toFixed(1)} MB: ${until}`;
}
