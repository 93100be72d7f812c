/**
 * The statement that claims tasks whose owner is gone: those of the claimer's data folder, and in a fleet some of other
 * nodes' (ADR 0012, 0027). All leases go by the database's clock.
 */

/** When an owner has not renewed for this long, others may claim its tasks. */
export const LEASE = `interval '4 seconds'`;
/** A renewal that is this late is more than slow. */
export const LATE_MS = 2_000;
export const LATE = `interval '${LATE_MS} milliseconds'`;
/** First number of the owners' advisory locks; the second is each owner's own. */
export const LOCK_CLASS = 4_227;
/** How many tasks of other nodes are claimed at once: when a node dies, all others shall take some. */
const MOST_OF_OTHERS = 8;
/** A server that was ended in order has this long to come back, before others take what it had not stored. */
const COMES_BACK = `interval '1 minute'`;
/** Whoever is not the first choice for a task leaves it to that for so long after its owner's lease is over. */
const CHOICE = `interval '1.5 seconds'`;
/** Of a node that may lose its lease any moment, only the connection's end tells sooner that it is gone. */
const CAN_GO_ON = 'n.lease_until > now() and n.node_url is not null and not n.draining and n.owner <> o.owner';

/**
 * An owner is gone when its lease is over, or when its connection (the lock) is gone and a renewal is overdue. Neither
 * counts before the claimer itself has renewed in time for a whole lease: when the database was away, everybody is
 * late, and nobody is gone.
 */
const IS_GONE = `(
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
)`;

/**
 * Whether the claimer ($1) is the node that should go on with a task of another: the home of its channel, and where
 * that is gone too, the one with most free capacity.
 */
const IS_CHOICE = `(
  o.lease_until < now() - ${CHOICE}
  or $1 = coalesce(
    (select h.owner from homes h join owners n on n.owner = h.owner
     where h.appid = t.appid and h.cname = t.cname and ${CAN_GO_ON}),
    (select n.owner from owners n where ${CAN_GO_ON} order by n.cores - n.load_cores desc nulls last, n.owner limit 1)
  )
)`;

/**
 * $1 the claimer, $2 its folder, $3 whether no other server can have the database open, $4 sids on its spool, $5 its
 * boot id, $6 whether it goes on with other nodes' tasks. An earlier server of the same folder in the same start of the
 * same machine is gone, because the claimer has the folder's lock. Channels that were at home on a node that is gone
 * come with their recordings, so that publishers find them at once.
 */
export const CLAIM = `
  with own as (
    select t.sid from tasks t left join owners o on o.owner = t.owner
    where t.ended_ms is null and t.owner is distinct from $1
      and (t.folder = $2 or (t.folder is null and ($3 or t.sid = any($4))))
      and ($3 or o.owner is null or (o.folder = $2 and o.boot_id = $5) or ${IS_GONE})
    order by t.created_ms
    for update of t skip locked
  ), others as (
    select t.sid from tasks t join owners o on o.owner = t.owner
    where $6 and t.ended_ms is null and t.folder <> $2 and o.node_url is not null and ${IS_GONE} and ${IS_CHOICE}
      and (not o.ended or o.lease_until < now() - ${COMES_BACK})
      and not exists (select 1 from owners me where me.owner = $1 and me.draining)
    order by t.created_ms limit ${MOST_OF_OTHERS}
    for update of t skip locked
  ), due as (
    select t.sid, t.appid, t.cname, t.mode, t.owner, t.folder, t.document->>'storage' as storage from tasks t
    where t.sid in (select sid from own union all select sid from others)
  ), homed as (
    insert into homes (appid, cname, owner)
    select distinct appid, cname, $1::text from due where folder <> $2 and mode <> 'web'
    on conflict (appid, cname) do update set owner = $1, claimed_at = clock_timestamp(), used_at = clock_timestamp()
    where homes.owner in (select owner from due)
  ), strayed as (
    insert into strays (sid, folder, storage, since_ms)
    select sid, folder, storage, extract(epoch from now()) * 1000 from due where folder <> $2
    on conflict (sid, folder) do update set storage = excluded.storage, since_ms = excluded.since_ms, stored_ms = null
  ), back as (
    delete from strays using due where strays.sid = due.sid and strays.folder = $2
  )
  update tasks set owner = $1, folder = $2, epoch = tasks.epoch + 1 from due where tasks.sid = due.sid returning tasks.*`;
