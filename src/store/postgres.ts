/**
 * A Postgres server as Database.
 */
import { Client, type ClientConfig, Pool, type PoolClient } from 'pg';
import { type Database, type Row, wasTooSlow } from './database.ts';

/**
 * Nothing waits for ever when a database hangs or is gone: neither for a connection nor for an answer. The server's own
 * limit comes first, so that no statement goes on when nobody waits for it.
 */
const LIMITS = {
  connectionTimeoutMillis: 5_000,
  statement_timeout: 10_000,
  query_timeout: 12_000,
  idle_in_transaction_session_timeout: 30_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 5_000,
};
const MAX_CONNECTIONS = 10;
/**
 * Of a connection of its own. A statement ends sooner than elsewhere, so that the next one, which says what is true
 * now, has its turn. The answer may be late nevertheless, where the database does not get to read the statement: a new
 * connection would have it do more, and be no sooner. After this much silence there may be nobody there any more.
 */
const OWN_CONNECTION = { ...LIMITS, statement_timeout: 3_000, query_timeout: 8_000 };

/**
 * A client that may break at any moment. Whoever uses it is told by its next statement; without a listener the event
 * would end the process. The pool listens only while a client is idle in it, and a client can break in the very moment
 * in which the pool hands it out, before whoever asked for it can listen.
 */
class PooledClient extends Client {
  constructor(config?: ClientConfig) {
    super(config);
    this.on('error', () => {});
  }
}

export function openPostgres(url: string): Database {
  const pool = new Pool({ connectionString: url, max: MAX_CONNECTIONS, Client: PooledClient, ...LIMITS });
  // An idle connection that breaks is replaced at its next use; without a listener the event would end the process.
  pool.on('error', () => {});
  const nameOf = statementNames();
  const named = (sql: string, values: unknown[]) => ({ name: nameOf(sql), text: sql, values });
  return {
    description: `Postgres at ${placeOf(url)}`,
    exclusive: false,
    query: async (sql, params = []) => (await pool.query<Row>(sql, params)).rows,
    repeated: async (sql, params = []) => (await pool.query<Row>(named(sql, params))).rows,
    script: (sql) =>
      withClient(pool, async (client) => {
        const answer = await client.query<Row>(sql);
        // With several statements the driver returns one result for each.
        return [answer].flat().flatMap(({ rows }) => rows);
      }),
    transaction: (run) =>
      withClient(pool, async (client) => {
        await client.query('begin');
        const result = await run({
          query: async (sql, params = []) => (await client.query<Row>(sql, params)).rows,
          repeated: async (sql, params = []) => (await client.query<Row>(named(sql, params))).rows,
        });
        await client.query('commit');
        return result;
      }),
    async connect(onLost) {
      const client = new Client({ connectionString: url, ...OWN_CONNECTION });
      let stands = false;
      const lose = () => {
        if (!stands) return;
        stands = false;
        onLost();
        giveUp();
      };
      // It ends at once where a statement is still without an answer.
      const giveUp = () => void client.end().catch(() => {});
      client.on('error', lose);
      client.on('end', lose);
      try {
        await client.connect();
        // What is written here is written anew each second. After a crash of the database the last of it may be
        // missing, and to wait for the disk each time would be most of what it costs.
        await client.query('set synchronous_commit to off; set plan_cache_mode to force_generic_plan');
      } catch (error) {
        giveUp();
        throw error;
      }
      stands = true;
      // The same few statements over and over: each is planned once, whatever its parameters.
      const ownNameOf = statementNames();
      return {
        async query(sql, params = []) {
          try {
            return (await client.query<Row>({ name: ownNameOf(sql), text: sql, values: params })).rows;
          } catch (error) {
            if (!wasTooSlow(error)) lose();
            throw error;
          }
        },
        async close() {
          stands = false;
          await client.end();
        },
      };
    },
    close: () => pool.end(),
  };
}

/**
 * Runs `use` with a connection of its own. Where that fails the transaction that it may have opened is rolled back, and
 * a connection that cannot do so is given up.
 */
async function withClient<T>(pool: Pool, use: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    const result = await use(client);
    client.release();
    return result;
  } catch (error) {
    const broken = await client.query('rollback').then(
      () => false,
      () => true,
    );
    client.release(broken);
    throw error;
  }
}

/** Names for statements that are planned once. They are few: none is ever forgotten. */
function statementNames(): (sql: string) => string {
  const names = new Map<string, string>();
  return (sql) => {
    const name = names.get(sql) ?? `statement ${names.size}`;
    names.set(sql, name);
    return name;
  };
}

/** Host and database of the address, without user and password. */
function placeOf(url: string): string {
  try {
    const { host, pathname } = new URL(url);
    return `${host}${pathname}`;
  } catch {
    return 'the configured address';
  }
}
