/**
 * `aircheck backlog`: what waits to be stored, of every app, asked of the server that runs.
 */
import { type BacklogEntry, backlogReplySchema } from '../../contract/rest/backlog.ts';
import { Fault } from '../../kernel/fault.ts';
import { counted, shown, sizeOf } from './everyday/words.ts';
import { ask, authorizationOf, ownConfig, ownUrl, refused } from './own-server.ts';

/** As of newSid. */
const SID = /^[0-9a-f]{32}$/;

export type BacklogWords = { retry?: string; json?: boolean };

/**
 * Prints the backlog, or has the files of one recording tried at once. Throws a Fault when the sid is malformed or the
 * server does not answer.
 */
export async function backlog({ retry, json }: BacklogWords): Promise<void> {
  if (retry !== undefined && !SID.test(retry))
    throw new Fault(
      'backlog-unknown',
      `"${retry}" is not the sid of a recording: that is 32 hexadecimal characters, as \`aircheck backlog\` prints it`,
      { blame: 'caller' },
    );
  const config = ownConfig();
  const base = ownUrl(config);
  const entries: (BacklogEntry & { appid: string })[] = [];
  let retried = false;
  for (const { appid } of config.apps) {
    const customer = config.customers.find(({ apps }) => apps === undefined || apps.includes(appid));
    if (!customer) continue;
    const authorization = authorizationOf(customer);
    const path = `${base}/v1/apps/${appid}/aircheck/backlog`;
    if (retry !== undefined) {
      const answer = await ask(`${path}/${encodeURIComponent(retry)}/retry`, {
        method: 'POST',
        headers: { authorization },
      });
      if (!answer.ok && answer.status !== 404) throw await refused(answer);
      retried ||= answer.ok;
      continue;
    }
    const answer = await ask(path, { headers: { authorization } });
    if (!answer.ok) throw await refused(answer);
    const { backlog: of } = backlogReplySchema.parse(await answer.json());
    entries.push(...of.map((entry) => ({ ...entry, appid })));
  }
  if (retry !== undefined) {
    if (!retried)
      throw new Fault('backlog-unknown', `nothing of recording ${retry} waits to be stored`, { blame: 'caller' });
    process.stdout.write(`${retry} is tried now\n`);
  } else if (json) process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`);
  else process.stdout.write(`${entries.length === 0 ? 'nothing waits' : entries.map(lineOf).join('\n')}\n`);
}

function lineOf(entry: BacklogEntry): string {
  const { sid, where, files, bytes, sinceMs, attempts, lastError, nextTryMs, waitsFor } = entry;
  const utc = (ms: number) => new Date(ms).toISOString();
  const next = nextTryMs === null ? '' : `, next try ${utc(nextTryMs)}`;
  const why = lastError === null ? '' : `\n    ${lastError}`;
  const node = waitsFor === null ? '' : `\n    waits for the node ${shown(waitsFor)}, which was gone`;
  const amount = `${counted(files, 'file')}, ${sizeOf(bytes)}`;
  return `${sid}  ${where}  ${amount}, since ${utc(sinceMs)}, ${attempts} ${attempts === 1 ? 'try' : 'tries'}${next}${node}${why}`;
}
