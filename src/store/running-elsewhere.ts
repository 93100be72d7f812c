/** How many recordings of an app run on the other servers of the fleet: the limit of an app is one for all of them. */
import type { Queryable } from './database.ts';

/** First number of the advisory locks of apps; the second is made of the App ID. */
const LOCK_CLASS = 4_228;

/** @param owner the server that asks; its own recordings are not counted */
export async function runningElsewhere(inside: Queryable, appid: string, owner: string): Promise<number> {
  const [row] = await inside.query(
    'select count(*) as n from tasks where appid = $1 and running and owner is distinct from $2',
    [appid, owner],
  );
  return Number(row?.['n']);
}

/** Has starts of an app in all servers wait for each other until the transaction ends, so that none is overlooked. */
export async function lockStarts(inside: Queryable, appid: string): Promise<void> {
  await inside.query('select pg_advisory_xact_lock($1::integer, hashtext($2))', [LOCK_CLASS, appid]);
}
