/** How many recordings of an app run on the other servers of the fleet: the limit of an app is one for all of them. */
import type { Queryable } from './database.ts';

/** First number of the advisory locks of apps; the second is made of the App ID. */
const LOCK_CLASS = 4_228;

/**
 * No fewer than run: what each owner told with its last renewal, of all apps, and what was started since. Null where an
 * owner of recordings that run told nothing, or does not live. It reads a row of each owner, and nothing of what runs.
 */
const AT_MOST = `
  select (
    select case
      when bool_and(o.recordings is not null and o.lease_until > now()) is not false then coalesce(sum(o.recordings), 0)
    end
    from owners o
    where o.owner is distinct from $2
      and (o.lease_until > now() or exists (select 1 from tasks t where t.owner = o.owner and t.running))
  ) + (
    select count(*) from tasks where appid = $1 and created_ms > extract(epoch from now()) * 1000 - 30000
  ) + (
    select count(*) from tasks where owner is null and running
  ) as at_most`;
const EXACTLY = 'select count(*) as n from tasks where appid = $1 and running and owner is distinct from $2';

/**
 * @param owner the server that asks; its own recordings are not counted
 * @param most what the answer is compared with: it may be more than run as long as it is no more than this
 */
export async function runningElsewhere(inside: Queryable, appid: string, owner: string, most: number): Promise<number> {
  const [bound] = await inside.query(AT_MOST, [appid, owner]);
  const atMost = bound?.['at_most'];
  if (atMost != null && Number(atMost) <= most) return Number(atMost);
  const [row] = await inside.query(EXACTLY, [appid, owner]);
  return Number(row?.['n']);
}

/** Has starts of an app in all servers wait for each other until the transaction ends, so that none is overlooked. */
export async function lockStarts(inside: Queryable, appid: string): Promise<void> {
  await inside.query('select pg_advisory_xact_lock($1::integer, hashtext($2))', [LOCK_CLASS, appid]);
}
