/** The identity of the data folder that an embedded database lies in, as the last server told it. */
import type { Database } from './database.ts';

/** Undefined where no server has been, and of a database that several servers share: each has a folder of its own. */
export async function formerFolder(database: Database): Promise<string | undefined> {
  if (!database.exclusive) return undefined;
  // By number, because clocks may be set back.
  const [row] = await database.query('select folder from owners order by lock_key desc limit 1');
  return row && String(row['folder']);
}
