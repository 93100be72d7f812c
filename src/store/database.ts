/** Database: the few SQL operations that the store needs, the same over PGlite and Postgres. */

export type Row = Record<string, unknown>;
export type Queryable = {
  /**
   * Rows of one statement with `$1`-style parameters. Rejects with the driver's error, whose `code` is the SQLSTATE.
   */
  query(sql: string, params?: unknown[]): Promise<Row[]>;
};
/**
 * A connection for one user alone, so that what it holds (an advisory lock) is released when it breaks. What it writes
 * is seen by others at once, and may be lost when the database crashes within the next second.
 */
export type Connection = Queryable & { close(): Promise<void> };
export type Database = Queryable & {
  readonly description: string;
  /** Whether no other process can have the database open. */
  readonly exclusive: boolean;
  /** As `query`, for a statement that is asked over and over: it is planned once for each connection. */
  repeated(sql: string, params?: unknown[]): Promise<Row[]>;
  /**
   * Runs SQL without parameters, which may be many statements, and returns the rows of all. What it leaves open when it
   * fails is rolled back.
   */
  script(sql: string): Promise<Row[]>;
  /** Commits when `run` resolves and rolls back when it rejects. */
  transaction<T>(run: (inside: Queryable) => Promise<T>): Promise<T>;
  /** Opens another connection. `onLost` is called once when it breaks. In PGlite it is the only one there is. */
  connect(onLost: () => void): Promise<Connection>;
  close(): Promise<void>;
};

/** Whether a statement failed because a row with the same unique key exists already. */
export function isUniqueViolation(error: unknown): boolean {
  return (error as { code?: unknown }).code === '23505';
}
