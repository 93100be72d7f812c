/**
 * Ownership: this server's row among the owners, renewed each second with what it carries, and the tasks that it takes
 * over (ADR 0012, 0026). A task can be claimed only when its owner is surely gone; all leases go by the database's
 * clock.
 */
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import type { HostUs } from '../kernel/time.ts';
import { fenced, type TaskHold } from '../session/hold.ts';
import type { SessionLog } from '../session/ports.ts';
import type { Connection, Database, Queryable, Row } from './database.ts';

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
export const WIRE = 1;

const RENEW_EVERY_MS = 1_000;
/** When an owner has not renewed for this long, others may claim its tasks. */
const LEASE = `interval '4 seconds'`;
/** A renewal that is this late is more than slow. */
const LATE = `interval '2 seconds'`;
/** First number of the owners' advisory locks; the second is each owner's own. */
const LOCK_CLASS = 4_227;

export class Ownership {
  readonly owner = newHexId();
  readonly folder: string;
  readonly #options: OwnershipOptions;
  #connection: Promise<Connection> | undefined;
  #isLocked = false;
  #renewing: Promise<void> | undefined;
  #timer: Timer | undefined;
  #failing = false;
  #node: { facts: NodeFacts; loadOf: () => NodeLoad } | undefined;
  #draining = false;
  /** The database's clock at a moment of this machine's. */
  #databaseTime: { ms: number; atUs: HostUs } | undefined;

  private constructor(options: OwnershipOptions) {
    this.#options = options;
    this.folder = options.folder;
  }

  /** Registers this server as an owner. Rejects when the database cannot be written. */
  static async begin(options: OwnershipOptions): Promise<Ownership> {
    const ownership = new Ownership(options);
    try {
      await ownership.renew();
      await options.database.query(
        `delete from owners o where lease_until < now() - interval '1 day'
           and not exists (select 1 from tasks t where t.owner = o.owner and t.ended_ms is null)`,
      );
      await options.database.query(
        'delete from homes h where not exists (select 1 from owners o where o.owner = h.owner)',
      );
    } catch (error) {
      await ownership.close();
      throw error;
    }
    ownership.#timer = options.clock.every(RENEW_EVERY_MS, () => {
      ownership.#renewing ??= ownership.#tryRenew();
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

  /**
   * The time by the database's clock, Unix milliseconds: the same for all servers, however wrong their own clocks are.
   */
  databaseMs(): number {
    const { clock } = this.#options;
    const { ms, atUs } = this.#databaseTime ?? { ms: clock.nowMs(), atUs: clock.monoUs() };
    return ms + (clock.monoUs() - atUs) / 1000;
  }

  /** Gives up all tasks at once, so that nobody must wait for the lease to end. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#renewing;
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    try {
      await connection?.query('update owners set lease_until = now(), ended = true where owner = $1', [this.owner]);
    } catch (error) {
      this.#options.log.warn(
        { error: messageOf(error) },
        'the lease of this server could not be given back; it runs out',
      );
    } finally {
      await connection?.close().catch(() => {});
    }
  }

  /**
   * Takes the unfinished tasks of this folder whose owner is gone, each with the next epoch, and returns their rows.
   * @param spooled sids that lie on this server's spool: tasks from before there were owners are known only by these
   */
  claim(inside: Queryable, spooled: readonly string[]): Promise<Row[]> {
    const { database, bootId } = this.#options;
    return inside.query(CLAIM, [this.owner, this.folder, database.exclusive, spooled, bootId]);
  }

  /** Renews the lease, and takes the advisory lock again when its connection was lost. */
  async renew(): Promise<void> {
    const { folder, bootId, clock } = this.#options;
    const connection = await this.#connected();
    const node = this.#nodeColumns();
    let renewed = await connection.query(RENEW, [this.owner, ...node]);
    if (renewed.length === 0) {
      await connection.query(
        `insert into owners (owner, folder, boot_id, lease_until) values ($1, $2, $3, now() + ${LEASE})`,
        [this.owner, folder, bootId],
      );
      renewed = await connection.query(RENEW, [this.owner, ...node]);
    }
    const [row] = renewed;
    this.#databaseTime = { ms: Number(row?.['now_ms']), atUs: clock.monoUs() };
    if (this.#isLocked) return;
    await connection.query('select pg_try_advisory_lock($1::integer, $2::integer)', [LOCK_CLASS, row?.['lock_key']]);
    this.#isLocked = true;
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
      this.#drop();
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

  #connected(): Promise<Connection> {
    this.#connection ??= this.#options.database.connect(() => this.#forget());
    return this.#connection;
  }

  #forget(): void {
    this.#connection = undefined;
    this.#isLocked = false;
  }

  #drop(): void {
    const connection = this.#connection;
    this.#forget();
    connection?.then((each) => each.close()).catch(() => {});
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

/**
 * $1 the claimer, $2 its folder, $3 whether no other server can have the database open, $4 sids on its spool, $5 its
 * boot id. An earlier server of the same folder in the same start of the same machine is gone, because the claimer has
 * the folder's lock. Any other owner is gone when its lease is over, or when its connection (the lock) is gone and a
 * renewal is overdue. Neither counts before the claimer itself has renewed in time for a whole lease: when the database
 * was away, everybody is late, and nobody is gone.
 */
const CLAIM = `
  with due as (
    select t.sid from tasks t left join owners o on o.owner = t.owner
    where t.ended_ms is null and t.owner is distinct from $1
      and (t.folder = $2 or (t.folder is null and ($3 or t.sid = any($4))))
      and (
        $3 or o.owner is null or (o.folder = $2 and o.boot_id = $5)
        or (
          exists (select 1 from owners me where me.owner = $1 and me.steady_since < now() - ${LEASE})
          and (
            o.lease_until < now()
            or (
              o.renewed_at < now() - ${LATE}
              and not exists (
                select 1 from pg_locks l
                where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS} and l.objid = o.lock_key::oid
                  and l.objsubid = 2 and l.granted
                  and l.database = (select d.oid from pg_database d where d.datname = current_database())
              )
            )
          )
        )
      )
    order by t.created_ms
    for update of t skip locked
  )
  update tasks set owner = $1, folder = $2, epoch = tasks.epoch + 1 from due where tasks.sid = due.sid returning tasks.*`;

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
