/**
 * PlaceTables: which node of the fleet has what. A task is its owner's; a channel is at home on the node that all of
 * its publishers come to and that its recordings begin on (ADR 0026).
 */
import type { Database, Queryable, Row } from './database.ts';

/** A home is valid while its owner's lease lives. */
const IS_LIVE = 'k.lease_until > now() and k.node_url is not null';
/** What a recording is likely to take of a node that was just made a channel's home, cores. */
const EXPECTED_CORES = 0.3;
/** How long that is expected of a home, until the recording shows in the node's load. */
const EXPECTED_FOR = `interval '10 seconds'`;
/** A home that nobody has asked for in this time, and that nothing holds, is given up. */
const UNUSED = `interval '30 seconds'`;
/** A home that was asked for in this time need not be noted as in use again. */
const USED_RECENTLY = `interval '10 seconds'`;

export class PlaceTables {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** The owner of a task that has not ended, whether it lives or not. */
  async ofTask(appid: string, sid: string): Promise<string | undefined> {
    const [row] = await this.#database.repeated(
      'select owner from tasks where sid = $1 and appid = $2 and ended_ms is null and owner is not null',
      [sid, appid],
    );
    return row && String(row['owner']);
  }

  /** The channel that a resource was acquired for, and the owner of the task that it started and that has not ended. */
  async ofResource(resourceId: string): Promise<{ appid: string; cname: string; owner?: string } | undefined> {
    const [row] = await this.#database.repeated(
      `select r.appid, r.cname, t.owner from resources r left join tasks t on t.sid = r.sid and t.ended_ms is null
       where r.resource_id = $1`,
      [resourceId],
    );
    if (!row) return undefined;
    const place = { appid: String(row['appid']), cname: String(row['cname']) };
    return row['owner'] === null ? place : { ...place, owner: String(row['owner']) };
  }

  /** The living node on whose disk the files of an ended recording lie that are still to be moved to their store. */
  async ofFiles(appid: string, sid: string): Promise<string | undefined> {
    const [row] = await this.#database.repeated(
      `select k.owner from moves m join tasks t using (sid) join owners k on k.folder = t.folder
       where m.sid = $1 and m.appid = $2 and ${IS_LIVE}`,
      [sid, appid],
    );
    return row && String(row['owner']);
  }

  /** The living node that makes a mix, or has its MP4. */
  async ofMix(mixId: string): Promise<string | undefined> {
    const [row] = await this.#database.query(
      `select k.owner from mixes m join owners k on k.folder = m.folder where m.mix_id = $1 and ${IS_LIVE}`,
      [mixId],
    );
    return row && String(row['owner']);
  }

  /** The home of a channel, if it has one. */
  async home(appid: string, cname: string): Promise<string | undefined> {
    const [row] = await this.#database.query(
      `select h.owner from homes h join owners k using (owner) where h.appid = $1 and h.cname = $2 and ${IS_LIVE}`,
      [appid, cname],
    );
    return row && String(row['owner']);
  }

  /**
   * The home of a channel, which is made one now if there is none: the node that records the channel already, else the
   * one with most free capacity. Undefined when no node takes anything new.
   */
  async claimHome(appid: string, cname: string): Promise<string | undefined> {
    for (const statement of [RECENT_HOME, USE_HOME, CLAIM_HOME]) {
      const [row] = await this.#database.repeated(statement, [appid, cname]);
      if (row) return String(row['owner']);
    }
    return this.home(appid, cname);
  }

  /**
   * Gives up homes of a node that nobody publishes in, where nothing is recorded, and where nothing was acquired that
   * may still start.
   * @param occupied the channels that have publishers there
   * @param nowMs by the clock of whoever gave out resources
   * @param leaving gives up, too, what was asked for a moment ago, or acquired
   */
  async releaseHomes(
    owner: string,
    occupied: readonly { appid: string; cname: string }[],
    nowMs: number,
    leaving: boolean,
  ): Promise<void> {
    await this.#database.repeated(RELEASE_HOMES, [owner, JSON.stringify(occupied), Math.round(nowMs), leaving]);
  }

  /**
   * Makes a node the home of channels that it records or has publishers of, where their home is gone; and of those that
   * it alone records, wherever their home is: after it was cut off from the database for longer than a lease.
   * @param read channels that it records from where they are at home
   */
  async keepHomes(
    owner: string,
    occupied: readonly { appid: string; cname: string }[],
    read: readonly { appid: string; cname: string }[],
  ): Promise<void> {
    await this.#database.repeated(KEEP_HOMES, [owner, JSON.stringify(occupied), JSON.stringify(read)]);
  }

  /** The homes of channels that have one, in no order. */
  async homesOf<C extends { appid: string; cname: string }>(channels: readonly C[]) {
    if (channels.length === 0) return [];
    const rows = await this.#database.repeated(
      `select h.appid, h.cname, h.owner from jsonb_to_recordset($1::jsonb) as c(appid text, cname text)
       join homes h using (appid, cname) join owners k on k.owner = h.owner where ${IS_LIVE}`,
      [JSON.stringify(channels.map(({ appid, cname }) => ({ appid, cname })))],
    );
    return rows.map((row) => {
      return { appid: String(row['appid']), cname: String(row['cname']), owner: String(row['owner']) };
    });
  }

  /** Which of these channels a node does not record. */
  async unrecorded<C extends { appid: string; cname: string }>(owner: string, occupied: readonly C[]): Promise<C[]> {
    if (occupied.length === 0) return [];
    const rows = await this.#database.repeated(
      `select distinct t.appid, t.cname from jsonb_to_recordset($2::jsonb) as c(appid text, cname text)
       join tasks t using (appid, cname) where t.running and t.owner = $1`,
      [owner, JSON.stringify(occupied)],
    );
    return without(occupied, rows);
  }

  /** Which of these channels, in which people publish at this node, are at home on another. */
  async elsewhere<C extends { appid: string; cname: string }>(owner: string, occupied: readonly C[]): Promise<C[]> {
    if (occupied.length === 0) return [];
    const rows = await this.#database.repeated(
      `select h.appid, h.cname from jsonb_to_recordset($2::jsonb) as c(appid text, cname text)
       join homes h using (appid, cname) join owners k on k.owner = h.owner where h.owner <> $1 and ${IS_LIVE}`,
      [owner, JSON.stringify(occupied)],
    );
    const here = without(occupied, rows);
    return occupied.filter((channel) => !here.includes(channel));
  }
}

/** The data folder of a recording, where that is another one than `own` and a server that lives has it. */
export async function otherFolderOf(inside: Queryable, sid: string, own: string): Promise<string | undefined> {
  const [row] = await inside.query(
    `select t.folder from tasks t join owners k on k.folder = t.folder
     where t.sid = $1 and t.folder <> $2 and not k.ended and k.lease_until > now()`,
    [sid, own],
  );
  return row && String(row['folder']);
}

/** The channels that no row names. */
function without<C extends { appid: string; cname: string }>(channels: readonly C[], rows: readonly Row[]): C[] {
  const named = new Set(rows.map((row) => `${row['appid']}/${row['cname']}`));
  return channels.filter(({ appid, cname }) => !named.has(`${appid}/${cname}`));
}

/** The home of a channel that has one. Most calls end here, and write nothing. */
const RECENT_HOME = `
  select h.owner from homes h join owners k using (owner)
  where h.appid = $1 and h.cname = $2 and h.used_at > now() - ${USED_RECENTLY} and ${IS_LIVE}`;
const USE_HOME = `
  update homes set used_at = clock_timestamp()
  where appid = $1 and cname = $2 and exists (select 1 from owners k where k.owner = homes.owner and ${IS_LIVE})
  returning owner`;
/**
 * One statement, so that of nodes that claim at once all learn the same home. The row is written either way: that makes
 * those who come at the same moment wait for each other, and then see what the first one wrote. A row that was written
 * after this statement began is right, whatever this statement can see of its owner.
 */
const KEEPS = `(homes.claimed_at > statement_timestamp()
  or exists (select 1 from owners k where k.owner = homes.owner and ${IS_LIVE}))`;
const CLAIM_HOME = `
  insert into homes (appid, cname, owner)
  select $1, $2, o.owner from owners o left join (
    select h.owner, count(*) as homes from homes h where h.claimed_at > now() - ${EXPECTED_FOR} group by h.owner
  ) young using (owner)
  where o.lease_until > now() and o.node_url is not null and not o.draining
  order by
    o.owner = any(array(
      select t.owner from tasks t where t.appid = $1 and t.cname = $2 and t.running and t.owner is not null
    )) desc,
    o.cores * least(1 - o.load_cores / nullif(o.cores, 0), 1 - o.load_bytes / nullif(o.memory_bytes, 0)::real)
      - ${EXPECTED_CORES} * coalesce(young.homes, 0) desc nulls last,
    o.owner
  limit 1
  on conflict (appid, cname) do update set
    used_at = clock_timestamp(),
    owner = case when ${KEEPS} then homes.owner else excluded.owner end,
    claimed_at = case when ${KEEPS} then homes.claimed_at else clock_timestamp() end
  returning owner`;

/**
 * $1 the owner, $2 the channels with publishers, $3 those that it reads elsewhere. What is at home there already is not
 * written.
 */
const KEEP_HOMES = `
  insert into homes (appid, cname, owner)
  select c.appid, c.cname, $1 from (
    select appid, cname from jsonb_to_recordset($2::jsonb) as c(appid text, cname text)
    union select appid, cname from tasks where running and owner = $1
  ) c
  where not exists (select 1 from homes h where h.appid = c.appid and h.cname = c.cname and h.owner = $1)
  on conflict (appid, cname) do update set owner = $1, claimed_at = clock_timestamp(), used_at = clock_timestamp()
  where homes.owner <> $1 and (
    not exists (select 1 from owners k where k.owner = homes.owner and ${IS_LIVE})
    or (
      exists (
        select 1 from tasks t where t.appid = homes.appid and t.cname = homes.cname and t.running and t.owner = $1
      )
      and not exists (
        select 1 from tasks t
        where t.appid = homes.appid and t.cname = homes.cname and t.running and t.owner = homes.owner
      )
      and not exists (
        select 1 from jsonb_to_recordset($3::jsonb) as r(appid text, cname text)
        where r.appid = homes.appid and r.cname = homes.cname
      )
    )
  )`;

/** $1 the owner, $2 the channels with publishers, $3 now, $4 whether it leaves. */
const RELEASE_HOMES = `
  delete from homes h where h.owner = $1 and ($4 or h.used_at < now() - ${UNUSED})
    and not exists (
      select 1 from jsonb_to_recordset($2::jsonb) as c(appid text, cname text)
      where c.appid = h.appid and c.cname = h.cname
    )
    and not exists (
      select 1 from tasks t where t.appid = h.appid and t.cname = h.cname and t.running and (not $4 or t.owner = h.owner)
    )
    and ($4 or not exists (
      select 1 from resources r where r.appid = h.appid and r.cname = h.cname and r.sid is null and r.expires_ms > $3
    ))`;
