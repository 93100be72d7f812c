/**
 * PGlite, a Postgres inside this process, as Database.
 */
import { PGlite } from '@electric-sql/pglite';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Database, Row } from './database.ts';

const OPENS_TRANSACTION = /^\s*begin\b/i;

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
    exclusive: true,
    async script(sql) {
      // In a transaction of ours, a script that opens its own is undone in the same breath when it fails. Else whoever comes
      // next on the one connection would find it in a failed transaction.
      const results = OPENS_TRANSACTION.test(sql) ? await db.transaction((tx) => tx.exec(sql)) : await db.exec(sql);
      return results.flatMap(({ rows }) => rows as Row[]);
    },
    query: async (sql, params = []) => (await db.query<Row>(sql, params)).rows,
    transaction: (run) =>
      db.transaction((tx) => run({ query: async (sql, params = []) => (await tx.query<Row>(sql, params)).rows })),
    close: () => db.close(),
  };
}
