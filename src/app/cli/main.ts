#!/usr/bin/env node
/**
 * The command line. Each command loads what it needs when it runs, so that a recorder process starts without the server's libraries.
 */
import { Command, InvalidArgumentError } from 'commander';
import { Fault, messageOf } from '../../kernel/fault.ts';

const program = new Command('aircheck').description(
  'Self-hosted cloud recording server for WebRTC channels.\nSettings are read from AIRCHECK_… variables and aircheck.yaml; see docs/reference/configuration.md.',
);

program
  .command('serve')
  .description('run the server: REST API, WHIP, the publish page, and a recorder process per recording')
  .action(async () => {
    const { serve } = await import('./serve.ts');
    await serve();
  });

program
  .command('token')
  .description('print an RTC token that lets a user into a channel and publish there')
  .requiredOption('-c, --channel <name>', 'channel name')
  .option('-u, --uid <uid>', 'user id, 1 to 4294967295; without it the token fits any user')
  .option('-a, --app <appid>', 'App ID; needed only when several are configured')
  .option('-l, --life <seconds>', 'how long the token is good for', wholeSeconds, 86_400)
  .action(async (options: { channel: string; uid?: string; app?: string; life: number }) => {
    const { printToken } = await import('./token.ts');
    printToken(options);
  });

program
  .command('recorder', { hidden: true })
  .description('make one recording; started by `aircheck serve`')
  .action(async () => {
    const { runRecorder } = await import('../../worker/main.ts');
    process.exit(await runRecorder());
  });

program
  .command('repair <folder>', { hidden: true })
  .description('finish the files of a recorder that died; started by `aircheck serve`')
  .option('--mp4-duration-ms <ms>', 'make the MP4 too, in parts of at most this length', Number)
  .option('--mp4-bytes <bytes>', 'and of at most this size', Number)
  .action(async (folder: string, options: { mp4DurationMs?: number; mp4Bytes?: number }) => {
    const { repairSpool } = await import('../../pipeline/repair.ts');
    const { mp4DurationMs: durationMs, mp4Bytes: bytes } = options;
    const mp4 = durationMs !== undefined && bytes !== undefined ? { durationMs, bytes } : undefined;
    for (const name of await repairSpool(folder, { mp4 })) process.stdout.write(`${name}\n`);
  });

function wholeSeconds(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It is a whole number of seconds, at least 1.');
  return Number(text);
}

try {
  await program.parseAsync();
} catch (error) {
  // A Fault is meant for whoever typed the command; of anything else the stack is the message.
  const text = error instanceof Fault || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message);
  process.stderr.write(`aircheck: ${text}\n`);
  process.exit(1);
}
