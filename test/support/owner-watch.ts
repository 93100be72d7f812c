/**
 * OwnerWatch: watches from within the database whether each task of a fleet has one owner at each moment, and that
 * nobody else writes what belongs to it. Nodes are told apart by the addresses of their machines.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { PostgresServer } from './postgres.ts';

const LOOK_EVERY_MS = 100;
/** No task is without an owner for longer (issue of the fleet: a lease is 4 s, and claims are made each second). */
const UNOWNED_MS = 5_000;

/**
 * Every event and run of a task at work that another node than its owner has written, and every change of owner. A node
 * is known by the host of its `node_url`.
 */
const AUDIT = `
  create table if not exists audit (
    position bigserial, sid text, what text, by_address text, owner text, epoch integer, is_owners boolean
  );
  create or replace function note_write() returns trigger language plpgsql as $$
  begin
    insert into audit (sid, what, by_address, owner, epoch, is_owners)
    select t.sid, tg_table_name, host(inet_client_addr()), t.owner, t.epoch,
      exists (
        select 1 from owners o where o.owner = t.owner
          and o.node_url like 'http://' || host(inet_client_addr()) || ':%'
      )
    from tasks t where t.sid = new.sid and t.ended_ms is null;
    return null;
  end $$;
  create or replace trigger note_event after insert on events for each row execute function note_write();
  create or replace trigger note_run after insert on runs for each row execute function note_write();
  create or replace trigger note_owner after update of owner on tasks for each row
    when (old.owner is distinct from new.owner) execute function note_write();`;

type Seen = { owner: string; epoch: number; unownedSinceMs: number | undefined };

export class OwnerWatch {
  readonly #postgres: PostgresServer;
  readonly #tasks = new Map<string, Seen>();
  readonly #watching: Promise<void>;
  /** What was wrong, in words. */
  readonly #problems: string[] = [];
  #isOver = false;
  /** How long a task was without an owner whose lease lives, at worst, milliseconds. */
  longestUnownedMs = 0;
  looks = 0;

  /** Watches from now on. Servers must have made their tables. */
  static async begin(postgres: PostgresServer): Promise<OwnerWatch> {
    await postgres.rows(AUDIT);
    return new OwnerWatch(postgres);
  }

  private constructor(postgres: PostgresServer) {
    this.#postgres = postgres;
    this.#watching = this.#watch();
  }

  /** Ends the watch, and returns what was wrong, in words. */
  async end(): Promise<string[]> {
    this.#isOver = true;
    await this.#watching;
    const strangers = await this.#postgres.rows('select * from audit where not is_owners order by position');
    const written = strangers.map(
      (row) => `${row['by_address']} wrote to ${row['what']} of ${row['sid']}, which ${row['owner']} owned`,
    );
    const [count] = await this.#postgres.rows('select count(*)::integer as n from audit');
    if (Number(count?.['n']) === 0) written.push('nothing that nodes wrote was noted, so that nothing was tried');
    if (this.longestUnownedMs > UNOWNED_MS)
      this.#problems.push(`a task had no owner for ${this.longestUnownedMs.toFixed(0)} ms`);
    return [...this.#problems, ...written];
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const client = new Client({ connectionString: this.#postgres.url, connectionTimeoutMillis: 2_000 });
      client.on('error', () => {});
      try {
        await client.connect();
        while (!this.#isOver) {
          await this.#look(client);
          await pause(LOOK_EVERY_MS);
        }
      } catch {
        // While the database is away nobody can take a task, and nobody has lost one.
        for (const seen of this.#tasks.values()) seen.unownedSinceMs = undefined;
        await pause(LOOK_EVERY_MS);
      } finally {
        await client.end().catch(() => {});
      }
    }
  }

  async #look(client: Client): Promise<void> {
    const { rows } = await client.query(
      `select t.sid, t.owner, t.epoch, coalesce(o.lease_until > now(), false) as is_live
       from tasks t left join owners o on o.owner = t.owner where t.ended_ms is null`,
    );
    const nowMs = performance.now();
    this.looks++;
    for (const { sid, owner, epoch, is_live } of rows as {
      sid: string;
      owner: string;
      epoch: number;
      is_live: boolean;
    }[]) {
      const before = this.#tasks.get(sid);
      if (before && before.owner !== owner && epoch <= before.epoch)
        this.#problems.push(`${sid} changed its owner within epoch ${epoch}`);
      if (before && before.owner === owner && epoch !== before.epoch)
        this.#problems.push(`${sid} changed its epoch from ${before.epoch} to ${epoch} and not its owner`);
      const since = is_live ? undefined : (before?.unownedSinceMs ?? nowMs);
      if (before?.unownedSinceMs !== undefined)
        this.longestUnownedMs = Math.max(this.longestUnownedMs, nowMs - before.unownedSinceMs);
      this.#tasks.set(sid, { owner, epoch, unownedSinceMs: since });
    }
  }
}
