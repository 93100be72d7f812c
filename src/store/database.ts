/** Database: the few SQL operations that the store needs, the same over PGlite and Postgres. */

export type Row = Record<string, unknown>;
export type Queryable = {
  /**
   * Rows of one statement with `$1`-style parameters. Rejects with the driver's error, whose `code` is the SQLSTATE.
   */
  query(sql: string, params?: unknown[]): Promise<Row[]>;
};
/** That, and `repeated`, for a statement that is asked over and over: it is planned once for each connection. */
export type Repeatable = Queryable & { repeated(sql: string, params?: unknown[]): Promise<Row[]> };
/**
 * A connection for one user alone, so that what it holds (an advisory lock) is released when it breaks. What it writes
 * is seen by others at once, and may be lost when the database crashes within the next second.
 *
 * A database that is slow costs nobody its connection: `query` waits for a late answer, and where the database itself
 * has ended a statement that took too long (`wasTooSlow`) the next one may be asked on the same connection. It is given
 * up, and `onLost` called, when it breaks, is silent for long, or answers with any other error.
 */
export type Connection = Queryable & { close(): Promise<void> };
export type Database = Repeatable & {
  readonly description: string;
  /** Whether no other process can have the database open. */
  readonly exclusive: boolean;
  /**
   * Runs SQL without parameters, which may be many statements, and returns the rows of all. What it leaves open when it
   * fails is rolled back.
   */
  script(sql: string): Promise<Row[]>;
  /** Commits when `run` resolves and rolls back when it rejects. */
  transaction<T>(run: (inside: Repeatable) => Promise<T>): Promise<T>;
  /**
   * Opens another connection. `onLost` is called once when it is lost, before what waits for its answers rejects. In
   * PGlite it is the only one there is.
   */
  connect(onLost: () => void): Promise<Connection>;
  close(): Promise<void>;
};

/** Whether a statement failed because a row with the same unique key exists already. */
export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown }).code === '23505';
}

/**
 * What a database answers that is there but has too much to do: the statement was ended for its time (57014), waited
 * too long for a lock (55P03), was the victim of a deadlock (40P01), or found too little memory (53200).
 */
const TOO_SLOW = new Set(['57014', '55P03', '40P01', '53200']);

/** Whether a statement failed although nothing is wrong with it or its connection, so that it may be asked again. */
export function wasTooSlow(error: unknown): boolean {
  return TOO_SLOW.has(String((error as { code?: unknown }).code));
}
