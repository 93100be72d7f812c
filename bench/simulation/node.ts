/**
 * SimulatedNode: what a node of a fleet asks of the database, by the server's own code and on its timers, without a
 * server around it. It can die as a killed process does.
 */
import { type Clock, systemClock, type Timer } from '../../src/kernel/clock.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import type { TaskHold } from '../../src/session/hold.ts';
import type { Connection, Database } from '../../src/store/database.ts';
import { NodeTables } from '../../src/store/node-tables.ts';
import { Ownership } from '../../src/store/ownership.ts';
import { PlaceTables } from '../../src/store/place-tables.ts';
import { RecordingTables } from '../../src/store/recording-tables.ts';
import type { Vault } from '../../src/store/vault.ts';

/** How often a server looks for tasks to claim, and after the homes of its channels. */
const SWEEP_MS = 1_000;
const HOMES_MS = 5_000;

/** What the nodes tell the measurement, all times in milliseconds. */
export type Watch = {
  renewed(tookMs: number | undefined): void;
  swept(tookMs: number): void;
  /** A claim took tasks. */
  claimed(tasks: readonly TaskHold[], tookMs: number): void;
  lookedAfterHomes(tookMs: number): void;
  failed(error: unknown): void;
};

export class SimulatedNode {
  readonly ownership: Ownership;
  readonly tables: RecordingTables;
  readonly places: PlaceTables;
  readonly nodes: NodeTables;
  readonly holds = new Map<string, TaskHold>();
  readonly #mortal: Mortal;
  readonly #watch: Watch;

  private constructor(mortal: Mortal, ownership: Ownership, vault: Vault, watch: Watch) {
    this.#mortal = mortal;
    this.#watch = watch;
    this.ownership = ownership;
    this.tables = new RecordingTables(mortal.database, ownership, vault, undefined, true);
    this.places = new PlaceTables(mortal.database);
    this.nodes = new NodeTables(mortal.database);
  }

  /** Registers node number `n`, which renews its lease from now on. */
  static async begin(n: number, database: Database, vault: Vault, watch: Watch): Promise<SimulatedNode> {
    const mortal = new Mortal(database);
    const line = () => {};
    const ownership = await Ownership.begin({
      ...{ database: mortal.database, clock: mortal.clock, folder: newHexId(), bootId: newHexId() },
      log: { debug: line, info: line, warn: line, error: line },
      onRenewal: (tookUs) => {
        if (!mortal.isDead) watch.renewed(tookUs === undefined ? undefined : tookUs / 1000);
      },
    });
    const node = new SimulatedNode(mortal, ownership, vault, watch);
    const facts = {
      ...{ name: `node-${n}`, version: '1.0.0' },
      ...{ nodeUrl: `http://10.0.${n >> 8}.${n & 255}:7302`, publicUrl: `https://node-${n}.example.com` },
    };
    await ownership.announce(facts, () => ({
      capacity: { cores: 16, bytes: 64e9 },
      load: { cores: 4 + Math.random() * 8, bytes: 16e9 + Math.random() * 32e9 },
      ...{ recordings: node.holds.size, publishers: 10 * node.holds.size, calls: {} },
    }));
    return node;
  }

  get isDead(): boolean {
    return this.#mortal.isDead;
  }

  /** Looks for tasks to claim and for lost ones each second from now on, as `HeldTasks` does. */
  sweepTasks(): void {
    this.#often(SWEEP_MS, async () => {
      const began = performance.now();
      for (const sid of await this.tables.lostOf([...this.holds.values()])) this.holds.delete(sid);
      const claiming = performance.now();
      const { tasks } = await this.tables.claimTasks([...this.holds.keys()]);
      for (const { hold } of tasks) this.holds.set(hold.sid, hold);
      const now = performance.now();
      this.#watch.swept(now - began);
      const taken = tasks.map(({ hold }) => hold);
      if (taken.length > 0) this.#watch.claimed(taken, now - claiming);
    });
  }

  /** Looks after the homes of its channels every five seconds from now on, as `openFleet` does. */
  sweepHomes(): void {
    this.#often(HOMES_MS, async () => {
      const began = performance.now();
      const { owner } = this.ownership;
      await this.places.keepHomes(owner, [], []);
      await this.places.releaseHomes(owner, [], Date.now(), false);
      await this.places.elsewhere(owner, []);
      this.#watch.lookedAfterHomes(performance.now() - began);
    });
  }

  /** Ends as a killed process does: its connection breaks, and it gives nothing up. */
  die(): Promise<void> {
    return this.#mortal.die();
  }

  async end(): Promise<void> {
    if (this.isDead) return;
    this.#mortal.stopTimers();
    await this.ownership.close();
  }

  /** At its own moment of each period; a turn that takes longer than a period leaves the next one out. */
  #often(periodMs: number, turn: () => Promise<void>): void {
    let running = false;
    const run = async () => {
      if (running || this.isDead) return;
      running = true;
      await turn().catch((error: unknown) => {
        if (!this.isDead) this.#watch.failed(error);
      });
      running = false;
    };
    const { clock } = this.#mortal;
    clock.after(Math.random() * periodMs, () => clock.every(periodMs, () => void run()));
  }
}

/** The clock and the database of one process, which are gone with it. */
class Mortal {
  readonly clock: Clock;
  readonly database: Database;
  readonly #timers = new Set<Timer>();
  readonly #connections = new Set<Connection>();
  #isDead = false;

  constructor(database: Database) {
    const keep = (timer: Timer) => {
      this.#timers.add(timer);
      return timer;
    };
    this.clock = {
      ...systemClock,
      after: (delayMs, run) => keep(systemClock.after(delayMs, () => !this.#isDead && run())),
      every: (periodMs, run) => keep(systemClock.every(periodMs, () => !this.#isDead && run())),
    };
    this.database = {
      ...database,
      connect: async (onLost) => {
        const connection = await database.connect(onLost);
        this.#connections.add(connection);
        return connection;
      },
    };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  stopTimers(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  async die(): Promise<void> {
    this.#isDead = true;
    this.stopTimers();
    await Promise.all([...this.#connections].map((connection) => connection.close().catch(() => {})));
  }
}
