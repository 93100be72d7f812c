/**
 * `aircheck cut`: a stretch of a recording as an MP4, made by the server that runs and brought here.
 */
import { renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cutReplySchema } from '../../contract/rest/cut.ts';
import { pauseCommand, systemClock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { readMoment } from './cut-moment.ts';
import type { AccessWords } from './everyday/access.ts';
import { bring, checkOutput, isSid, ownRecording, readKeys, untilEnded } from './own-recording.ts';
import { Progress } from './progress.ts';

export type CutWords = AccessWords & {
  from: string;
  to: string;
  uid?: string;
  keys?: string;
  output?: string;
  force?: boolean;
  quiet?: boolean;
};

const REFUSED = 'cut-refused';
const LOOK_MS = 500;

/** Makes the MP4 and prints its path. Throws a Fault; no half file is left then. */
export async function cut(sid: string, words: CutWords): Promise<void> {
  if (!isSid(sid)) throw refuse(`"${sid}" is not the sid of a recording: that is 32 hexadecimal characters`);
  checkOutput(words.output, words.force ?? false, REFUSED);
  const keys = readKeys(words.keys, REFUSED);
  const server = await ownRecording(sid, words, REFUSED);
  const begin = async () =>
    cutReplySchema.parse(await server.call('POST', '/cuts', { from, to, uid: words.uid, keys }));
  const [from, to] = [words.from, words.to].map((text, n) =>
    readMoment(n === 0 ? '--from' : '--to', text, server.startedMs),
  );
  const { reply, output } = await untilEnded(refuse, async (signal) => {
    let told = await begin();
    let path = `/cuts/${told.cutId}`;
    let isAnew = false;
    /** A server that was started anew knows no cut of before; it takes seconds to make it again. */
    const makeAnew = async () => {
      if (isAnew) throw refuse('the server has the cut no more: somebody called it off');
      isAnew = true;
      told = await begin();
      path = `/cuts/${told.cutId}`;
    };
    const progress = words.quiet ? undefined : new Progress(systemClock, process.stderr, told.to - told.from);
    const name = words.output ?? `${sid}_${told.from}-${told.to}.mp4`;
    const part = join(dirname(name), `.${basename(name)}.part`);
    try {
      checkOutput(name, words.force ?? false, REFUSED);
      for (;;) {
        if (told.state === 'failed') throw refuse(`the cut failed: ${told.error}`);
        if (told.state === 'queued' || told.state === 'running') {
          await pauseCommand(LOOK_MS, signal);
          const seen = await server.look(path, signal);
          if (seen === undefined) await makeAnew();
          else told = cutReplySchema.parse(seen);
          progress?.show(told.progress * (told.to - told.from));
        } else if (await bring(server, `${path}/file`, { to: part, bytes: told.bytes ?? 0, code: REFUSED, signal }))
          break;
        else await makeAnew();
      }
      renameSync(part, name);
      return { reply: told, output: name };
    } catch (error) {
      rmSync(part, { force: true });
      throw error;
    } finally {
      progress?.end();
      // The server would keep it for an hour.
      await server.forget(path).catch(() => undefined);
    }
  });
  if (words.json) process.stdout.write(`${JSON.stringify({ ...reply, file: output }, null, 2)}\n`);
  else process.stdout.write(`${output}\n`);
}

function refuse(words: string): Fault {
  return new Fault(REFUSED, words, { blame: 'caller' });
}
