/**
 * RecorderChild: one recorder process, in a process group of its own. It may wait for its work (a warm one). Each of
 * its Facts is checked, it is watched while it works, and when it ends everything that it started ends too.
 */

import type { ChangeCommand, Command, PrepareCommand, StartCommand } from '../contract/line/commands.ts';
import { type Fact, factSchema } from '../contract/line/facts.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { HostUs } from '../kernel/time.ts';
import type { RecorderProcess, RunListener, SessionLog } from '../session/ports.ts';
import type { Cost } from './cost.ts';
import type { Fork, ForkEnd, Forks } from './forks.ts';
import { steadyTicks, TICK_MS } from './steady-ticks.ts';

export type RecorderChildOptions = {
  clock: Clock;
  log: SessionLog;
  forks: Forks;
  /** The script that is run, and its arguments. */
  entry: string;
  args: readonly string[];
  env: Record<string, string | undefined>;
  /** Flags of Node itself. */
  flags: readonly string[];
  /** What it makes ready while it waits for its work. */
  prepare?: PrepareCommand | undefined;
  /** A process that has work but has not become ready in this time is ended, so that another can take its place. */
  readyTimeoutMs: number;
  /** From the stop Command to SIGTERM; SIGKILL follows `KILL_AFTER_MS` later. */
  stopTimeoutMs: number;
};
export type Pong = Extract<Fact, { type: 'pong' }>;

const PING_EVERY_TICKS = 2;
/** A recorder's cost is measured over so many answers, half a minute, and not from its beginning, which costs more. */
const SEEN_PONGS = 15;
/** A process that leaves this many pings unanswered hangs. */
const MAX_UNANSWERED = 5;
const KILL_AFTER_MS = 5_000;

export class RecorderChild implements RecorderProcess {
  readonly exited: Promise<void>;
  /** Its latest answers, oldest first. */
  #pongs: Pong[] = [];
  #process: Fork;
  #options: RecorderChildOptions;
  #work: { start: StartCommand; listener: RunListener } | undefined;
  #ticks: Timer;
  #isReady = false;
  #unanswered = 0;
  #pings = 0;
  /**
   * Seconds since it got its work, and since it was told to stop; seconds in which this process stood still are not
   * counted.
   */
  #workingTicks = 0;
  #stoppingTicks: number | undefined;
  /** Commands that came before `start` was sent, in order. */
  #early: Command[] = [];
  /** Why this process ended it, which says more than the signal that it died of. */
  #killedFor: string | undefined;

  /** Starts the process. Throws a Fault when there is no fork server to start it. */
  constructor(options: RecorderChildOptions) {
    const { clock, forks, entry, args, env, flags, log } = options;
    this.#options = options;
    const exited = Promise.withResolvers<void>();
    this.exited = exited.promise;
    this.#process = forks.start(
      { entry, args, env, flags },
      {
        onStarted: (process) => this.#work?.listener.onProcess(process),
        onMessage: (message) => this.#hear(message),
        onLine: (_from, line) => log.warn({ ...this.#who(), pid: this.#process.identity?.pid }, `recorder: ${line}`),
        onClosed: (end) => {
          this.#ticks.cancel();
          this.#work?.listener.onExit(this.#killedFor ?? wordsOf(end));
          exited.resolve();
        },
      },
    );
    this.#ticks = steadyTicks(clock, (late) => this.#tick(late));
  }

  get plan(): StartCommand['plan'] | undefined {
    return this.#work?.start.plan;
  }

  /** Its newest answer. */
  get pong(): Pong | undefined {
    return this.#pongs.at(-1);
  }

  /** What it has been seen to take lately; undefined until it has been watched for long enough, past its beginning. */
  get seen(): Cost | undefined {
    const [first, last] = [this.#pongs[0], this.#pongs.at(-1)];
    if (!first || !last || this.#pongs.length < SEEN_PONGS) return undefined;
    // More than half of what a page costs is taken by its programs.
    if (this.plan?.mode === 'web' && !first.programs) return undefined;
    const cpuUs = (pong: Pong) => pong.cpuUs + (pong.programs?.cpuUs ?? 0);
    const bytes = last.rssBytes + (last.programs?.memoryBytes ?? 0);
    return { cores: (cpuUs(last) - cpuUs(first)) / ((last.atMs - first.atMs) * 1000), bytes };
  }

  /** Whether it has started and waits for work. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Gives it its work, once. The work waits until the process is ready, however long the machine takes for that. */
  assign(start: StartCommand, listener: RunListener): void {
    this.#work = { start, listener };
    const { identity } = this.#process;
    // Called later, so that whoever launches it has the process in hand first.
    if (identity) queueMicrotask(() => listener.onProcess(identity));
    if (this.#isReady) this.#begin(this.#work);
  }

  stop(atMonoUs: HostUs): void {
    if (this.#stoppingTicks !== undefined) return;
    this.#stoppingTicks = 0;
    this.#tell({ type: 'stop', atMonoUs, generation: this.#generation });
  }

  /** After a stop there is nothing left to change, and the command is ignored. */
  change(command: ChangeCommand): void {
    if (this.#stoppingTicks === undefined) this.#tell({ ...command, generation: this.#generation });
  }

  kill(): void {
    this.#process.kill();
  }

  /** Asks a process that waits for work to end in order. */
  terminate(): void {
    this.#process.terminate();
  }

  /** Lets go of the process: it finishes its files and ends by itself, and nobody listens to it any more. */
  release(): void {
    this.#ticks.cancel();
    this.#work = undefined;
    this.#process.disconnect();
  }

  get #generation(): number {
    return this.#work?.start.generation ?? 0;
  }

  #who(): object {
    return { sid: this.plan?.sid, generation: this.#work?.start.generation };
  }

  #begin({ start, listener }: { start: StartCommand; listener: RunListener }): void {
    this.#workingTicks = 0;
    const ready: Fact = { type: 'ready', atMs: this.#options.clock.nowMs(), generation: start.generation };
    queueMicrotask(() => listener.onFact(ready));
    this.#send(start);
    for (const command of this.#early.splice(0)) this.#send(command);
  }

  #hear(message: unknown): void {
    const { log } = this.#options;
    const parsed = factSchema.safeParse(message);
    if (!parsed.success) {
      log.error(this.#who(), `a fact of the recorder is malformed and was ignored: ${parsed.error.message}`);
      return;
    }
    const fact = parsed.data;
    // Any answer shows that it lives.
    this.#unanswered = 0;
    if (fact.type === 'ready') {
      this.#isReady = true;
      const { prepare } = this.#options;
      if (this.#work) this.#begin(this.#work);
      else if (prepare) this.#send(prepare);
      return;
    }
    if (fact.type === 'prepared') {
      log.info({ pid: this.#process.identity?.pid }, 'a browser is kept ready');
      return;
    }
    if (fact.type === 'pong') {
      this.#pongs.push(fact);
      if (this.#pongs.length > SEEN_PONGS) this.#pongs.shift();
    }
    this.#work?.listener.onFact(fact);
  }

  #tick(late: boolean): void {
    if (late || !this.#work) return;
    const { readyTimeoutMs } = this.#options;
    this.#workingTicks++;
    if (this.#stoppingTicks !== undefined) this.#watchStop(++this.#stoppingTicks * TICK_MS);
    if (!this.#isReady) {
      if (this.#workingTicks * TICK_MS >= readyTimeoutMs)
        this.#kill(`the recorder process was not ready after ${readyTimeoutMs} ms`);
      return;
    }
    if (this.#workingTicks % PING_EVERY_TICKS > 0) return;
    if (this.#unanswered >= MAX_UNANSWERED) {
      this.#kill(`the recorder process left ${this.#unanswered} pings unanswered`);
      return;
    }
    this.#unanswered++;
    this.#send({ type: 'ping', n: ++this.#pings, generation: this.#generation });
  }

  #watchStop(sinceMs: number): void {
    const { stopTimeoutMs } = this.#options;
    // A process that is not ready has not received the stop yet.
    if (!this.#isReady) this.#stoppingTicks = 0;
    else if (sinceMs >= stopTimeoutMs + KILL_AFTER_MS) this.kill();
    else if (sinceMs >= stopTimeoutMs && this.#killedFor === undefined) {
      this.#killedFor = `the recorder had not finished ${stopTimeoutMs} ms after a stop`;
      this.#process.terminate();
    }
  }

  #kill(why: string): void {
    this.#killedFor ??= why;
    this.kill();
  }

  /**
   * Commands wait until `start` has been sent: a stop before it would end the process, and nothing of what the feed
   * holds already would be recorded.
   */
  #tell(command: Command): void {
    if (this.#isReady) this.#send(command);
    else this.#early.push(command);
  }

  #send(command: Command): void {
    this.#process.send(command);
  }
}

function wordsOf(end: ForkEnd): string {
  if ('lost' in end) return `the recorder process was lost: ${end.lost}`;
  const { code, signal } = end;
  return signal ? `the recorder process was ended by ${signal}` : `the recorder process ended with exit code ${code}`;
}
