/**
 * HeldTasks: the tasks that this server owns, each with its runner until it has ended. It takes over those that a
 * server which died left unfinished, lets go of those that another server has taken, and ends all in order.
 */
import type { Plan } from '../contract/line/plan.ts';
import { sleep, type Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
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
  #claiming: Promise<void> | undefined;
  #closing = false;
  /** What other nodes have stored and has got its place here, by recording, folder and time. */
  readonly #recalled = new Set<string>();

  /** @param resources keeps the resources of the tasks, and forgets them with the tasks */
  constructor(ports: TaskPorts, resources: Resources) {
    this.#ports = ports;
    this.#resources = resources;
  }

  /** How many tasks have not ended, uploads included. */
  get size(): number {
    return this.#runners.size;
  }

  /** True once `close` was called. */
  get closing(): boolean {
    return this.#closing;
  }

  get(sid: string): TaskRunner | undefined {
    return this.#runners.get(sid);
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
    if (!store.shared) return;
    this.#claims = clock.every(CLAIM_EVERY_MS, () => {
      this.#claiming ??= this.#claim()
        .catch((error) =>
          log.debug(
            { error: messageOf(error) },
            'the database could not be asked for unfinished recordings; it is asked again',
          ),
        )
        .finally(() => {
          this.#claiming = undefined;
        });
    });
  }

  /**
   * Ends all tasks as a stop would, and waits at most `timeoutMs` for their uploads. What is not done by then stays on
   * the spool for the next server.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    this.#claims?.cancel();
    await this.#claiming;
    const runners = [...this.#runners.values()];
    for (const runner of runners) void runner.dispatch({ type: 'shutdownRequested' });
    const over = new AbortController();
    await Promise.race([
      Promise.all(runners.map((runner) => runner.ended)),
      sleep(this.#ports.clock, timeoutMs, over.signal).catch(() => {}),
    ]);
    over.abort();
    for (const runner of this.#runners.values()) {
      const { sid } = runner.task;
      this.#ports.log.warn({ sid }, 'not all files are uploaded; the next start of the server goes on with them');
      runner.abandon();
    }
  }

  async #claim(): Promise<void> {
    const { store, spool, log } = this.#ports;
    for (const sid of await store.lostOf([...this.#runners.values()].map(({ hold }) => hold)))
      this.#runners.get(sid)?.fence();
    await this.#recall();
    if (this.#closing) return;
    const { tasks, unreadable } = await store.claimTasks(await spool.sids());
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
