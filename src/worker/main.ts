/**
 * The recorder process: Commands in, Facts out over the child's IPC channel, one run in between, or several that share
 * the process (ADR 0024). It ends with its run; one that is shared ends when the server lets go of it. When the control
 * process vanishes it finishes its files first, as the next server uploads what lies on the spool.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { MessageChannel } from 'node:worker_threads';
import { type Command, commandSchema, type PrepareCommand, type StartCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { Plan } from '../contract/line/plan.ts';
import { systemClock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { stackOf } from '../kernel/stack.ts';
import type { RecordingContext } from '../pipeline/recording.ts';
import { loadMode } from '../pipeline/start-recording.ts';
import type { PreparedPage } from '../pipeline/web/prepared-page.ts';
import { liveFrames } from '../stages/codec/native-frames.ts';
import { HostedRun } from './hosted-run.ts';
import { ProcessShares } from './process-shares.ts';

/** Exit codes that tell the parent why it ended (0: as it should). */
const EXIT = { failed: 70, noParent: 71 } as const;
/**
 * Node makes small buffers out of pieces of this size. A recorder that passes on holds a second of them for each user:
 * pieces of 64 kB, as usual, fill holes in the memory of C and hold them open, and each further user costs half as much
 * again.
 */
const PASSING_POOL_BYTES = 256 * 1024;

/**
 * Runs one recorder until it is to end; the returned code is the process's exit code.
 * @param mode of the recordings that are to come; the code of others is loaded only if one of them comes
 * @param environment as of RecordingContext
 */
export function runRecorder(
  mode: Plan['mode'],
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
    /** By sid. */
    const runs = new Map<string, HostedRun>();
    /** In whose work something was begun: what nobody catches of it ends that run alone. */
    const within = new AsyncLocalStorage<HostedRun>();
    const shares = new ProcessShares(() => {
      const { user, system } = process.cpuUsage();
      // The system counts the peak in kilobytes.
      const peakRssBytes = process.resourceUsage().maxRSS * 1024;
      return { cpuUs: user + system, rssBytes: process.memoryUsage.rss(), peakRssBytes };
    });
    let preparedPage: PreparedPage | undefined;
    let isShared = false;
    /** No run is begun any more, and the process ends with the last. */
    let isLeaving = false;
    let isOver = false;

    const send = (fact: Fact, then?: () => void) => {
      if (process.connected) process.send?.(fact, undefined, undefined, () => then?.());
      else then?.();
    };
    /** A page that was made ready and that no recording took is closed first. */
    const leave = (code: number) => {
      if (isOver) return;
      isOver = true;
      Promise.resolve(preparedPage?.close())
        .catch(() => {})
        .finally(() => exit(code));
    };
    const leaveIfDone = (code: number) => {
      if (runs.size > 0 || (isShared && !isLeaving)) return;
      // A leak that no test has found must be reported where it happens.
      const left = liveFrames();
      if (left > 0 && code === 0) process.stderr.write(`aircheck recorder: ${left} native frames were not freed\n`);
      leave(code);
    };
    /** Nobody knows whose fault it was: the process ends, and with it all its runs. */
    const fail = (error: unknown) => {
      const [first, ...others] = runs.values();
      if (first && others.length === 0) first.abort(error);
      else {
        process.stderr.write(`${stackOf(error)}\n`);
        leave(EXIT.failed);
      }
    };
    const failWithin = (error: unknown) => {
      const run = within.getStore();
      if (run && runs.has(run.start.plan.sid)) run.abort(error);
      else fail(error);
    };

    const prepare = async ({ place }: PrepareCommand) => {
      const { PreparedPage } = await import('../pipeline/web/prepared-page.ts');
      const { NOBODY } = await import('../stages/source/page/page-source.ts');
      // Nobody waits for it yet: what it comes to is told to the recording that is to have it.
      if (preparedPage || runs.size > 0) return;
      const page = new PreparedPage({ ...environment, place, clock }, `${process.pid}-0`);
      preparedPage = page;
      const unused = (why: unknown) => {
        if (preparedPage !== page) return;
        process.stderr.write(`aircheck recorder: the browser that was kept ready is gone: ${messageOf(why)}\n`);
        leave(EXIT.failed);
      };
      page.source.listen({ ...NOBODY, onLost: ({ why }) => unused(new Error(why)) });
      page.start().then(() => send({ type: 'prepared', atMs: clock.nowMs(), generation: 0 }), unused);
    };

    const start = (command: StartCommand) => {
      const { sid } = command.plan;
      if (runs.has(sid) || (runs.size > 0 && !isShared)) {
        process.stderr.write(
          `aircheck recorder: a start of ${sid} came twice, or beside another run, and was ignored\n`,
        );
        return;
      }
      isShared = command.shared === true;
      if (isLeaving) {
        const message = 'the recorder process was told to end';
        const told = { atMs: clock.nowMs(), sid, generation: command.generation };
        send({ type: 'ended', reason: 'failed', recorded: false, message, ...told });
        return;
      }
      const run = new HostedRun({
        start: command,
        clock,
        context: { ...environment, preparedPage },
        usage: () => shares.of(sid),
        send,
        onOver: (failed) => {
          shares.remove(sid);
          runs.delete(sid);
          leaveIfDone(failed && !isShared ? EXIT.failed : 0);
        },
      });
      // It is the run's from now on, which closes it.
      preparedPage = undefined;
      runs.set(sid, run);
      shares.add(sid, () => run.packets());
      within.run(run, () => run.begin());
    };
    const obey = (command: Command) => {
      if (command.type === 'prepare') void prepare(command);
      else if (command.type === 'start') start(command);
      else tellRun(command);
    };
    const tellRun = (command: Exclude<Command, PrepareCommand | StartCommand>) => {
      const run = runs.get(command.sid);
      // Of a run that has just ended more may be on its way.
      if (run?.start.generation === command.generation) within.run(run, () => run.obey(command));
    };
    const windUp = () => {
      isLeaving = true;
      for (const run of runs.values()) run.stop(clock.monoUs());
      leaveIfDone(0);
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
    process.on('uncaughtException', failWithin);
    process.on('unhandledRejection', failWithin);
    loadMode(mode).then(() => {
      // Constants of the modules lie in smaller pieces, which they keep for good.
      if (mode === 'individual') Buffer.poolSize = PASSING_POOL_BYTES;
      send({ type: 'ready', atMs: clock.nowMs(), generation: 0 });
    }, fail);
  });
}
