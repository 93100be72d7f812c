/**
 * Ground: what a server stands on, its data folder and its database. Both are taken before the server's own code is
 * loaded: the database opens in a thread meanwhile.
 */
import { join } from 'node:path';
import type { Config } from '../config/load.ts';
import type { Database } from '../store/database.ts';
import { openDatabase } from '../store/open-database.ts';
import { type DataDirLock, lockDataDir } from './data-dir-lock.ts';

export type Ground = { lock: DataDirLock; database: Promise<Database> };

/** Takes the data folder, which must exist, and begins to open the database. Throws a Fault as of `lockDataDir`. */
export async function takeGround({ dataDir, databaseUrl }: Pick<Config, 'dataDir' | 'databaseUrl'>): Promise<Ground> {
  const lock = await lockDataDir(dataDir);
  const database = openDatabase({ url: databaseUrl, pgliteDir: join(dataDir, 'db') });
  // A failure waits for whoever asks for the database, who may still be loading.
  database.catch(() => {});
  return { lock, database };
}
