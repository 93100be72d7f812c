/**
 * Opens the database that the settings name.
 */
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Database } from './database.ts';
import { migrate } from './migrations.ts';

export type DatabaseOptions = {
  /** A postgres:// address, or empty for PGlite. */
  url: string;
  /** Folder of the PGlite database, or `MEMORY`. */
  pgliteDir: string;
};

/** Opens the database and brings its tables up to date. Throws a Fault that says what cannot be reached. */
export async function openDatabase({ url, pgliteDir }: DatabaseOptions): Promise<Database> {
  const database = url ? (await import('./postgres.ts')).openPostgres(url) : await openEmbedded(pgliteDir);
  try {
    await migrate(database);
  } catch (cause) {
    await database.close();
    const why = messageOf(cause) || String((cause as { code?: unknown }).code ?? 'no answer');
    throw new Fault('database-unusable', `the database (${database.description}) cannot be used: ${why}`, {
      blame: 'self',
      cause,
    });
  }
  return database;
}

async function openEmbedded(folder: string): Promise<Database> {
  const { isDatabase, MEMORY, openPglite } = await import('./pglite.ts');
  if (folder !== MEMORY && !isDatabase(folder)) {
    const { layDatabase } = await import('./template.ts');
    await layDatabase(folder).catch((cause: unknown) => {
      throw new Fault('database-unusable', `no database can be made in ${folder}: ${messageOf(cause)}`, {
        blame: 'self',
        cause,
      });
    });
  }
  return openPglite(folder);
}
