/**
 * ChildRun: one run in a recorder process, as the server sees it. Commands go down to it and its Facts come up; a run
 * that is deaf to a stop is ended: alone, where that works, or with its process.
 */
import type { ChangeCommand, Command, StartCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { HostUs } from '../kernel/time.ts';
import type { RecorderProcess, RunListener } from '../session/ports.ts';
import type { Cost } from './cost.ts';
import { TICK_MS } from './steady-ticks.ts';

export type Pong = Extract<Fact, { type: 'pong' }>;

/** The process that the run is in. */
export type RunProcess = {
  /** Whether it has started, and takes Commands. */
  readonly isReady: boolean;
  /** Whether other runs are in it now. */
  hasOthers(run: ChildRun): boolean;
  send(command: Command): void;
  /** Asks it to end. */
  terminate(): void;
  /** Ends it by force, as this run is to blame. */
  killFor(run: ChildRun): void;
};

export type ChildRunOptions = {
  start: StartCommand;
  listener: RunListener;
  process: RunProcess;
  /** From the stop Command to the run's end by force; that of its process follows `KILL_AFTER_MS` later. */
  stopTimeoutMs: number;
};

/** A recorder's cost is measured over so many answers, half a minute, and not from its beginning, which costs more. */
const SEEN_PONGS = 15;
const KILL_AFTER_MS = 5_000;

export class ChildRun implements RecorderProcess {
  readonly start: StartCommand;
  readonly listener: RunListener;
  readonly #o: ChildRunOptions;
  /** Its latest answers, oldest first. */
  #pongs: Pong[] = [];
  #pings = 0;
  /** Seconds since it was told to stop, and to give up; those in which this process stood still are not counted. */
  #stoppingTicks: number | undefined;
  #abortingTicks: number | undefined;
  /** Commands that came before `start` was sent, in order. */
  #early: Command[] = [];
  #begun = false;
  /** Why this process ended it, which says more than the signal that its process died of. */
  #killedFor: string | undefined;

  constructor(options: ChildRunOptions) {
    this.#o = options;
    this.start = options.start;
    this.listener = options.listener;
  }

  get sid(): string {
    return this.start.plan.sid;
  }

  /** Its newest answer. */
  get pong(): Pong | undefined {
    return this.#pongs.at(-1);
  }

  get isStopping(): boolean {
    return this.#stoppingTicks !== undefined;
  }

  get killedFor(): string | undefined {
    return this.#killedFor;
  }

  /** What it has been seen to take lately; undefined until it has been watched for long enough, past its beginning. */
  get seen(): Cost | undefined {
    const [first, last] = [this.#pongs[0], this.#pongs.at(-1)];
    if (!first || !last || this.#pongs.length < SEEN_PONGS) return undefined;
    // More than half of what a page costs is taken by its programs.
    if (this.start.plan.mode === 'web' && !first.programs) return undefined;
    const cpuUs = (pong: Pong) => pong.cpuUs + (pong.programs?.cpuUs ?? 0);
    const bytes = last.rssBytes + (last.programs?.memoryBytes ?? 0);
    return { cores: (cpuUs(last) - cpuUs(first)) / ((last.atMs - first.atMs) * 1000), bytes };
  }

  stop(atMonoUs: HostUs): void {
    if (this.isStopping) return;
    this.#stoppingTicks = 0;
    this.#tell({ type: 'stop', atMonoUs, ...this.#address });
  }

  /** After a stop there is nothing left to change, and the command is ignored. */
  change(command: ChangeCommand): void {
    if (!this.isStopping) this.#tell({ ...command, ...this.#address });
  }

  kill(): void {
    this.#endByForce('it was ended by force');
  }

  /** Sends its `start`, and what came before; the process is ready. @param nowMs wall time */
  begin(nowMs: number): void {
    const { start, listener, process } = this.#o;
    this.#begun = true;
    const ready: Fact = { type: 'ready', atMs: nowMs, generation: start.generation };
    queueMicrotask(() => listener.onFact(ready));
    process.send(start);
    for (const command of this.#early.splice(0)) process.send(command);
  }

  ping(): void {
    this.#o.process.send({ type: 'ping', n: ++this.#pings, ...this.#address });
  }

  hear(fact: Fact): void {
    if (fact.type === 'pong') {
      this.#pongs.push(fact);
      if (this.#pongs.length > SEEN_PONGS) this.#pongs.shift();
    }
    this.listener.onFact(fact);
  }

  /** One more second has passed in which this process ran. */
  tick(): void {
    const { process, stopTimeoutMs } = this.#o;
    // A process that is not ready has received nothing yet.
    if (!process.isReady) return;
    if (this.#abortingTicks !== undefined && ++this.#abortingTicks * TICK_MS >= KILL_AFTER_MS) process.killFor(this);
    if (this.#stoppingTicks === undefined) return;
    const sinceMs = ++this.#stoppingTicks * TICK_MS;
    if (sinceMs >= stopTimeoutMs + KILL_AFTER_MS) process.killFor(this);
    else if (sinceMs >= stopTimeoutMs && this.#killedFor === undefined) {
      this.#killedFor = `the recorder had not finished ${stopTimeoutMs} ms after a stop`;
      if (process.hasOthers(this)) this.#endByForce(this.#killedFor);
      else process.terminate();
    }
  }

  get #address(): { sid: string; generation: number } {
    return { sid: this.sid, generation: this.start.generation };
  }

  /** Ends the run, and nothing that others need: where there are others it is told to give up. */
  #endByForce(why: string): void {
    const { process } = this.#o;
    if (!process.hasOthers(this)) process.killFor(this);
    else if (this.#abortingTicks === undefined) {
      this.#abortingTicks = 0;
      this.#tell({ type: 'abort', why, ...this.#address });
    }
  }

  /**
   * Commands wait until `start` has been sent: a stop before it would end the run, and nothing of what the feed holds
   * already would be recorded.
   */
  #tell(command: Command): void {
    if (this.#begun) this.#o.process.send(command);
    else this.#early.push(command);
  }
}
