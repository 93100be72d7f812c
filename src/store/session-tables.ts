/**
 * SessionTables: who is signed in to the dashboard. In the database, so that any node of a fleet knows a session, and
 * none goes on with one that was ended at another. All times are the database's, because servers' clocks may differ.
 */
import type { Database } from './database.ts';

/** What is kept of a session: nothing of it lets anybody in who has read the table. */
export type StoredSession = {
  /** Of the token that the browser has. */
  tokenHash: string;
  customer: string;
  /** Made of the token and the customer's secret: it no longer fits when the secret is another. */
  proof: string;
};

/** Sessions of one customer at once; a sign-in beyond ends the oldest. */
const MOST_OF_CUSTOMER = 100;

export class SessionTables {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async add({ tokenHash, customer, proof }: StoredSession, lifeS: number): Promise<void> {
    await this.#database.transaction(async (inside) => {
      await inside.query('delete from sessions where expires_at <= now()');
      await inside.query(
        `insert into sessions (token_hash, customer, proof, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4::float8))`,
        [tokenHash, customer, proof, lifeS],
      );
      await inside.query(
        `delete from sessions where token_hash in (
           select token_hash from sessions where customer = $1 order by expires_at desc, token_hash offset $2)`,
        [customer, MOST_OF_CUSTOMER],
      );
    });
  }

  /** Undefined when there never was one, and when it is over. */
  async find(tokenHash: string): Promise<StoredSession | undefined> {
    const [row] = await this.#database.query(
      'select customer, proof from sessions where token_hash = $1 and expires_at > now()',
      [tokenHash],
    );
    return row && { tokenHash, customer: String(row['customer']), proof: String(row['proof']) };
  }

  /** Does nothing when there is none. */
  async remove(tokenHash: string): Promise<void> {
    await this.#database.query('delete from sessions where token_hash = $1', [tokenHash]);
  }
}
