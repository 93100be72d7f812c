/**
 * PGlite, a Postgres inside this process, as Database.
 */
import { PGlite } from '@electric-sql/pglite';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Database, Row } from './database.ts';

/** @param folder where the database lies, or `memory://` */
export async function openPglite(folder: string): Promise<Database> {
  const description = folder === 'memory://' ? 'PGlite in memory' : `PGlite in ${folder}`;
  let db: PGlite;
  try {
    db = await PGlite.create(folder);
  } catch (cause) {
    throw new Fault('database-unusable', `the database (${description}) cannot be opened: ${messageOf(cause)}`, {
      blame: 'self',
      cause,
    });
  }
  return {
    description,
    query: async (sql, params = []) => (await db.query<Row>(sql, params)).rows,
    transaction: (run) =>
      db.transaction((tx) => run({ query: async (sql, params = []) => (await tx.query<Row>(sql, params)).rows })),
    close: () => db.close(),
  };
}
