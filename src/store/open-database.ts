/**
 * Opens the database that the settings name.
 */
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';

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
  const { isDatabase, isUnused, MEMORY, openPglite } = await import('./pglite.ts');
  if (folder === MEMORY) return openPglite(folder);
  if (isDatabase(folder) && !isUnused(folder))
    return openPglite(folder).catch((cause) => {
      throw damaged(folder, cause);
    });
  // Most starts find a database that is in use, and load nothing to make one with.
  const { discardTemplate, layAnew, layDatabase, putToUse } = await import('./template.ts');
  await told(folder, layDatabase(folder));
  const database = await openPglite(folder).catch(async () => {
    // Nothing was ever written to it, so nothing is lost. It is a copy: perhaps of something that is damaged.
    await told(folder, layAnew(folder));
    const opened = await openPglite(folder);
    await discardTemplate().catch(() => {});
    return opened;
  });
  await putToUse(folder);
  return database;
}

async function told(folder: string, making: Promise<void>): Promise<void> {
  await making.catch((cause: unknown) => {
    throw new Fault('database-unusable', `no database can be made in ${folder}: ${messageOf(cause)}`, {
      blame: 'self',
      cause,
    });
  });
}

/** Of a database that may hold recordings: it is left as it is. */
function damaged(folder: string, cause: unknown): Fault {
  return new Fault(
    'database-unusable',
    `${messageOf(cause)}. See that the disk has room and that this user may write there, and start again. If that does not help, its files are damaged: move ${folder} elsewhere, put it back from a backup if there is one, and start. A start without it makes an empty database: files that are stored stay where they are, and those of recordings that it does not know stay in the spool`,
    { blame: 'self', cause },
  );
}
