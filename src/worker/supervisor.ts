/**
 * Supervisor: the processes that do the work of runs. It starts them or keeps some ready, sees to it that they end, and
 * tells why each one ended, in words.
 */

import type { PrepareCommand, StartCommand } from '../contract/line/commands.ts';
import type { CompleteCommand } from '../contract/line/complete.ts';
import type { Plan } from '../contract/line/plan.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { RecorderPort, RecorderProcess, RunListener, SessionLog } from '../session/ports.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import type { Pong } from './child-run.ts';
import { type CompleteRunOptions, CompleteRuns } from './complete-runs.ts';
import type { Running } from './cost.ts';
import type { Forks } from './forks.ts';
import { isAlive, killGroup } from './process-identity.ts';
import { RecorderChild } from './recorder-child.ts';
import type { Sharing } from './sharing.ts';
import { type Mode, WarmRecorders } from './warm-recorders.ts';

export type SupervisorOptions = {
  clock: Clock;
  log: SessionLog;
  /** Starts all processes; whoever opened it closes it after this. */
  forks: Forks;
  /** The script that is run. */
  entry: string;
  /** Its arguments for a recorder; the mode of its recordings follows them. */
  args: readonly string[];
  /** Its arguments for a process that completes a recording. */
  completeArgs: readonly string[];
  /** The environment of the processes. */
  env: Record<string, string | undefined>;
  /** What recorders of a mode have besides. */
  ofMode?: Partial<Record<Mode, OfMode>>;
  /** A recorder that has work but is not ready after this time is ended, so that another can take its place. */
  readyTimeoutMs: number;
  /** From the stop Command to SIGTERM; SIGKILL follows some seconds later. */
  stopTimeoutMs: number;
  /** How many recorders are kept ready for each mode in use. */
  warmRecorders: number;
  sharing: Sharing;
  /** How many recordings are completed at once, and how long one may take. */
  completeParallel: number;
  completeTimeoutMs: number;
};

type OfMode = {
  /** Flags of Node. */
  flags: readonly string[];
  /** Added to the environment of all recorders. */
  env: Record<string, string>;
  /** What recorders that wait make ready, and how many are kept ready from the server's start on. */
  ready?: { count: number; prepare(): PrepareCommand | undefined };
};

/**
 * After a start the machine is left alone for this long: making the next recorder ready takes more of it than a process
 * at rest.
 */
const REFILL_MS = 1_000;
const PREPARE_AFTER_MS = 5_000;

/** A recorder at work. `pong` is its newest answer. */
export type AtWork = Running & { pong: Pong | undefined };

export class Supervisor implements RecorderPort {
  #options: SupervisorOptions;
  #atWork = new Set<RecorderChild>();
  #warm: WarmRecorders;
  #completeRuns: CompleteRuns;
  #released = false;

  constructor(options: SupervisorOptions) {
    const { clock, log, forks, entry, env, completeArgs, completeParallel, completeTimeoutMs, warmRecorders } = options;
    this.#options = options;
    const readyOf = (mode: Mode) => options.ofMode?.[mode]?.ready;
    this.#warm = new WarmRecorders({
      ...{ clock, log },
      count: (mode) => readyOf(mode)?.count ?? warmRecorders,
      refillMs: (mode) => (readyOf(mode) ? PREPARE_AFTER_MS : REFILL_MS),
      isBusy: () => [...this.#atWork].some((child) => !child.isReady),
      spawn: (mode) => this.#spawn(mode, true),
    });
    this.#completeRuns = new CompleteRuns({
      clock,
      log,
      forks,
      entry,
      args: completeArgs,
      env,
      parallel: completeParallel,
      timeoutMs: completeTimeoutMs,
    });
  }

  /** Makes a recorder ready for the first start, and pages where they are wanted. */
  warmUp(): void {
    this.#warm.keep('mix');
    if (this.#options.ofMode?.web?.ready) this.#warm.keep('web');
  }

  /** Whether a recorder is ready for a start in this mode. */
  isWarm(mode: Mode): boolean {
    return this.#warm.isReady(mode);
  }

  launch(start: StartCommand, listener: RunListener): RecorderProcess {
    if (this.#released)
      throw new Fault('recorder-not-started', 'the server is ending', { blame: 'self', retryable: true });
    const { plan } = start;
    if (!this.#options.sharing.mayShare(plan)) return this.#childFor(start).assign(start, listener);
    const child = this.#options.sharing.find(plan, this.#atWork) ?? this.#childFor(start);
    return child.assign({ ...start, shared: true }, listener);
  }

  /** Whether a recording would come into a process that is there for others. */
  hasRoomFor(plan: Plan): boolean {
    const { sharing } = this.#options;
    return sharing.mayShare(plan) && sharing.find(plan, this.#atWork) !== undefined;
  }

  /** A process without work. A recording whose recorder was lost stands still until this one has begun. */
  #childFor({ plan: { mode }, generation }: StartCommand): RecorderChild {
    const mayBeLent = generation > 1 && mode !== 'web' && !this.#warm.isReady(mode);
    const child = (mayBeLent ? this.#warm.lend() : undefined) ?? this.#warm.take(mode) ?? this.#spawn(mode);
    this.#atWork.add(child);
    void child.exited.then(() => this.#atWork.delete(child));
    return child;
  }

  isAlive(process: ProcessIdentity): boolean {
    return isAlive(process);
  }

  endOrphan(process: ProcessIdentity): void {
    killGroup(process);
  }

  complete(command: CompleteCommand, options: CompleteRunOptions): Promise<void> {
    return this.#completeRuns.run(command, options);
  }

  /** Recorders at work, by sid. */
  atWork(): Map<string, AtWork> {
    const found = new Map<string, AtWork>();
    for (const { runs } of this.#atWork)
      for (const [i, { start, pong, seen }] of runs.entries()) {
        const isDegraded = (pong?.rung ?? 'full') !== 'full';
        found.set(start.plan.sid, { plan: start.plan, pong, seen, isDegraded, joins: i > 0 });
      }
    return found;
  }

  /** The newest answer of each running process, by sid. */
  pongs(): Map<string, Pong> {
    return new Map([...this.atWork()].flatMap(([sid, { pong }]) => (pong ? [[sid, pong] as const] : [])));
  }

  /** Kills what still runs, and resolves when all are gone. */
  async close(): Promise<void> {
    const atWork = [...this.#atWork];
    for (const child of atWork) child.kill();
    await Promise.all([this.#warm.close(), this.#completeRuns.close(), ...atWork.map((child) => child.exited)]);
  }

  /**
   * For a server that cannot go on: lets go of recorders, so that they finish their files as they do when their server
   * is gone. Resolves when they have ended, or after `timeoutMs`; none is killed.
   */
  async release(timeoutMs: number): Promise<void> {
    this.#released = true;
    const atWork = [...this.#atWork];
    for (const child of atWork) child.release();
    const over = new AbortController();
    await Promise.race([
      Promise.all(atWork.map((child) => child.exited)),
      sleep(this.#options.clock, timeoutMs, over.signal).catch(() => {}),
    ]);
    over.abort();
    await Promise.all([this.#warm.close(), this.#completeRuns.close()]);
  }

  /** @param waits the recorder waits for work, and makes ready what its mode says */
  #spawn(mode: Mode, waits = false): RecorderChild {
    const { clock, log, forks, entry, args, env, ofMode, readyTimeoutMs, stopTimeoutMs, sharing } = this.#options;
    const own = ofMode?.[mode];
    return new RecorderChild({
      clock,
      log,
      forks,
      entry,
      args: [...args, mode],
      env: { ...env, ...own?.env },
      flags: own?.flags ?? [],
      prepare: waits ? own?.ready?.prepare() : undefined,
      readyTimeoutMs,
      stopTimeoutMs,
      onDied: (sids) => sharing.suspect(sids),
    });
  }
}
