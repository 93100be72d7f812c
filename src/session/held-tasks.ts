/**
 * HeldTasks: the tasks that this server owns, each with its runner until it has ended. It takes over those that a
 * server which died left unfinished, lets go of those that another server has taken, and ends all in order.
 */
import type { Plan } from '../contract/line/plan.ts';
import { sleep, type Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { LeavingTasks } from './leaving-tasks.ts';
import type { TaskPorts } from './ports.ts';
import type { Resources } from './resources.ts';
import { isRunning, type Task, type TaskState } from './task.ts';
import { TaskRunner } from './task-runner.ts';

/** How often tasks without an owner are looked for, and own tasks that another server has taken. */
const CLAIM_EVERY_MS = 1_000;

/** A task that has not ended. */
export type HeldTask = Pick<Task, 'sid' | 'appid'> & {
  mode: Plan['mode'];
  phase: TaskState['phase'];
  isRunning: boolean;
};

export class HeldTasks {
  readonly #ports: TaskPorts;
  readonly #resources: Resources;
  readonly #runners = new Map<string, TaskRunner>();
  #claims: Timer | undefined;
  /** Set while a node is overdue, until its lease ends. */
  #leaseEnd: Timer | undefined;
  #claiming: Promise<void> | undefined;
  #closing = false;
  /** What other nodes have stored and has got its place here, by recording, folder and time. */
  readonly #recalled = new Set<string>();
  /** Whether other nodes are to take over what is recorded here. */
  #isOffering = false;
  readonly #leaving = new LeavingTasks();
  #tidying: Promise<void> | undefined;

  /** @param resources keeps the resources of the tasks, and forgets them with the tasks */
  constructor(ports: TaskPorts, resources: Resources) {
    this.#ports = ports;
    this.#resources = resources;
  }

  /**
   * How many tasks have not ended, uploads included, and how many that another node has taken over are not stored yet
   * as far as they were recorded here.
   */
  get size(): number {
    return this.#runners.size + this.#leaving.size;
  }

  /** True once `close` was called. */
  get closing(): boolean {
    return this.#closing;
  }

  get(sid: string): TaskRunner | undefined {
    return this.#runners.get(sid);
  }

  /** Whether another node has taken the task over as planned, a moment ago. */
  hasMoved(sid: string): boolean {
    return this.#leaving.has(sid);
  }

  /** The tasks that have not ended, and whether they still record. */
  list(): HeldTask[] {
    return [...this.#runners.values()].map(({ task: { sid, appid, document }, state: { phase } }) => {
      return { sid, appid, mode: document.plan.mode, phase, isRunning: phase === 'new' || phase === 'recording' };
    });
  }

  /** How many tasks of an app occupy their channel and uid. */
  running(appid: string): number {
    let count = 0;
    for (const { task, state } of this.#runners.values()) if (task.appid === appid && isRunning(state)) count++;
    return count;
  }

  /** Keeps a runner until its task has ended, and then forgets its resource. */
  add(runner: TaskRunner): TaskRunner {
    const { sid, resourceId } = runner.task;
    this.#runners.set(sid, runner);
    void runner.ended.then(() => {
      this.#runners.delete(sid);
      this.#resources.forget(resourceId, sid);
      if (runner.leaving !== undefined) this.#leaving.add(sid, runner.leaving);
      this.#ports.onChanged?.(sid);
    });
    return runner;
  }

  /**
   * Goes on with what a server that died left unfinished: now and, where other servers share the database, whenever a
   * task of this data folder has lost its owner. Rejects when the database cannot be read.
   */
  async recover(): Promise<void> {
    const { store, spool, clock, log } = this.#ports;
    await this.#claim();
    // After a power cut the database may lack the last seconds (ADR 0013), and so a recording that had just begun.
    for (const sid of await store.unknownOf(await spool.sids()))
      log.warn({ sid }, `the database knows no such recording; its files stay in ${spool.pathOf(sid)}`);
    // Not awaited: it may be a day's recording, and calls wait for this server.
    this.#tidying = this.#tidy();
    if (!store.shared) return;
    this.#claims = clock.every(CLAIM_EVERY_MS, () => this.#look());
  }

  /**
   * Removes what a server that died left on the spool of recordings that had ended, all of whose files are where they
   * belong. Nobody else would: it would take room for ever, and count as what recordings may take.
   */
  async #tidy(): Promise<void> {
    const { store, spool, log } = this.#ports;
    try {
      await spool.sweep();
      for (const sid of await store.storedOf(await spool.sids())) {
        if (this.#closing) return;
        const { leftovers } = await spool.read(sid);
        // What a crash left unfinished is nowhere else.
        if (leftovers.every(({ bytes }) => bytes === 0)) await spool.remove(sid);
      }
    } catch (error) {
      const text =
        'what is left on the spool of recordings that have ended cannot be removed; the next start tries again';
      log.warn({ error: messageOf(error) }, text);
    }
  }

  #look(): void {
    this.#claiming ??= this.#claim()
      .catch((error) =>
        this.#ports.log.debug(
          { error: messageOf(error) },
          'the database could not be asked for unfinished recordings; it is asked again',
        ),
      )
      .finally(() => {
        this.#claiming = undefined;
      });
  }

  /**
   * Has other nodes take over what is recorded here and can move (ADR 0029), also what begins to be recorded later; or
   * keeps it here. Rejects when the database cannot be written.
   */
  async offer(offered: boolean): Promise<void> {
    this.#isOffering = offered;
    await this.#offer();
  }

  async #offer(): Promise<void> {
    const { store } = this.#ports;
    const offered = this.#isOffering;
    const runners = [...this.#runners.values()].filter((each) => each.isOffered !== offered && each.mayMove);
    // Another node may have one before this one is told that the offer is stored.
    if (offered) await Promise.all(runners.map((runner) => runner.setOffered(true)));
    const own = await store.offer(
      runners.map(({ task }) => task.sid),
      offered,
    );
    if (!offered) for (const sid of own) await this.#runners.get(sid)?.setOffered(false);
  }

  /** Resolves once no recording is left here that another node could take over, or after `timeoutMs`. */
  handedOver(timeoutMs: number): Promise<void> {
    const moving = [...this.#runners.values()].filter(({ mayMove }) => mayMove);
    return this.#within(timeoutMs, Promise.all(moving.map(({ ended }) => ended)));
  }

  /**
   * Ends all tasks as a stop would, and waits at most `timeoutMs` for their uploads, and for what is left here of tasks
   * that other nodes have. What is not done by then stays on the spool for the next server.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    await this.#claiming;
    const runners = [...this.#runners.values()];
    for (const runner of runners) void runner.dispatch({ type: 'shutdownRequested' });
    const ended = Promise.all(runners.map((runner) => runner.ended));
    await this.#within(
      timeoutMs,
      ended.then(() => this.#leaving.gone()),
    );
    await this.#endClaims();
    for (const runner of this.#runners.values()) {
      const { sid } = runner.task;
      this.#ports.log.warn({ sid }, 'not all files are uploaded; the next start of the server goes on with them');
      runner.abandon();
    }
  }

  /**
   * Lets go of all tasks as they are: none is noted as ended, so that the next server goes on with each. Recorders must
   * have been let go before.
   */
  async leave(): Promise<void> {
    this.#closing = true;
    await this.#endClaims();
    for (const runner of this.#runners.values()) {
      const { sid, cname } = runner.task;
      this.#ports.log.info({ sid, cname }, 'left as it is; the next start of the server goes on with it');
      runner.abandon();
    }
  }

  async #endClaims(): Promise<void> {
    this.#claims?.cancel();
    this.#leaseEnd?.cancel();
    await this.#claiming;
    await this.#tidying;
  }

  async #within(timeoutMs: number, work: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    await Promise.race([work, sleep(this.#ports.clock, timeoutMs, over.signal).catch(() => {})]);
    over.abort();
  }

  async #claim(): Promise<void> {
    const { store, spool, strays, log, clock } = this.#ports;
    for (const sid of await store.lostOf([...this.#runners.values()].map(({ hold }) => hold)))
      this.#runners.get(sid)?.fence();
    await this.#recall();
    await this.#leaving.look((sids) => strays.mine(sids));
    if (this.#closing) return;
    if (this.#isOffering) await this.#offer();
    const { tasks, unreadable, leaseEndsInMs } = await store.claimTasks(await spool.sids());
    this.#leaseEnd?.cancel();
    // Recordings of a node that is gone wait for the end of its lease, and for no second beyond it.
    if (leaseEndsInMs !== undefined) this.#leaseEnd = clock.after(leaseEndsInMs, () => this.#look());
    for (const { sid, why } of unreadable)
      log.error({ sid }, `an unfinished recording cannot be read, and its files stay on the spool: ${why}`);
    for (const { task, state, hold, resource, runs, left } of tasks) {
      this.#resources.keep(resource);
      const runner = this.add(new TaskRunner(task, state, hold, this.#ports));
      void runner.resume(runs, left);
    }
  }

  /** Looks for what nodes that are back have stored of the recordings here. */
  async #recall(): Promise<void> {
    const sids = [...this.#runners].filter(([, runner]) => runner.wasElsewhere).map(([sid]) => sid);
    if (sids.length === 0) return;
    for (const { sid, folder, storedMs } of await this.#ports.strays.of(sids)) {
      const what = `${sid} ${folder} ${storedMs}`;
      if (storedMs === undefined || this.#recalled.has(what)) continue;
      await this.#runners.get(sid)?.recall();
      this.#recalled.add(what);
    }
  }
}
