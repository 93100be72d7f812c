/**
 * Database: the little of SQL that the store needs, the same over PGlite and Postgres.
 */
import { Fault, messageOf } from '../kernel/fault.ts';
import { migrate } from './migrations.ts';

export type Row = Record<string, unknown>;
export type Queryable = {
  /**
   * Rows of one statement with `$1`-style parameters. Rejects with the driver's error, whose `code` is the SQLSTATE.
   */
  query(sql: string, params?: unknown[]): Promise<Row[]>;
};
/** A connection that belongs to one user, so that what it holds (an advisory lock) is gone when it breaks. */
export type Connection = Queryable & { close(): Promise<void> };
export type Database = Queryable & {
  readonly description: string;
  /** Whether no other process can have it open. */
  readonly exclusive: boolean;
  /**
   * Runs SQL without parameters that may be many statements, and gives the rows of all of them. What it leaves open
   * when it fails is rolled back.
   */
  script(sql: string): Promise<Row[]>;
  /** Commits when `run` resolves and rolls back when it rejects. */
  transaction<T>(run: (inside: Queryable) => Promise<T>): Promise<T>;
  /** Opens a connection beside the others. `onLost` is called once when it breaks. In PGlite it is the one there is. */
  connect(onLost: () => void): Promise<Connection>;
  close(): Promise<void>;
};

export type DatabaseOptions = {
  /** A postgres:// address, or empty for PGlite. */
  url: string;
  /** Folder of the PGlite database, or `memory://`. */
  pgliteDir: string;
};

/** Opens the database and brings its tables up to date. Throws a Fault that says what cannot be reached. */
export async function openDatabase({ url, pgliteDir }: DatabaseOptions): Promise<Database> {
  const database = url
    ? (await import('./postgres.ts')).openPostgres(url)
    : await (await import('./pglite.ts')).openPglite(pgliteDir);
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

/** Whether a statement failed because a row with that unique key is there already. */
export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown }).code === '23505';
}
