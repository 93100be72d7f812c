/** The commands that people type. Each loads what it needs when it runs. */
import { Command, InvalidArgumentError } from 'commander';
import type { BacklogWords } from './backlog.ts';
import type { DrainWords } from './drain.ts';
import { addEverydayCommands } from './everyday/commands.ts';
import { addMakingCommands } from './making-commands.ts';
import type { MovingWords } from './moving/moving.ts';
import type { TokenOptions } from './token.ts';

const program = new Command('aircheck').description(
  'Self-hosted cloud recording server for WebRTC channels.\nSettings are read from AIRCHECK_… variables and aircheck.yaml; see docs/reference/configuration.md.',
);

program
  .command('serve')
  .description('run the server: REST API, WHIP, the publish page, and processes that record')
  .action(async () => {
    const { serve } = await import('./serve.ts');
    await serve();
  });

addEverydayCommands(program);

program
  .command('token')
  .description('print an RTC token that lets a user into a channel and publish there')
  .requiredOption('-c, --channel <name>', 'channel name')
  .option('-u, --uid <uid>', 'user id, 1 to 4294967295; without it the token fits any user')
  .option('-a, --app <appid>', 'App ID; needed only when several are configured')
  .option('-l, --life <seconds>', 'how long the token is good for', wholeSeconds, 86_400)
  .option('--json', 'print it with what it is for as JSON')
  .action(async (options: TokenOptions) => {
    const { printToken } = await import('./token.ts');
    printToken(options);
  });

addMakingCommands(program);

program
  .command('moving')
  .description('say how the vendor’s client libraries come to this server unchanged, and make a certificate for it')
  .option('-a, --address <ip>', 'IPv4 address at which they reach the server', '127.0.0.1')
  .option('-l, --library <ids>', 'only these, as node,go,python,java,http')
  .option('-r, --region <regions>', 'only the hosts of these, as us,eu,ap,cn')
  .option('-c, --certificates <folder>', 'make an authority, and a certificate of it for all the hosts, in this folder')
  .option('-n, --name <names>', 'further host names that the certificate is for, as a.example.com,b.example.com')
  .option('-d, --days <n>', 'how long the certificate is good for', wholeDays, 825)
  .option('-f, --force', 'replace certificates that are there')
  .option('--json', 'print the same as JSON')
  .action(async (words: MovingWords) => {
    const { moving } = await import('./moving/moving.ts');
    await moving(words);
  });

program
  .command('backlog')
  .description('say which files wait to be stored, where, since when and why')
  .option('-r, --retry <sid>', 'try what waits of this recording now, for its store or in the backup store')
  .option('--json', 'print the same as JSON')
  .action(async (words: BacklogWords) => {
    const { backlog } = await import('./backlog.ts');
    await backlog(words);
  });

program
  .command('nodes')
  .description('list the servers that share the database of this one, and what each carries')
  .option('--json', 'print the same as JSON')
  .addHelpText('after', '\nExit codes: 0 all live or are draining, 1 not answered, 2 one went without having said so.')
  .action(async (words: { json?: boolean }) => {
    const { nodes } = await import('./nodes.ts');
    await nodes(words);
  });

program
  .command('drain')
  .description('have the server take no new recordings and channels, and in a fleet hand over what it records')
  .option('-w, --wait <seconds>', 'wait until no recording is left, at most so long', wholeSeconds, 0)
  .option('--undo', 'have it take them again')
  .option('--json', 'print the same as JSON')
  .addHelpText('after', '\nExit codes: 0 done, 1 not answered, 2 recordings were left after the wait.')
  .action(async (words: DrainWords) => {
    const { drain } = await import('./drain.ts');
    await drain(words);
  });

program
  .command('store')
  .description('look after stores')
  .command('test <storageConfig>')
  .description('try a storageConfig (JSON, a file that holds it, or - for standard input) and say what works')
  .option('--json', 'print the same as JSON')
  .action(async (given: string, words: { json?: boolean }) => {
    const { testStore } = await import('./store-test.ts');
    await testStore(given, words);
  });

program
  .command('doctor')
  .description(
    'look at packages, ports, clock, disk, database, fleet, stores, webhooks and web pages, and say what to do about each',
  )
  .option('--json', 'print the same as JSON')
  .addHelpText(
    'after',
    `
Exit codes: 0 all is well, 1 nothing can be recorded, 2 recordings are made but something should be seen to.`,
  )
  .action(async (words: { json?: boolean }) => {
    const { doctor } = await import('./doctor/doctor.ts');
    await doctor(words);
  });

program
  .command('health')
  .description('ask the server of these settings whether it can do its work; exit code 0 when it can, else 1')
  .option('--json', 'what it prints is JSON in any case')
  .action(async () => {
    const { health } = await import('./health.ts');
    await health();
  });

program
  .command('prepare')
  .description('make what every first start on a new data folder needs, once for this installation; for images')
  .action(async () => {
    const { makeTemplate } = await import('../../store/template.ts');
    await makeTemplate();
  });

/** Does what the command line says. Rejects with a Fault that is meant for whoever typed it. */
export async function runCommand(): Promise<void> {
  await program.parseAsync();
}

function wholeSeconds(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It is a whole number of seconds, at least 1.');
  return Number(text);
}

function wholeDays(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('It is a whole number of days, 1 to 9999.');
  return Number(text);
}
