/** The commands for every day: recording, publishing, and looking at what was recorded. Each loads what it needs. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { AccessWords } from './access.ts';
import type { EventsWords } from './events.ts';
import type { McpWords } from './mcp.ts';
import type { PublishWords } from './publish.ts';
import type { RecordWords } from './record-request.ts';
import type { RecordingsWords } from './recordings.ts';
import type { RemovePersonWords } from './remove-person.ts';
import type { RetentionWords } from './retention.ts';
import type { StopWords } from './stop.ts';
import type { WatchWords } from './watch.ts';

const LAYOUTS = ['floating', 'best-fit', 'vertical'];
const MODES = ['mix', 'individual', 'web'];
const STATES = ['pending', 'delivered', 'dead', 'unwanted'];

/** Where the server is and who asks; without them, the server of the settings at hand. */
export function reaching(command: Command): Command {
  return command
    .option('--server <url>', 'a server elsewhere, as https://record.example.com')
    .option('-a, --app <appid>', 'App ID; needed only when several are configured')
    .option('--customer <id:secret>', 'who asks; the first customer of the settings when left out')
    .option('--json', 'print the same as JSON');
}

export function addEverydayCommands(program: Command): void {
  reaching(program.command('record <channel>'))
    .description('record a channel until Ctrl-C, and say where the files are')
    .addOption(
      new Option('-m, --mode <mode>', 'mix: one picture of all; individual; web: a page').choices(MODES).default('mix'),
    )
    .option('-u, --uid <uid>', 'the recorder’s uid in the channel; any free one when left out')
    .option('-t, --token <token>', 'RTC token for that uid; made with the app’s certificate when left out')
    .addOption(new Option('-l, --layout <kind>', 'where users stand').choices(LAYOUTS).default('best-fit'))
    .option('-s, --size <size>', 'width and height of the picture', '1280x720')
    .option('--fps <n>', 'frames per second: of mix 1, 7, 10, 15, 24, 30 or 60, of web 5 to 60', '30')
    .option('-b, --bitrate <kbps>', 'of the picture, kbit/s; by size and rate when left out')
    .option('--no-mp4', 'make slices and a playlist alone')
    .option('--page <address>', 'the page that mode web records')
    .option('--bucket <name>', 'folder of the server’s own store', 'recordings')
    .option(
      '--storage <json>',
      'another store: a storageConfig as JSON, a file that holds one, or - for standard input',
    )
    .option('--idle <seconds>', 'end when the channel has been empty for so long')
    .option('--for <seconds>', 'stop after so long', wholeSeconds)
    .option('--request <json>', 'members of start’s clientRequest, in place of those that the options make')
    .addHelpText(
      'after',
      `
Examples:
  aircheck record room
  aircheck record room --mode individual --for 600
  aircheck record talk --layout vertical --size 1920x1080 --storage s3.json
  aircheck record page --mode web --page https://example.com/live

The paths of the files are printed on standard output, all else on standard error.
Exit codes: 0 recorded, 1 refused or failed, 2 something of it is missing.`,
    )
    .action(async (channel: string, words: RecordWords & AccessWords) => {
      const { record } = await import('./record.ts');
      await record(channel, words);
    });

  reaching(program.command('stop <sid>'))
    .description('stop a recording, and say what its files are called')
    .option('--no-wait', 'do not wait until all files are stored')
    .action(async (sid: string, words: StopWords) => {
      const { stop } = await import('./stop.ts');
      await stop(sid, words);
    });

  reaching(program.command('publish <source>'))
    .description('send a file into a channel; with the word camera a camera of this machine, with test a made picture')
    .requiredOption('-c, --channel <name>', 'channel name')
    .option('-u, --uid <uid>', 'who publishes', '1')
    .option('-t, --token <token>', 'RTC token for that uid; made with the app’s certificate when left out')
    .option('-s, --size <size>', 'width and height; pictures of a file are fitted in', '1280x720')
    .option('--fps <n>', 'frames per second, 1 to 60', '30')
    .option('-b, --bitrate <kbps>', 'of the picture, kbit/s', '1500')
    .option('--loop', 'begin the file again when it is over')
    .option('--device <path>', 'of camera: which, as /dev/video0; needed only when there are several')
    .option('--sound <device>', 'of camera: a device of ALSA, as plughw:1, or none; the usual one when left out')
    .option('--for <seconds>', 'end after so long', wholeSeconds)
    .addHelpText(
      'after',
      `
Examples:
  aircheck publish test --channel room
  aircheck publish talk.mp4 --channel room --uid 2 --loop
  aircheck publish camera --channel room --uid 3
  aircheck publish camera --channel room --device /dev/video2 --sound none

What is sent is H.264 and Opus, by FFmpeg’s own WHIP client. Exit codes: 0 sent, 1 refused or failed.`,
    )
    .action(async (source: string, words: PublishWords) => {
      const { publish } = await import('./publish.ts');
      await publish(source, words);
    });

  reaching(program.command('recordings'))
    .description('list recordings, the newest first')
    .option('-c, --channel <name>', 'only of this channel')
    .option('--state <state>', 'only running, uploading, ended or failed ones')
    .addOption(new Option('-m, --mode <mode>', 'only of this mode').choices(MODES))
    .option('--search <text>', 'only with this text in their channel, uid or sid')
    .option('-n, --limit <n>', 'at most so many', wholeCount, 20)
    .action(async (words: RecordingsWords) => {
      const { recordings } = await import('./recordings.ts');
      await recordings(words);
    });

  reaching(program.command('show <sid>'))
    .description('say what is known of a recording, with its timeline: who was there, what came and what did not')
    .action(async (sid: string, words: AccessWords) => {
      const { show } = await import('./show.ts');
      await show(sid, words);
    });

  reaching(program.command('retention <sid>'))
    .description('say how long the files of a recording are kept and what was deleted, or change that')
    .option('--days <n>', 'keep them for so many days after its end; 0 for ever', wholeDays)
    .option('--hold [reason]', 'put it under a legal hold: nothing is deleted while that lasts')
    .option('--release', 'lift the legal hold')
    .option('--delete', 'delete all its files now; needs --yes')
    .option('--yes', 'that is meant')
    .option('--access-key <key>', 'of a store whose keys the server has forgotten, with --days or --delete')
    .option('--secret-key <key>', 'likewise')
    .addHelpText(
      'after',
      `
Examples:
  aircheck retention 5f…3a
  aircheck retention 5f…3a --days 90
  aircheck retention 5f…3a --hold "case 2026/117"
  aircheck retention 5f…3a --delete --yes`,
    )
    .action(async (sid: string, words: RetentionWords) => {
      const { retention } = await import('./retention.ts');
      await retention(sid, words);
    });

  reaching(program.command('remove-person <sid> [uid]'))
    .description('remove one person from a recording of single users, or say who was removed from it')
    .option('--yes', 'that is meant; without it, what would be removed is said')
    .option('--access-key <key>', 'of a store whose keys the server has forgotten')
    .option('--secret-key <key>', 'likewise')
    .addHelpText(
      'after',
      `
Examples:
  aircheck remove-person 5f…3a          # who was removed
  aircheck remove-person 5f…3a 42       # what would go
  aircheck remove-person 5f…3a 42 --yes

Exit codes: 0 done, 1 refused or failed, 2 something keeps the person there for now.`,
    )
    .action(async (sid: string, uid: string | undefined, words: RemovePersonWords) => {
      const { removePerson } = await import('./remove-person.ts');
      await removePerson(sid, uid, words);
    });

  reaching(program.command('watch <sid>'))
    .description('print an address by which a recording can be watched, also while it is recorded')
    .option('-u, --uid <uid>', 'of this user, where every user is recorded alone')
    .option('--for <seconds>', 'how long the address is good; what the server is set to when left out', wholeCount)
    .addHelpText(
      'after',
      `
Whoever has the address can watch until its time is over:
  mpv "$(aircheck watch 5f…3a --for 7200)"`,
    )
    .action(async (sid: string, words: WatchWords) => {
      const { watch } = await import('./watch.ts');
      await watch(sid, words);
    });

  reaching(program.command('events'))
    .description('list what recordings told, and whether it was delivered')
    .option('--sid <sid>', 'only of this recording')
    .addOption(new Option('--state <state>', 'only in this state').choices(STATES))
    .option('-n, --limit <n>', 'only so many of the newest', wholeCount, 50)
    .option('-f, --follow', 'go on with those that come')
    .option('--again <noticeId>', 'send this one again, now')
    .addHelpText(
      'after',
      '\nWith --json each event is one line. Exit codes: 0 done, 1 refused, or not taken by its receiver.',
    )
    .action(async (words: EventsWords) => {
      const { events } = await import('./events.ts');
      await events(words);
    });

  program
    .command('inspect <file>')
    .description('say what is in a file, an M3U8 or an MPD: streams, times, gaps, colours, and whether it is whole')
    .option('--json', 'print the same as JSON')
    .addHelpText('after', '\nExit codes: 0 whole, 1 not readable, 2 something is wrong with it.')
    .action(async (file: string, words: { json?: boolean }) => {
      const { inspect } = await import('./inspect.ts');
      await inspect(file, words);
    });

  reaching(program.command('mcp'))
    .description('serve the Model Context Protocol on standard input and output, for assistants')
    .option('--allow-changes', 'with tools that start and stop recordings; without it they only read')
    .action(async (words: McpWords) => {
      const { mcp } = await import('./mcp.ts');
      await mcp(words);
    });

  program
    .command('completion <shell>')
    .description('print what completes the commands in bash, zsh or fish')
    .addHelpText(
      'after',
      `
  bash  source <(aircheck completion bash)
  zsh   source <(aircheck completion zsh)
  fish  aircheck completion fish | source`,
    )
    .action(async (shell: string) => {
      const { completion } = await import('./completion.ts');
      process.stdout.write(completion(shell, program));
    });
}

function wholeSeconds(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a whole number of seconds, at least 1.');
  return Number(text);
}

function wholeCount(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError('It is a whole number from 1 to 99999.');
  return Number(text);
}

function wholeDays(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('It is a whole number of days; 0 is for ever.');
  return Number(text);
}
