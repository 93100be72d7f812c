#!/usr/bin/env node
/**
 * The command line. Each command loads what it needs when it runs, so that a recorder process starts without the
 * server's libraries.
 */
import { text } from 'node:stream/consumers';
import { Argument, Command, InvalidArgumentError } from 'commander';
import { NO_ROOM_EXIT } from '../../contract/line/complete.ts';
import type { Plan } from '../../contract/line/plan.ts';
import { Fault, isOutOfRoom, messageOf } from '../../kernel/fault.ts';
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
  .option('-r, --retry <sid>', 'have what the backup store has of this recording moved on now')
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

program
  .command('recorder', { hidden: true })
  .description('make recordings of one mode; started by `aircheck serve`')
  .addArgument(new Argument('<mode>').choices(['mix', 'individual', 'web']))
  .action(async (mode: Plan['mode']) => {
    const { runRecorder } = await import('../../worker/main.ts');
    const { childEnvironment, setVariable } = await import('../../config/child-environment.ts');
    const { fork } = await import('node:child_process');
    const startPusher = () =>
      // The push process joins the recorder's process group and ends with it. Its flags keep it small.
      fork(import.meta.filename, ['push'], {
        env: childEnvironment({}),
        execArgv: ['--max-semi-space-size=1', '--optimize-for-size', '--single-threaded-gc'],
        stdio: ['pipe', 'ignore', 'inherit', 'ipc'],
      });
    process.exit(await runRecorder(mode, { useXAuthority: (path) => setVariable('XAUTHORITY', path), startPusher }));
  });

program
  .command('push', { hidden: true })
  .description('push what a recorder sends it to live streams; started by `aircheck recorder`')
  .action(async () => {
    const { runPushes } = await import('../../stages/push/push-process.ts');
    process.exit(await runPushes());
  });

program
  .command('complete', { hidden: true })
  .description('finish the files of a recording that is over, as told on standard input; started by `aircheck serve`')
  .action(async () => {
    const { completeRecording } = await import('../../pipeline/complete.ts');
    const command: unknown = JSON.parse(await text(process.stdin));
    await tellingOfRoom(async () => {
      for (const name of await completeRecording(command)) process.stdout.write(`${name}\n`);
    });
  });

program
  .command('cutter', { hidden: true })
  .description('cut a stretch out of a recording, as told on standard input; started by `aircheck serve`')
  .action(async () => {
    const { cutRecording } = await import('../../pipeline/cut/cut-recording.ts');
    const command: unknown = JSON.parse(await text(process.stdin));
    await tellingOfRoom(async () => {
      const bytes = await cutRecording(command, {
        onProgress: (part) => process.stdout.write(`progress ${part.toFixed(3)}\n`),
      });
      process.stdout.write(`bytes ${bytes}\n`);
    });
  });

program
  .command('mixer', { hidden: true })
  .description('mix a recording of single users, as told on standard input; started by `aircheck serve`')
  .action(async () => {
    const { giveWay } = await import('../../pipeline/remix/give-way.ts');
    // Before anything is loaded that begins threads: they inherit it.
    giveWay();
    const { mixRecording } = await import('../../pipeline/remix/mix-recording.ts');
    const command: unknown = JSON.parse(await text(process.stdin));
    await tellingOfRoom(async () => {
      const bytes = await mixRecording(command, {
        onProgress: (part) => process.stdout.write(`progress ${part.toFixed(4)}\n`),
        onProblem: (what) => process.stdout.write(`problem ${onOneLine(what)}\n`),
      });
      process.stdout.write(`bytes ${bytes}\n`);
    });
  });

program
  .command('thumbnails', { hidden: true })
  .description('draw thumbnails of key frames, as told by messages; started by `aircheck serve`')
  .action(async () => {
    const { giveWay } = await import('../../pipeline/remix/give-way.ts');
    // Whoever looks waits; recorders cannot.
    giveWay();
    const { runThumbnails } = await import('../../worker/thumbnail-process.ts');
    process.exit(await runThumbnails());
  });

program
  .command('without-speaker', { hidden: true })
  .description('take one user out of a file of every speaker, as told on standard input; started by `aircheck serve`')
  .action(async () => {
    const { withoutSpeaker } = await import('../../stages/mux/mka/without-track.ts');
    const command: unknown = JSON.parse(await text(process.stdin));
    await tellingOfRoom(async () => {
      try {
        process.stdout.write(`tracks ${await withoutSpeaker(command)}\n`);
      } catch (error) {
        // Said, not shown by how the process ends: whoever asked deletes the file then, and for nothing else.
        if (!(error instanceof Fault) || error.code !== 'speakers-unreadable') throw error;
        process.stdout.write(`unreadable ${onOneLine(error.message)}\n`);
      }
    });
  });

/** Tells by the exit code where the disk had no room for what the work makes: it is tried again then. */
async function tellingOfRoom(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isOutOfRoom(error)) throw error;
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = NO_ROOM_EXIT;
  }
}

function onOneLine(words: string): string {
  return words.replaceAll(/\s+/g, ' ');
}

function wholeSeconds(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('It is a whole number of seconds, at least 1.');
  return Number(text);
}

function wholeDays(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new InvalidArgumentError('It is a whole number of days, 1 to 9999.');
  return Number(text);
}

try {
  await program.parseAsync();
} catch (error) {
  // A Fault is written for whoever typed the command; any other error is shown with its stack.
  const text = error instanceof Fault || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message);
  process.stderr.write(`aircheck: ${text}\n`);
  process.exit(1);
}
