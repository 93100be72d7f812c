/**
 * A Postgres server as Database.
 */
import { Pool } from 'pg';
import type { Database, Row } from './database.ts';

export function openPostgres(url: string): Database {
  const pool = new Pool({ connectionString: url, max: 10, connectionTimeoutMillis: 10_000 });
  // A connection that breaks while idle is replaced at its next use; unheard, the event would end the process.
  pool.on('error', () => {});
  return {
    description: `Postgres at ${placeOf(url)}`,
    exclusive: false,
    query: async (sql, params = []) => (await pool.query<Row>(sql, params)).rows,
    async script(sql) {
      const client = await pool.connect();
      try {
        const answer = await client.query<Row>(sql);
        client.release();
        // The driver gives one result for each of several statements.
        return [answer].flat().flatMap(({ rows }) => rows);
      } catch (error) {
        // It may be inside a transaction that the script opened.
        client.release(true);
        throw error;
      }
    },
    async transaction(run) {
      const client = await pool.connect();
      try {
        await client.query('begin');
        const result = await run({ query: async (sql, params = []) => (await client.query<Row>(sql, params)).rows });
        await client.query('commit');
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
    },
    close: () => pool.end(),
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
