/** `aircheck mix <sid>`: has the server that runs mix a recording, says how far that is, and brings the MP4 here. */
import { renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { mixReplySchema } from '../../contract/rest/mix.ts';
import { pauseCommand, systemClock } from '../../kernel/clock.ts';
import { readMoment } from './cut-moment.ts';
import { type MixWords, readCall, refuse } from './mix-options.ts';
import { bring, checkOutput, ownRecording, readKeys, untilEnded } from './own-recording.ts';
import { Progress } from './progress.ts';

const REFUSED = 'mix-refused';
const LOOK_MS = 1_000;
const GONE = 'the server has the mix no more: somebody called it off';

/** Makes the MP4 and prints its path. Throws a Fault; no half file, and no mix, is left then. */
export async function mixLater(sid: string, words: MixWords): Promise<void> {
  const request = readCall(words);
  const output = words.output ?? `${sid}_mix.mp4`;
  checkOutput(output, words.force ?? false, REFUSED);
  const keys = readKeys(words.keys, REFUSED);
  const server = await ownRecording(sid, words, REFUSED);
  const moment = (option: string, text: string | undefined) =>
    text === undefined ? undefined : readMoment(option, text, server.startedMs);
  const [from, to] = [moment('--from', words.from), moment('--to', words.to)];

  const reply = await untilEnded(refuse, async (signal) => {
    let told = mixReplySchema.parse(await server.call('POST', '/mixes', { ...request, from, to, keys }));
    const path = `/mixes/${told.mixId}`;
    const lengthS = told.to - told.from;
    const progress = words.quiet ? undefined : new Progress(systemClock, process.stderr, lengthS);
    const part = join(dirname(output), `.${basename(output)}.part`);
    try {
      if (told.state === 'queued' && !words.quiet) process.stderr.write('aircheck: the mix waits for its turn\n');
      while (told.state === 'queued' || told.state === 'running') {
        await pauseCommand(LOOK_MS, signal);
        const seen = await server.look(path, signal);
        if (seen === undefined) throw refuse(GONE);
        told = mixReplySchema.parse(seen);
        if (told.progress > 0) progress?.show(told.progress * lengthS);
      }
      if (told.state === 'failed') throw refuse(`the mix failed: ${told.error}`);
      checkOutput(output, words.force ?? false, REFUSED);
      if (!(await bring(server, `${path}/file`, { to: part, bytes: told.bytes ?? 0, code: REFUSED, signal })))
        throw refuse(GONE);
      renameSync(part, output);
      return told;
    } catch (error) {
      rmSync(part, { force: true });
      await server.forget(path).catch(() => {
        process.stderr.write(
          `aircheck: the server cannot be told to call the mix off: it goes on with ${told.mixId} once it runs\n`,
        );
      });
      throw error;
    } finally {
      progress?.end();
    }
  });
  for (const warning of reply.warnings) process.stderr.write(`aircheck: warning: ${warning}\n`);
  if (words.json) process.stdout.write(`${JSON.stringify({ ...reply, file: output }, null, 2)}\n`);
  else process.stdout.write(`${output}\n`);
}
