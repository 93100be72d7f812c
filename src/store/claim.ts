/**
 * The statements that claim tasks whose owner is gone: those of the claimer's data folder, and in a fleet some of other
 * nodes' (ADR 0012, 0027). All leases go by the database's clock. Each node asks each second, so what is asked begins
 * with owners that are overdue, and touches no task of those that live but what they offer (ADR 0029).
 */

/** When an owner has not renewed for this long, others may claim its tasks. */
export const LEASE = `interval '4 seconds'`;
/** A renewal that is this late is more than slow. */
export const LATE_MS = 2_000;
export const LATE = `interval '${LATE_MS} milliseconds'`;
/** First number of the owners' advisory locks; the second is each owner's own. */
export const LOCK_CLASS = 4_227;
/**
 * How many tasks of other nodes are claimed at once: when a node dies, several others shall take some. Where few are
 * left, each takes its share of all, which would otherwise wait.
 */
const MOST_OF_OTHERS = 8;
/** A server that was ended in order has this long to come back, before others take what it had not stored. */
const COMES_BACK = `interval '1 minute'`;
/** Whoever is not a first choice for a task leaves it to those for so long after its owner's lease is over. */
const CHOICE = `interval '1.5 seconds'`;

/**
 * Nobody counts as gone before the claimer itself has renewed in time for a whole lease, up to now: when the database
 * was away, everybody is late, and nobody is gone. A look that comes before the first renewal after it sees nobody.
 */
const IS_STEADY = `exists (
  select 1 from owners me
  where me.owner = $1 and me.steady_since < now() - ${LEASE} and me.renewed_at > now() - ${LATE})`;
/** The keys of all owners whose connection stands. */
const LOCKED = `array(
  select l.objid from pg_locks l
  where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS} and l.objsubid = 2 and l.granted
    and l.database = (select d.oid from pg_database d where d.datname = current_database()))`;
/** Whether an owner is gone: its lease is over, or its connection (the lock) is gone and a renewal is overdue. */
const IS_GONE = `(o.lease_until < now() or (o.renewed_at < now() - ${LATE} and not o.lock_key::oid = any(${LOCKED})))`;

/**
 * Tasks of the claimer's folder. An earlier server of the same folder in the same start of the same machine is gone,
 * because the claimer has the folder's lock. Each of the lines in brackets is a range of the index by folder and owner;
 * those that the claimer has already are in none of them.
 */
const OWN = `
  from tasks t left join owners o on o.owner = t.owner
  where t.ended_ms is null
    and (
      (t.folder = $2 and t.owner < $1)
      or (t.folder = $2 and t.owner > $1)
      or (t.folder = $2 and t.owner is null)
      or (t.folder is null and t.owner is distinct from $1 and ($3 or t.sid = any($4)))
    )
    and ($3 or o.owner is null or (o.folder = $2 and o.boot_id = $5) or (${IS_STEADY} and ${IS_GONE}))`;

/** Other nodes that may be gone, and whose tasks the claimer may go on with. */
const OVERDUE = `
  select o.owner, o.renewed_at, o.lease_until, had.tasks from owners o cross join lateral (
    select count(*) as tasks from tasks t where t.owner = o.owner and t.ended_ms is null
  ) had
  where $6 and (o.lease_until < now() or o.renewed_at < now() - ${LATE}) and o.node_url is not null and o.owner <> $1
    and (not o.ended or o.lease_until < now() - ${COMES_BACK}) and had.tasks > 0
    and ${IS_STEADY}
    and not exists (select 1 from owners me where me.owner = $1 and me.draining)`;

export const CAN_GO_ON = `n.node_url is not null and not n.draining and n.lease_until > now() and n.renewed_at > now() - ${LATE}`;
export const FREE = 'coalesce(n.cores - n.load_cores, 0)';
/**
 * Whether the claimer is among as many nodes with most free capacity as shall share what the overdue ones had, and how
 * many of these tasks it takes at once.
 */
const CHOSEN = `
  select (
    select count(*) from owners n, (select ${FREE} as free from owners n where n.owner = $1) mine
    where ${CAN_GO_ON} and (${FREE} > mine.free or (${FREE} = mine.free and n.owner < $1))
  ) < (select sum(tasks) / ${MOST_OF_OTHERS}.0 from overdue) as by_capacity,
  greatest(${MOST_OF_OTHERS}, ceil(
    (select sum(tasks) from overdue) / (select nullif(count(*), 0) from owners n where ${CAN_GO_ON})
  )) as share`;
const IS_AMONG_FREE = '(select by_capacity from chosen)';
/** The node to which the publishers of the task's channel have come since its owner's last renewal. */
const NEW_HOME = `(
  select h.owner from homes h join owners n on n.owner = h.owner
  where h.appid = t.appid and h.cname = t.cname and h.claimed_at > o.renewed_at and ${CAN_GO_ON}
)`;
/** The node that stands by for the task, where it can go on with it (ADR 0037). */
const STANDBY = `(
  select s.owner from standbys s join owners n on n.owner = s.owner where s.sid = t.sid and ${CAN_GO_ON}
)`;
/** Whether the claimer may be a first choice for a task of the overdue ones. */
const MAY_BE_CHOSEN = `(
  ${IS_AMONG_FREE}
  or exists (select 1 from homes h where h.owner = $1 and h.claimed_at > (select min(renewed_at) from overdue))
  or exists (select 1 from standbys s where s.owner = $1)
)`;
/**
 * What other nodes that may be gone have. It is read whole and owner by owner, so that it is read by their index: a
 * reader that may stop at the first match is planned as one that soon meets it, through the tasks of everybody. While
 * nobody is overdue nothing but owners is read, and once; before \`CHOICE\` is over most nodes read no task.
 */
const HAD = `
  select unnest(of_one.sids) as sid from overdue cross join lateral (
    select array_agg(t.sid) as sids from tasks t where t.owner = overdue.owner and t.ended_ms is null and t.folder <> $2
  ) of_one
  where case when exists (select 1 from overdue) then
    ${MAY_BE_CHOSEN} or exists (select 1 from overdue where lease_until < now() - ${CHOICE})
  end`;
/**
 * Tasks of other nodes. First choice is the node that stands by, then the new home of the channel, and where there is
 * none, those with most free capacity. Those that have waited longest come first where they are claimed.
 */
const OTHERS = `
  from tasks t join owners o on o.owner = t.owner
  where t.sid = any(array(select sid from had)) and t.ended_ms is null and t.folder <> $2
    and t.owner = any(array(select owner from overdue)) and ${IS_GONE}
    and (o.lease_until < now() - ${CHOICE} or coalesce(${STANDBY} = $1, ${NEW_HOME} = $1, ${IS_AMONG_FREE}))`;

/** The home of the task's channel, where that is another node than the task's owner and can go on with it. */
const HOME = `(
  select n.owner from homes h join owners n on n.owner = h.owner
  where h.appid = t.appid and h.cname = t.cname and n.owner <> t.owner and ${CAN_GO_ON}
)`;
const MOST_FREE = `(
  select n.owner from owners n where n.owner <> t.owner and ${CAN_GO_ON} order by ${FREE} desc, n.owner limit 1
)`;
/**
 * Tasks that other nodes, which live, offer and still record: of one that is being stopped, whoever waits for its files
 * has asked its owner. They are for the node that stands by, else for the home of their channel, and for the node with
 * most free capacity where that is their owner's. What is offered has an index of its own, which is empty most of the
 * time.
 */
const OFFERED = `
  from tasks t join owners o on o.owner = t.owner
  where $6 and t.offered and t.ended_ms is null and t.owner <> $1 and t.folder <> $2 and t.running
    and t.state->>'phase' = 'recording' and o.lease_until > now() and $1 = coalesce(${STANDBY}, ${HOME}, ${MOST_FREE})`;

/**
 * Whether there is anything to claim, and how soon there may be because an overdue node's lease ends, where the claimer
 * is to be a first choice: all others of a large fleet need not look at that moment. $1 the claimer, $2 its folder, $3
 * whether no other server can have the database open, $4 sids on its spool, $5 its boot id, $6 whether it goes on with
 * other nodes' tasks.
 */
export const LOOK = `
  with overdue as materialized (${OVERDUE}), chosen as materialized (${CHOSEN}), had as materialized (${HAD})
  select exists (select 1 ${OWN}) or exists (select 1 ${OTHERS}) or exists (select 1 ${OFFERED}) as due,
    case when exists (select 1 from overdue where lease_until > now()) and ${MAY_BE_CHOSEN} then
      (select extract(epoch from min(lease_until) - now()) * 1000 from overdue where lease_until > now())
    end as lease_ends_in_ms`;

/**
 * Claims what there is; the same parameters. Channels that were at home on a node that is gone come with their
 * recordings, so that publishers find them at once.
 *
 * The row of an owner that is gone is held as well: one that renews again at this moment either has renewed, and is
 * looked at anew, or waits until it can see whom its tasks belong to. (An owner of the same folder cannot: its folder's
 * lock is the claimer's.)
 */
export const CLAIM = `
  with overdue as materialized (${OVERDUE}), chosen as materialized (${CHOSEN}), had as materialized (${HAD}),
  own as (
    select t.sid ${OWN} order by t.created_ms for update of t skip locked
  ), others as (
    select t.sid ${OTHERS} order by o.lease_until limit (select share from chosen)
    for update of t skip locked for share of o skip locked
  ), offered as (
    select t.sid ${OFFERED} order by t.created_ms limit ${MOST_OF_OTHERS} for update of t skip locked
  ), due as (
    select t.sid, t.appid, t.cname, t.mode, t.owner, t.folder, t.document->>'storage' as storage from tasks t
    where t.sid = any(array(select sid from own union all select sid from others union all select sid from offered))
  ), homed as (
    insert into homes (appid, cname, owner)
    select distinct appid, cname, $1::text from due where folder <> $2 and mode <> 'web'
    on conflict (appid, cname) do update set owner = $1, claimed_at = clock_timestamp(), used_at = clock_timestamp()
    where homes.owner in (select owner from due)
  ), strayed as (
    insert into strays (sid, folder, storage, since_ms, left_report)
    select sid, folder, storage, extract(epoch from now()) * 1000,
      (select report from quality_reports where quality_reports.sid = due.sid)
    from due where folder <> $2
    on conflict (sid, folder) do update
    set storage = excluded.storage, since_ms = excluded.since_ms, stored_ms = null, left_report = excluded.left_report
  ), back as (
    delete from strays using due where strays.sid = due.sid and strays.folder = $2
  )
  update tasks set owner = $1, folder = $2, epoch = epoch + 1, offered = false
  where sid = any(array(select sid from due)) returning *`;
