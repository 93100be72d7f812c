/** `aircheck watch`: an address by which a recording can be watched, also while it is recorded. */
import { print, printJson } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';

export type WatchWords = AccessWords & { uid?: string; for?: number };

export async function watch(sid: string, words: WatchWords): Promise<void> {
  const { client } = openAccess(words);
  const reply = await explaining(() => client.watch(sid, words.for === undefined ? {} : { seconds: words.for }));
  const users = reply.users.filter(({ uid }) => words.uid === undefined || uid === words.uid);
  if (words.json) printJson({ ...reply, users });
  else if (reply.url !== null) print(reply.url);
  else
    for (const { uid, kinds, url } of users)
      print(words.uid === undefined ? `${uid}\t${kinds.join('+')}\t${url}` : url);
  if (reply.url !== null || users.length > 0) return;
  process.exitCode = 1;
  const whom = words.uid === undefined ? 'nobody' : `user ${words.uid} not`;
  process.stderr.write(
    `aircheck: ${whom} can be watched: nothing is recorded yet, or nothing that HLS can play live\n`,
  );
}
