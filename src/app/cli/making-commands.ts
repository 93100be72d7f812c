/** The commands that make an MP4 of what was recorded: mix and cut. Each loads what it needs when it runs. */
import { type Command, Option } from 'commander';
import type { CutWords } from './cut.ts';
import { reaching } from './everyday/commands.ts';
import type { MixWords } from './mix-options.ts';

export function addMakingCommands(program: Command): void {
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
    .option('--server <url>', 'of a sid: a server elsewhere, as https://record.example.com')
    .option('-a, --app <appid>', 'of a sid: App ID; needed only when several are configured')
    .option('--customer <id:secret>', 'of a sid: who asks; a customer of the settings when left out')
    .option('-k, --keys <json>', 'of a sid: accessKey, secretKey and stsToken of its store: JSON or a file')
    .option('--json', 'print what is known of the mix as JSON')
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

  reaching(program.command('cut <sid>'))
    .description('cut a stretch out of a recording as an MP4, without transcoding, also while it is being recorded')
    .requiredOption('--from <moment>', 'where it begins: 14:02, 842.5, +14:02 or 2026-05-04T14:02:00Z; see below')
    .requiredOption('--to <moment>', 'where it ends, likewise')
    .option('-u, --uid <uid>', 'whose picture and sound, of a recording of single users')
    .option(
      '-k, --keys <json>',
      'accessKey, secretKey and stsToken of the store of a recording that has ended: JSON or a file',
    )
    .option('-o, --output <file>', 'the MP4; <sid>_<from>-<to>.mp4 here when left out')
    .option('-f, --force', 'replace an output that exists')
    .option('-q, --quiet', 'tell errors only')
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
}
