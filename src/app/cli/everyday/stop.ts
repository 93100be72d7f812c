/** `aircheck stop`: stops a recording by its sid, whoever started it. */
import type { Recording } from '../../../client/index.ts';
import { print, printJson } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';
import { shown } from './words.ts';

export type StopWords = AccessWords & { wait: boolean };

export async function stop(sid: string, words: StopWords): Promise<void> {
  const { client, patience } = openAccess(words);
  await explaining(async () => {
    const { cname, uid, resourceId, mode } = await client.recording(sid);
    const recording = { cname, uid, resourceId, sid, mode } as Recording;
    if (!words.wait) {
      await client.stop(recording, { async_stop: true });
      if (words.json) printJson({ sid, stopping: true });
      else print(`${sid} is stopping`);
      return;
    }
    const report = await patience.keepAsking(() => client.finish(recording));
    if (words.json) printJson(report);
    else for (const { fileName } of report.files) print(shown(fileName, 1024));
  });
}
