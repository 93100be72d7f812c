/**
 * Twin: another server that lives and has the identity of this one's data folder. The folder's lock keeps two servers
 * from one folder; a twin is on a copy of it, maybe on another machine, and each would take the other's recordings for
 * its own.
 */
import { type Clock, sleep } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { LOCK_CLASS } from './claim.ts';
import type { Database, Row } from './database.ts';

/** How often it is looked whether one that may have died renews its lease. */
const LOOK_MS = 500;

/**
 * Owners of the folder whose lease lives and whose connection stands. After a crash of the machine it may seem to stand
 * until the lease is over.
 */
const TWINS = `
  select o.owner, coalesce(o.name, o.owner) as name, o.renewed_at from owners o
  where o.folder = $1 and not o.ended and o.lease_until > now() and exists (
    select 1 from pg_locks l where l.locktype = 'advisory' and l.classid = ${LOCK_CLASS} and l.objsubid = 2
      and l.granted and l.objid = o.lock_key::oid
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
  )`;

/**
 * Resolves once no server can be alive that has the identity of this folder; at once mostly, within a lease after a
 * crash. Throws a Fault, `data-dir-copied`, when one is.
 * @param folder the identity
 * @param path where it is kept, for whoever reads the error
 */
export async function requireNoTwin(database: Database, folder: string, path: string, clock: Clock): Promise<void> {
  if (database.exclusive) return;
  const look = () => database.query(TWINS, [folder]);
  let known: Row[] = await look();
  while (known.length > 0) {
    await sleep(clock, LOOK_MS);
    const now = await look();
    const twin = now.find((each) =>
      known.some(({ owner, renewed_at: at }) => owner === each['owner'] && Number(at) !== Number(each['renewed_at'])),
    );
    if (twin)
      throw new Fault(
        'data-dir-copied',
        `another server that runs (${twin['name']}) has the identity of this data folder: one is a copy of the other. Stop that server; or, if this folder is the copy, remove ${path} and the spool in it, and start again`,
        { blame: 'caller' },
      );
    known = now;
  }
}
