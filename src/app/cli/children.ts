/**
 * The commands that a server starts its processes with, by their first word. People type none of them, so nothing
 * describes them on the command line. Each loads what it needs when it runs.
 */
import { fork } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { childEnvironment, setVariable } from '../../config/child-environment.ts';
import type { Plan } from '../../contract/line/plan.ts';
import { Fault, isOutOfRoom, messageOf } from '../../kernel/fault.ts';
import { giveWay, NICENESS } from '../../kernel/priority.ts';

/** The script that this process was started with, which knows the commands below. */
const SCRIPT = process.argv[1] as string;
const MODES: readonly string[] = ['mix', 'individual', 'web'] satisfies Plan['mode'][];

/** Each resolves when its work is done, or ends the process itself. */
export const CHILDREN: ReadonlyMap<string, (...words: string[]) => Promise<void>> = new Map(
  Object.entries({
    /** Makes recordings of one mode. */
    async recorder(mode = '') {
      if (!isMode(mode))
        throw new Fault('mode-unknown', `recorder ${mode}: a mode is one of ${MODES.join(', ')}`, { blame: 'caller' });
      // A page is not to wait for its own recorder, which gives way to it when it has been opened.
      if (mode !== 'web') giveWay(NICENESS.recorder);
      const { runRecorder } = await import('../../worker/main.ts');
      const startPusher = () =>
        // The push process joins the recorder's process group and ends with it. Its flags keep it small.
        fork(SCRIPT, ['push'], {
          env: childEnvironment({}),
          execArgv: ['--max-semi-space-size=1', '--optimize-for-size', '--single-threaded-gc'],
          stdio: ['pipe', 'ignore', 'inherit', 'ipc'],
        });
      process.exit(await runRecorder(mode, { useXAuthority: (path) => setVariable('XAUTHORITY', path), startPusher }));
    },

    /** Pushes what a recorder sends it to live streams. */
    async push() {
      const { runPushes } = await import('../../stages/push/push-process.ts');
      process.exit(await runPushes());
    },

    /** Finishes the files of a recording that is over, as told on standard input. */
    async complete() {
      giveWay(NICENESS.recorder);
      const { completeRecording } = await import('../../pipeline/complete.ts');
      const command = await told();
      await tellingOfRoom(async () => {
        for (const name of await completeRecording(command)) process.stdout.write(`${name}\n`);
      });
    },

    /** Cuts a stretch out of a recording, as told on standard input. */
    async cutter() {
      giveWay(NICENESS.recorder);
      const { cutRecording } = await import('../../pipeline/cut/cut-recording.ts');
      const command = await told();
      await tellingOfRoom(async () => {
        const bytes = await cutRecording(command, {
          onProgress: (part) => process.stdout.write(`progress ${part.toFixed(3)}\n`),
        });
        process.stdout.write(`bytes ${bytes}\n`);
      });
    },

    /** Mixes a recording of single users, as told on standard input. */
    async mixer() {
      giveWay(NICENESS.afterwards);
      const { mixRecording } = await import('../../pipeline/remix/mix-recording.ts');
      const command = await told();
      await tellingOfRoom(async () => {
        const bytes = await mixRecording(command, {
          onProgress: (part) => process.stdout.write(`progress ${part.toFixed(4)}\n`),
          onProblem: (what) => process.stdout.write(`problem ${onOneLine(what)}\n`),
        });
        process.stdout.write(`bytes ${bytes}\n`);
      });
    },

    /** Draws thumbnails of key frames, as told by messages. */
    async thumbnails() {
      giveWay(NICENESS.afterwards);
      const { runThumbnails } = await import('../../worker/thumbnail-process.ts');
      process.exit(await runThumbnails());
    },

    /** Takes one user out of a file of every speaker, as told on standard input. */
    async 'without-speaker'() {
      giveWay(NICENESS.recorder);
      const { withoutSpeaker } = await import('../../stages/mux/mka/without-track.ts');
      const command = await told();
      await tellingOfRoom(async () => {
        try {
          process.stdout.write(`tracks ${await withoutSpeaker(command)}\n`);
        } catch (error) {
          // Said, not shown by how the process ends: whoever asked deletes the file then, and for nothing else.
          if (!(error instanceof Fault) || error.code !== 'speakers-unreadable') throw error;
          process.stdout.write(`unreadable ${onOneLine(error.message)}\n`);
        }
      });
    },
  }),
);

function isMode(word: string): word is Plan['mode'] {
  return MODES.includes(word);
}

async function told(): Promise<unknown> {
  return JSON.parse(await text(process.stdin));
}

/** Tells by the exit code where the disk had no room for what the work makes: it is tried again then. */
async function tellingOfRoom(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isOutOfRoom(error)) throw error;
    const { NO_ROOM_EXIT } = await import('../../contract/line/complete.ts');
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = NO_ROOM_EXIT;
  }
}

function onOneLine(words: string): string {
  return words.replaceAll(/\s+/g, ' ');
}
