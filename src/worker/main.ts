/**
 * The recorder process: Commands in, Facts out over the child's IPC channel, one recording in between. It ends with the
 * recording. When the control process vanishes it finishes its files first, as the next server uploads what lies on the
 * spool.
 */
import { MessageChannel } from 'node:worker_threads';
import { type Command, commandSchema, type PrepareCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import { systemClock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { Happening, Recording, RecordingContext } from '../pipeline/recording.ts';
import { startRecording } from '../pipeline/start-recording.ts';
import { PreparedPage } from '../pipeline/web/prepared-page.ts';
import { liveFrames } from '../stages/codec/native-frames.ts';
import { NOBODY } from '../stages/source/page/page-source.ts';

/** Exit codes that tell the parent why it ended (0: as it should). */
const EXIT = { badCommand: 64, failed: 70, noParent: 71 } as const;

/**
 * Runs one recorder until its recording ends; the returned code is the process's exit code.
 * @param environment as of RecordingContext
 */
export function runRecorder(
  environment: Pick<RecordingContext, 'useXAuthority' | 'startPusher'> = {},
): Promise<number> {
  const clock = systemClock;
  // Our timers keep no process alive. When the server is killed its channel goes too, and without this port the
  // recorder would end in the middle of finishing its files.
  new MessageChannel().port1.on('message', () => {});
  return new Promise((exit) => {
    if (!process.send) {
      process.stderr.write('aircheck recorder: this command is started by `aircheck serve`, not by people\n');
      exit(EXIT.noParent);
      return;
    }
    let recording: Promise<Recording> | undefined;
    let run: Recording | undefined;
    let preparedPage: PreparedPage | undefined;
    let generation = 0;
    let finished = false;

    const told = () => ({ atMs: clock.nowMs(), generation });
    const send = (fact: Fact, then?: () => void) => {
      if (process.connected) process.send?.(fact, undefined, undefined, () => then?.());
      else then?.();
    };
    const emit = (happening: Happening) => send({ ...happening, ...told() } as Fact);
    const finish = (happening: Extract<Happening, { type: 'ended' }>, code: number) => {
      if (finished) return;
      finished = true;
      send({ ...happening, ...told() }, () => leave(code));
    };
    const fail = (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      finish({ type: 'ended', reason: 'failed', recorded: false, message: messageOf(error) }, EXIT.failed);
    };

    const prepare = ({ place }: PrepareCommand) => {
      // Nobody waits for it yet: what it comes to is told to the recording that is to have it.
      if (preparedPage || recording) return;
      preparedPage = new PreparedPage({ ...environment, place, clock }, `${process.pid}-0`);
      const unused = (why: unknown) => {
        if (!recording) fail(why);
      };
      preparedPage.source.listen({ ...NOBODY, onLost: ({ why }) => unused(new Error(why)) });
      preparedPage.start().then(() => emit({ type: 'prepared' }), unused);
    };

    const obey = (command: Command) => {
      if (command.type === 'prepare') return prepare(command);
      if (command.type !== 'start' && command.generation !== generation && generation > 0) return;
      switch (command.type) {
        case 'start':
          if (recording !== undefined) return;
          generation = command.generation;
          recording = startRecording(command, { clock, emit, machine, preparedPage, ...environment });
          recording
            .then((begun) => {
              run = begun;
              return begun.done;
            })
            .then((ending) => {
              // A leak that no test has found must be reported where it happens.
              const left = liveFrames();
              if (left > 0) process.stderr.write(`aircheck recorder: ${left} native frames were not freed\n`);
              finish({ type: 'ended', ...ending }, 0);
            })
            .catch(fail);
          return;
        case 'stop':
          if (!recording)
            finish({ type: 'ended', reason: 'stopped', recorded: false, message: 'stopped before it began' }, 0);
          recording?.then((run) => run.stop(command.atMonoUs, 'stopped')).catch(fail);
          return;
        case 'changeLayout':
        case 'changeOverlays':
        case 'changeSubscription':
        case 'changeHold':
        case 'changePushes':
          // A change waits until the recording has started, and later changes wait behind it.
          if (!recording)
            process.stderr.write(`aircheck recorder: ${command.type} came before start and was ignored\n`);
          recording?.then((run) => run.change(command)).catch(fail);
          return;
        case 'ping':
          answer(command.n);
          return;
      }
    };
    const answer = (n: number) => {
      const cpu = process.cpuUsage();
      const pong = { type: 'pong', n, rssBytes: process.memoryUsage.rss(), cpuUs: cpu.user + cpu.system } as const;
      // Answered while the recording starts too: that may take long on a busy machine, and the process does not hang.
      const programs = run?.programs?.();
      const rung = run?.rung?.();
      emit({ ...pong, lagUs: run?.lagUs() ?? 0, ...(rung && { rung }), ...(programs && { programs }) });
    };
    const machine = () => {
      const { user, system } = process.cpuUsage();
      // The system counts this figure in kilobytes.
      return { cpuUs: user + system, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
    };
    /** A page that was made ready and that no recording took is closed first. */
    const leave = (code: number) => {
      const unused = recording ? undefined : preparedPage?.close();
      Promise.resolve(unused)
        .catch(() => {})
        .finally(() => exit(code));
    };
    const windUp = () => {
      if (!recording) leave(0);
      recording?.then((run) => run.stop(clock.monoUs(), 'stopped')).catch(fail);
    };

    process.on('message', (message) => {
      const parsed = commandSchema.safeParse(message);
      if (parsed.success) obey(parsed.data);
      else process.stderr.write(`aircheck recorder: a command is malformed and was ignored: ${parsed.error.message}\n`);
    });
    process.on('disconnect', windUp);
    process.on('SIGTERM', windUp);
    // Ctrl-C reaches the whole process group; only the parent decides what it means for a recording.
    process.on('SIGINT', () => {});
    // Once the server is gone nobody reads this stream; that must not end a recording that is finishing its files.
    process.stderr.on('error', () => {});
    process.on('uncaughtException', fail);
    process.on('unhandledRejection', fail);
    emit({ type: 'ready' });
  });
}
