#!/usr/bin/env node
/**
 * The command line. Each command loads what it needs when it runs, so that a recorder process starts without the
 * server's libraries.
 */
import { text } from 'node:stream/consumers';
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import { NO_ROOM_EXIT } from '../../contract/line/complete.ts';
import type { Plan } from '../../contract/line/plan.ts';
import { Fault, isOutOfRoom, messageOf } from '../../kernel/fault.ts';
import type { BacklogWords } from './backlog.ts';
import type { CutWords } from './cut.ts';
import type { DrainWords } from './drain.ts';
import { addEverydayCommands } from './everyday/commands.ts';
import type { MixWords } from './mix-options.ts';
import type { MovingWords } from './moving/moving.ts';

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
  .action(async (options: { channel: string; uid?: string; app?: string; life: number }) => {
    const { printToken } = await import('./token.ts');
    printToken(options);
  });

program
  .command('mix <recording>')
  .description(
    'make one composite MP4 of a recording of single users: a sid has the server make it, a manifest is read with the files beside it',
  )
  .addOption(
    new Option('-l, --layout <kind>', 'where users stand; floating unless a layout config says otherwise').choices([
      'floating',
      'best-fit',
      'vertical',
      'custom',
    ]),
  )
  .option('--layout-config <json>', 'regions as of start: a JSON file, or JSON itself; see docs/guide/mix.md')
  .option('--max-resolution-uid <uid>', 'who has the big window of the vertical layout')
  .option('--background-color <color>', '#RRGGBB; black when left out')
  .option('-s, --size <size>', 'width and height of the picture', '1280x720')
  .option('--fps <n>', 'frames per second, 1 to 60', '30')
  .option('-b, --bitrate <kbps>', 'of the picture, kbit/s; by size and rate when left out')
  .option('--audio-profile <n>', '0: 48 kbit/s mono, 1: 128 kbit/s mono, 2: 192 kbit/s stereo', '1')
  .option('--left <uids>', 'who is heard on the left alone, as 1,2, or others; the sound is stereo then')
  .option('--right <uids>', 'who is heard on the right alone')
  .option('-u, --users <uids>', 'only these users, as 1,2,3')
  .option(
    '--from <moment>',
    'where to begin, in seconds of the recording, of a sid also as for cut; its first sound or picture when left out',
  )
  .option('--to <moment>', 'where to end; when the last user left when left out')
  .option(
    '-o, --output <file>',
    'the MP4; when left out <sid>_<cname>_mix.mp4 beside the manifest, or <sid>_mix.mp4 here',
  )
  .option(
    '--mp4-max-duration <seconds>',
    'at this length the MP4 ends and another begins, named after it with _1',
    '7200',
  )
  .option('--mp4-max-bytes <n>', 'at this size likewise', '2000000000')
  .option('--hls', 'make a playlist and slices as well, beside the MP4')
  .option('--no-video', 'sound alone')
  .option('--no-audio', 'picture alone')
  .option('--strict', 'refuse when files are missing, instead of leaving gaps')
  .option('-f, --force', 'replace an output that exists')
  .option('-a, --app <appid>', 'of a sid: App ID; needed only when several are configured')
  .option('-k, --keys <json>', 'of a sid: accessKey, secretKey and stsToken of its store: JSON or a file')
  .option('--json', 'of a sid: print what is known of the mix as JSON')
  .option('-q, --quiet', 'tell warnings and errors only')
  .addHelpText(
    'after',
    `
Examples:
  aircheck mix rec/5f…_room_manifest.json
  aircheck mix rec/5f…_room_manifest.json --layout best-fit --size 1920x1080 -o room.mp4
  aircheck mix rec/5f…_room_manifest.json --layout vertical --max-resolution-uid 7 --from 60 --to 180
  aircheck mix rec/5f…_room_manifest.json --layout-config regions.json --background-color '#202020'
  aircheck mix rec/5f…_room_manifest.json --users 7,8 --no-video -o voices.mp4
  aircheck mix rec/5f…_room_manifest.json --left 7 --right others --no-video -o call.mp4
  aircheck mix 5f…3a --layout best-fit --users 7,8 --from 14:02 --to 14:07

The server makes one mix at a time beside what it records, and keeps the MP4 for a while. Ctrl-C calls it off.
The path of each MP4 is printed on standard output, all else on standard error.
Exit codes: 0 done (maybe with warnings), 1 refused or failed, with nothing written.`,
  )
  .action(async (recording: string, words: MixWords) => {
    const { isSid } = await import('./own-recording.ts');
    if (isSid(recording)) {
      const { mixLater } = await import('./mix-later.ts');
      await mixLater(recording, words);
    } else {
      const { mix } = await import('./mix.ts');
      await mix(recording, words);
    }
  });

program
  .command('cut <sid>')
  .description('cut a stretch out of a recording as an MP4, without transcoding, also while it is being recorded')
  .requiredOption('--from <moment>', 'where it begins: 14:02, 842.5, +14:02 or 2026-05-04T14:02:00Z; see below')
  .requiredOption('--to <moment>', 'where it ends, likewise')
  .option('-u, --uid <uid>', 'whose picture and sound, of a recording of single users')
  .option('-a, --app <appid>', 'App ID; needed only when several are configured')
  .option(
    '-k, --keys <json>',
    'accessKey, secretKey and stsToken of the store of a recording that has ended: JSON or a file',
  )
  .option('-o, --output <file>', 'the MP4; <sid>_<from>-<to>.mp4 here when left out')
  .option('-f, --force', 'replace an output that exists')
  .option('-q, --quiet', 'tell errors only')
  .option('--json', 'print what is known of the cut as JSON')
  .addHelpText(
    'after',
    `
Moments:
  14:02, 14:02:30.5     time of day, in the time zone of this command, first reached by the recording
  842, 842.5            seconds of the recording as it plays, without its holds
  +14:02, +1:14:02      minutes and seconds of it, hours too
  2026-05-04T14:02:00Z  a moment of any time zone

Examples:
  aircheck cut 5f…3a --from 14:02 --to 14:07
  aircheck cut 5f…3a --from 842 --to +19:02 -o part.mp4
  aircheck cut 5f…3a --uid 7 --from 2026-05-04T14:02:00+02:00 --to 2026-05-04T14:07:00+02:00

The path of the MP4 is printed on standard output, all else on standard error.
Exit codes: 0 done, 1 refused or failed, with nothing written.`,
  )
  .action(async (sid: string, words: CutWords) => {
    const { cut } = await import('./cut.ts');
    await cut(sid, words);
  });

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
  .action(async (given: string) => {
    const { testStore } = await import('./store-test.ts');
    await testStore(given);
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
