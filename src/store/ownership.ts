/**
 * Ownership: this server's row among the owners, renewed each second with what it carries, and the tasks that it takes
 * over (ADR 0012, 0026). A task can be claimed only when its owner is surely gone; all leases go by the database's
 * clock.
 */
import { type BackOff, backOffMs } from '../kernel/back-off.ts';
import { type Clock, sleep, type Timer, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import { SteeredClock } from '../kernel/steered-clock.ts';
import type { HostUs } from '../kernel/time.ts';
import { fenced, type TaskHold } from '../session/hold.ts';
import type { SessionLog } from '../session/ports.ts';
import { CLAIM, LATE, LATE_MS, LEASE, LOCK_CLASS, LOOK } from './claim.ts';
import type { Connection, Database, Queryable, Repeatable, Row } from './database.ts';

export type OwnershipOptions = {
  database: Database;
  /** The data folder of this server: the files of other folders' tasks are elsewhere. */
  folder: string;
  /** Identifies this start of this machine. */
  bootId: string;
  clock: Clock;
  log: SessionLog;
  /** Told of each renewal after the first: how long it took, or undefined where it failed. */
  onRenewal?(durationUs: number | undefined): void;
};

/** What a server is as a node: it stays the same from its start to its end. */
export type NodeFacts = {
  name: string;
  version: string;
  /** How other nodes reach it; undefined where it is in no fleet. */
  nodeUrl: string | undefined;
  /** How publishers reach it; undefined where it is in no fleet. */
  publicUrl: string | undefined;
};
/** What a node has for recordings, and what it carries. */
export type NodeLoad = {
  /** What recordings may take together, in cores and bytes of memory. */
  capacity: { cores: number; bytes: number };
  /** What those at work take, by the cost model. */
  load: { cores: number; bytes: number };
  /** Recordings that have not ended, those among them whose files are still being stored. */
  recordings: number;
  publishers: number;
  /** Calls since the last renewal, by App ID. */
  calls: Record<string, number>;
};

/**
 * The protocol between nodes (`http/fleet`). A node speaks this one and all before it; raise it when a node of the
 * version before would misunderstand a request.
 */
export const WIRE = 2;

const RENEW_EVERY_MS = 1_000;
/** How often a server that may have lost its tasks looks whether it has renewed. */
const LOOK_AGAIN_MS = 200;
/**
 * Between attempts to connect. When the database comes back, all nodes come at once; and all must have renewed before
 * one that has may take the late ones for gone, which is a lease after its own return.
 */
const CONNECT_AGAIN: BackOff = { firstMs: 500, longestMs: 1_500, jitter: 0.5 };
/** A database that does not answer keeps no server from ending for longer than a lease, which runs out then anyway. */
const GIVE_BACK_WITHIN_MS = 4_000;

export class Ownership {
  readonly owner = newHexId();
  readonly folder: string;
  readonly #options: OwnershipOptions;
  #connection: Promise<Connection> | undefined;
  #isLocked = false;
  /** Connections that were lost, or could not be had, since the last renewal. */
  #losses = 0;
  /** Set while it waits before it connects again. */
  #connectAgain: Timer | undefined;
  #renewing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #failing = false;
  #isClosing = false;
  #node: { facts: NodeFacts; loadOf: () => NodeLoad } | undefined;
  #draining = false;
  /**
   * Tells the time by the database's clock: the same for all servers, however wrong their own clocks are. Each renewal
   * sets it right.
   */
  readonly clock: SteeredClock;
  /** Until when nobody can have claimed a task of this server, by its own clock. */
  #sureUntilUs: HostUs = Number.NEGATIVE_INFINITY;
  /** Counts the renewals whose answer came too late to have been sure of that all the time. */
  #term = 0;

  private constructor(options: OwnershipOptions) {
    this.#options = options;
    this.folder = options.folder;
    this.clock = new SteeredClock(options.clock);
  }

  /** Registers this server as an owner. Rejects when the database cannot be written. */
  static async begin(options: OwnershipOptions): Promise<Ownership> {
    const ownership = new Ownership(options);
    try {
      await ownership.renew();
      await options.database.query(
        // The last one of a data folder tells for longer since when its server is gone, and what it was called.
        `delete from owners o where lease_until < now() - interval '1 day'
           and not exists (select 1 from tasks t where t.owner = o.owner and t.ended_ms is null)
           and (lease_until < now() - interval '30 days'
             or exists (select 1 from owners n where n.folder = o.folder and n.lease_until > o.lease_until))`,
      );
      await options.database.query(
        'delete from homes h where not exists (select 1 from owners o where o.owner = h.owner)',
      );
    } catch (error) {
      await ownership.close();
      throw error;
    }
    ownership.#timer = options.clock.every(RENEW_EVERY_MS, () => {
      if (!ownership.#connectAgain) ownership.#renewing ??= ownership.#tryRenew();
    });
    return ownership;
  }

  /** True once this server was told to take nothing new. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Says what this server is and carries, now and at each renewal. Rejects when the database cannot be written. */
  async announce(facts: NodeFacts, loadOf: () => NodeLoad): Promise<void> {
    this.#node = { facts, loadOf };
    await this.renew();
  }

  /** Has other nodes know that this server takes nothing new, or takes it again. Rejects as `renew` does. */
  async drain(draining: boolean): Promise<void> {
    this.#draining = draining;
    await this.renew();
  }

  /** Gives up all tasks at once, so that nobody must wait for the lease to end. */
  async close(): Promise<void> {
    const { clock, log } = this.#options;
    this.#isClosing = true;
    this.#timer?.cancel();
    this.#connectAgain?.cancel();
    try {
      await within(clock, GIVE_BACK_WITHIN_MS, this.#giveBack(), () => new Error('the database does not answer'));
      await this.#drop();
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'the lease of this server could not be given back; it runs out');
      // It may never be there, or never say that it is gone.
      void this.#drop();
    }
  }

  async #drop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.then((each) => each.close()).catch(() => {});
  }

  async #giveBack(): Promise<void> {
    await this.#renewing;
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.query('update owners set lease_until = now(), ended = true where owner = $1', [this.owner]);
  }

  /**
   * Takes the unfinished tasks whose owner is gone, each with the next epoch, and returns their rows: those of this
   * folder, and in a fleet some of other nodes'. What the other node has of these on its spool is noted as strayed.
   * @param spooled sids that lie on this server's spool: tasks from before there were owners are known only by these
   */
  claim(inside: Pick<Repeatable, 'repeated'>, spooled: readonly string[]): Promise<Row[]> {
    return inside.repeated(CLAIM, this.#claimColumns(spooled));
  }

  /**
   * Whether `claim` would take anything now, and how soon it may because the lease of a node ends that is overdue.
   * Servers ask each second, and mostly there is nothing.
   */
  async mayClaim(spooled: readonly string[]): Promise<{ isDue: boolean; leaseEndsInMs: number | undefined }> {
    const [row] = await this.#options.database.repeated(LOOK, this.#claimColumns(spooled));
    const endsInMs = row?.['lease_ends_in_ms'] ?? undefined;
    return {
      isDue: row?.['due'] === true,
      leaseEndsInMs: endsInMs === undefined ? undefined : Math.ceil(Number(endsInMs)),
    };
  }

  #claimColumns(spooled: readonly string[]): unknown[] {
    const { database, bootId } = this.#options;
    const isNode = this.#node?.facts.nodeUrl !== undefined;
    return [this.owner, this.folder, database.exclusive, spooled, bootId, isNode];
  }

  /**
   * A wait for the moment in which this server is sure to own a task: that is at once while it has renewed its lease in
   * time, and after the next renewal and a look at the task's row where it has not, as after a process that stood still
   * or a database that was away. The wait rejects as fenced when another server has the task, and with its signal's
   * reason.
   */
  certainty(hold: TaskHold): (signal: AbortSignal) => Promise<void> {
    const { clock, database } = this.#options;
    let seenTerm: number | undefined;
    return async (signal) => {
      for (;;) {
        signal.throwIfAborted();
        const term = this.#term;
        const isSure = clock.monoUs() < this.#sureUntilUs;
        if (isSure && term === seenTerm) return;
        if (isSure && (await owns(database, hold))) seenTerm = term;
        else await sleep(clock, LOOK_AGAIN_MS, signal);
      }
    };
  }

  /**
   * Renews the lease, and takes the advisory lock again when its connection was lost. Rejects when the database does
   * not renew it, and keeps the connection where it was only too slow for that.
   */
  async renew(): Promise<void> {
    const { folder, bootId, clock } = this.#options;
    const connection = await this.#connected();
    let askedUs = clock.monoUs();
    const node = this.#nodeColumns();
    let renewed = await connection.query(RENEW, [this.owner, ...node]);
    if (renewed.length === 0) {
      await connection.query(
        `insert into owners (owner, folder, boot_id, lease_until) values ($1, $2, $3, now() + ${LEASE})`,
        [this.owner, folder, bootId],
      );
      askedUs = clock.monoUs();
      renewed = await connection.query(RENEW, [this.owner, ...node]);
    }
    const [row] = renewed;
    this.clock.steer(Number(row?.['now_ms']), askedUs, clock.monoUs());
    // Others saw the renewal before they could take this server for gone only if its answer was here by then: that it
    // was asked for in time says nothing of when it was written.
    if (clock.monoUs() > this.#sureUntilUs) this.#term++;
    // The database renewed it later than it was asked. Others may think the connection lost before the lease is over.
    this.#sureUntilUs = askedUs + LATE_MS * 1000;
    this.#losses = 0;
    this.#connectAgain?.cancel();
    this.#connectAgain = undefined;
    if (!this.#isLocked) await this.#lock(connection, row?.['lock_key']);
  }

  /**
   * Takes the lock by which others know that the connection stands. While the database has not noticed the end of the
   * connection before, that one has it, and this one asks again at each renewal.
   */
  async #lock(connection: Connection, key: unknown): Promise<void> {
    const sql = 'select pg_try_advisory_lock($1::integer, $2::integer) as locked';
    const [row] = await connection.query(sql, [LOCK_CLASS, key]);
    this.#isLocked = row?.['locked'] === true;
  }

  /** The parameters of RENEW from $2 on. */
  #nodeColumns(): unknown[] {
    if (!this.#node) return Array.from({ length: 13 }, () => null);
    const { facts, loadOf } = this.#node;
    const { capacity, load, recordings, publishers, calls } = loadOf();
    const { name, version, nodeUrl, publicUrl } = facts;
    return [
      ...[name, version, WIRE, nodeUrl ?? null, publicUrl ?? null],
      ...[capacity.cores, Math.round(capacity.bytes), load.cores, Math.round(load.bytes)],
      ...[recordings, publishers, this.#draining, JSON.stringify(calls)],
    ];
  }

  async #tryRenew(): Promise<void> {
    const { log, clock, onRenewal } = this.#options;
    const beganUs = clock.monoUs();
    try {
      await this.renew();
      onRenewal?.(clock.monoUs() - beganUs);
      if (this.#failing) log.info({}, 'the lease of this server is renewed again');
      this.#failing = false;
    } catch (error) {
      onRenewal?.(undefined);
      if (!this.#failing)
        log.error(
          { error: messageOf(error) },
          'the lease of this server cannot be renewed; recordings go on meanwhile',
        );
      this.#failing = true;
    } finally {
      this.#renewing = undefined;
    }
  }

  /** The connection that there is, or another one. Nothing is lost with a connection but the lock. */
  #connected(): Promise<Connection> {
    this.#connection ??= this.#options.database
      .connect(() => this.#lost())
      .catch((error) => {
        this.#lost();
        throw error;
      });
    return this.#connection;
  }

  /** Renews again after a while, on a connection that is still to be had. */
  #lost(): void {
    const { clock } = this.#options;
    this.#connection = undefined;
    this.#isLocked = false;
    this.#connectAgain?.cancel();
    if (this.#isClosing) return;
    this.#connectAgain = clock.after(backOffMs(++this.#losses, CONNECT_AGAIN, Math.random()), () => {
      this.#connectAgain = undefined;
      this.#renewing ??= this.#tryRenew();
    });
  }
}

/** One statement for the lease and for what is told of the node: $1 the owner, the rest as of #nodeColumns. */
const RENEW = `
  update owners set renewed_at = now(), lease_until = now() + ${LEASE},
    steady_since = case when renewed_at < now() - ${LATE} then now() else steady_since end,
    name = $2, version = $3, wire = $4, node_url = $5, public_url = $6, cores = $7, memory_bytes = $8,
    load_cores = $9, load_bytes = $10, recordings = $11, publishers = $12, draining = coalesce($13, false),
    calls = $14::jsonb
  where owner = $1
  returning lock_key, extract(epoch from clock_timestamp()) * 1000 as now_ms`;

/** Whether the task is still held; false where the database cannot be asked. Throws the fault of a fenced task. */
async function owns(database: Database, { sid, owner, epoch }: TaskHold): Promise<boolean> {
  const found = await database
    .query('select owner, epoch from tasks where sid = $1', [sid])
    .catch((): undefined => undefined);
  if (!found) return false;
  const [row] = found;
  if (row?.['owner'] !== owner || Number(row['epoch']) !== epoch) throw fenced(sid);
  return true;
}

/**
 * Throws the fault of a fenced task unless this server still owns the task, and keeps it owned until the transaction
 * ends. Every transaction calls it that writes what belongs to a task.
 */
export async function requireHold(inside: Queryable, { sid, owner, epoch }: TaskHold): Promise<void> {
  const held = await inside.query('select 1 from tasks where sid = $1 and owner = $2 and epoch = $3 for share', [
    sid,
    owner,
    epoch,
  ]);
  if (held.length === 0) throw fenced(sid);
}
