/** Which recordings are over and done with: what is left of them on a spool is of no use to anybody. */
import type { Queryable } from './database.ts';

/**
 * Of these recordings those of a data folder that have ended, and all of whose files are in their own store or in the
 * backup store. Of one that another node had for a while the folder may have what nobody else has.
 */
export async function storedOf(database: Queryable, folder: string, sids: readonly string[]): Promise<string[]> {
  if (sids.length === 0) return [];
  const rows = await database.query(
    `select sid from tasks t where sid = any($1) and folder = $2 and ended_ms is not null
       and state->>'uploadedTo' in ('uploaded', 'backuped')
       and not exists (select 1 from strays s where s.sid = t.sid and s.folder = $2)`,
    [[...sids], folder],
  );
  return rows.map((row) => String(row['sid']));
}
