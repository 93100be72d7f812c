/**
 * RecorderChild: one recorder process, in a process group of its own. It may wait for its work (a warm one), and have
 * one run or several (ADR 0024). Each of its Facts is checked, it is watched while it works, and when it ends
 * everything that it started ends too.
 */
import type { Command, PrepareCommand, StartCommand } from '../contract/line/commands.ts';
import { type Fact, factSchema } from '../contract/line/facts.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import type { RecorderProcess, RunListener, SessionLog } from '../session/ports.ts';
import { ChildRun, type RunProcess } from './child-run.ts';
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
  /** As of ChildRun. */
  stopTimeoutMs: number;
  /** It died with these runs in it, and which of them it died of is not known. Called before they are told. */
  onDied?(sids: readonly string[]): void;
};

const PING_EVERY_TICKS = 2;
/** A process that leaves this many pings unanswered hangs. */
const MAX_UNANSWERED = 5;
/** A process that has no run any more ends within this time. */
const LEAVE_MS = 5_000;

export class RecorderChild implements RunProcess {
  readonly exited: Promise<void>;
  #process: Fork;
  #options: RecorderChildOptions;
  /** Those that are not over, by sid. */
  #runs = new Map<string, ChildRun>();
  #ticks: Timer;
  #isReady = false;
  #isShared = false;
  /** It takes no further run. */
  #isClosed = false;
  #unanswered = 0;
  /** Seconds since it got its work; those in which this process stood still are not counted. */
  #workingTicks = 0;
  /** Why this process ended it, which says more than the signal that it died of; and which run was to blame. */
  #killedFor: string | undefined;
  #blamed: ChildRun | undefined;
  /** Seconds since it was let go of. */
  #leavingTicks: number | undefined;

  /** Starts the process. Throws a Fault when there is no fork server to start it. */
  constructor(options: RecorderChildOptions) {
    const { clock, forks, entry, args, env, flags, log } = options;
    this.#options = options;
    const exited = Promise.withResolvers<void>();
    this.exited = exited.promise;
    this.#process = forks.start(
      { entry, args, env, flags },
      {
        onStarted: (process) => {
          for (const { listener } of this.#runs.values()) listener.onProcess(process);
        },
        onMessage: (message) => this.#hear(message),
        onLine: (_from, line) => log.warn({ ...this.#who(), pid: this.#process.identity?.pid }, `recorder: ${line}`),
        onClosed: (end) => {
          this.#ticks.cancel();
          this.#lose(end);
          exited.resolve();
        },
      },
    );
    this.#ticks = steadyTicks(clock, (late) => this.#tick(late));
  }

  /** The runs in it that are not over. */
  get runs(): readonly ChildRun[] {
    return [...this.#runs.values()];
  }

  /** Whether it has started and waits for work. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether it can take one more run, of this recording. */
  takes(sid: string): boolean {
    if (this.#isClosed || this.#runs.has(sid)) return false;
    return this.#runs.size === 0 || this.#isShared;
  }

  /** Gives it a run. The run waits until the process is ready, however long the machine takes for that. */
  assign(start: StartCommand, listener: RunListener): RecorderProcess {
    this.#isShared = start.shared === true;
    const run = new ChildRun({ start, listener, process: this, stopTimeoutMs: this.#options.stopTimeoutMs });
    this.#runs.set(run.sid, run);
    const { identity } = this.#process;
    // Called later, so that whoever launches it has the process in hand first.
    if (identity) queueMicrotask(() => listener.onProcess(identity));
    if (this.#isReady) run.begin(this.#options.clock.nowMs());
    return run;
  }

  hasOthers(run: ChildRun): boolean {
    return this.runs.some((each) => each !== run);
  }

  send(command: Command): void {
    this.#process.send(command);
  }

  kill(): void {
    this.#isClosed = true;
    this.#process.kill();
  }

  killFor(run: ChildRun): void {
    this.#blamed ??= run;
    this.kill();
  }

  /** Asks it to end in order. */
  terminate(): void {
    this.#isClosed = true;
    this.#process.terminate();
  }

  /** Lets go of the process: it finishes its files and ends by itself, and nobody listens to it any more. */
  release(): void {
    this.#ticks.cancel();
    this.#isClosed = true;
    this.#runs.clear();
    this.#process.disconnect();
  }

  #who(): object {
    const runs = this.runs.map(({ sid, start: { generation } }) => ({ sid, generation }));
    return runs.length > 1 ? { sids: runs.map(({ sid }) => sid) } : { ...runs[0] };
  }

  #hear(message: unknown): void {
    const { log, clock, prepare } = this.#options;
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
      this.#workingTicks = 0;
      for (const run of this.#runs.values()) run.begin(clock.nowMs());
      if (this.#runs.size === 0 && prepare) this.send(prepare);
      return;
    }
    if (fact.type === 'prepared') {
      log.info({ pid: this.#process.identity?.pid }, 'a browser is kept ready');
      return;
    }
    const run = this.#runs.get(fact.sid ?? '');
    if (run?.start.generation !== fact.generation) return;
    if (fact.type === 'ended' && this.#isShared) this.#finish(run, fact);
    else run.hear(fact);
  }

  /** A run is over, and its process is not. */
  #finish(run: ChildRun, fact: Extract<Fact, { type: 'ended' }>): void {
    this.#runs.delete(run.sid);
    // What failed one run may be about to fail others; and a process that was told to end from outside ends them all.
    if (fact.reason === 'failed' || (fact.reason === 'stopped' && !run.isStopping)) this.#isClosed = true;
    if (this.#runs.size === 0) {
      this.#isClosed = true;
      this.#leavingTicks = 0;
      this.#process.disconnect();
    }
    run.hear(fact);
    run.listener.onExit(run.killedFor ?? `the run has ended: ${fact.message || fact.reason}`);
  }

  #lose(end: ForkEnd): void {
    const runs = this.runs;
    this.#runs.clear();
    this.#isClosed = true;
    // That the process which starts others is gone is no run's fault; and where one is blamed, the others are not.
    const suspects = this.#blamed ? [this.#blamed] : 'lost' in end ? [] : runs;
    if (this.#isShared) this.#options.onDied?.(suspects.map(({ sid }) => sid));
    for (const run of runs) run.listener.onExit(run.killedFor ?? this.#killedFor ?? wordsOf(end));
  }

  #tick(late: boolean): void {
    if (late) return;
    if (this.#leavingTicks !== undefined && ++this.#leavingTicks * TICK_MS >= LEAVE_MS) this.kill();
    if (this.#runs.size === 0) return;
    const { readyTimeoutMs } = this.#options;
    this.#workingTicks++;
    for (const run of this.#runs.values()) run.tick();
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
    for (const run of this.#runs.values()) run.ping();
  }

  #kill(why: string): void {
    this.#killedFor ??= why;
    this.kill();
  }
}

function wordsOf(end: ForkEnd): string {
  if ('lost' in end) return `the recorder process was lost: ${end.lost}`;
  const { code, signal } = end;
  return signal ? `the recorder process was ended by ${signal}` : `the recorder process ended with exit code ${code}`;
}
