/**
 * Leases in a real Postgres that stands still or ends statements: the connections that hold the locks of its nodes
 * outlive what is only slow, and those that are silent for long are replaced, each once.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PostgresServer } from '../../test/support/postgres.ts';
import { beginNode } from '../../test/support/stored-recording.ts';
import { until } from '../../test/support/test-server.ts';
import { LOCK_CLASS } from './claim.ts';
import type { Database } from './database.ts';
import { openDatabase } from './open-database.ts';
import type { Ownership } from './ownership.ts';

const NODES = 12;

let postgres: PostgresServer;
let database: Database;
let connects = 0;
const nodes: Ownership[] = [];
beforeAll(async () => {
  postgres = await PostgresServer.start();
  const opened = await openDatabase({ url: postgres.url, pgliteDir: '' });
  database = {
    ...opened,
    connect(onLost) {
      connects++;
      return opened.connect(onLost);
    },
  };
  for (let n = 0; n < NODES; n++) nodes.push(await beginNode(database));
}, 60_000);
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await database?.close();
  await postgres?.close();
});

/** The processes of Postgres that hold the nodes' locks. */
async function holders(): Promise<unknown[]> {
  const sql = `select pid from pg_locks where locktype = 'advisory' and classid = ${LOCK_CLASS} order by pid`;
  return (await postgres.rows(sql)).map((row) => row['pid']);
}
const renewed = () =>
  until(
    'all nodes have renewed and hold their locks',
    async () => {
      const [row] = await postgres.rows(
        `select count(*) as late from owners where renewed_at < now() - interval '1.5 s'`,
      );
      return row?.['late'] === '0' && (await holders()).length === NODES;
    },
    15_000,
  );

test('a database that stands still for 5 s costs no node its connection', async () => {
  await renewed();
  const before = await holders();
  connects = 0;
  postgres.hang();
  await pause(5_000);
  await postgres.resume();
  await renewed();
  expect(await holders()).toEqual(before);
  expect(connects).toBe(0);
});

test('statements that the database ends for their time cost no node its connection', async () => {
  const before = await holders();
  connects = 0;
  const other = new Client({ connectionString: postgres.url });
  await other.connect();
  await other.query('begin');
  await other.query('select 1 from owners for update');
  // Until all that were asked have been ended, and others were asked on the same connections.
  const waiting = `select count(*) as waiting from pg_stat_activity
    where wait_event_type = 'Lock' and query like '%update owners%' and query_start > '`;
  const [{ now }] = (await other.query('select now()::text')).rows;
  await until(
    'all have asked again',
    async () =>
      (await postgres.rows(`${waiting}${now}'::timestamptz + interval '2.5 s'`))[0]?.['waiting'] === `${NODES}`,
    10_000,
  );
  await other.query('rollback');
  await other.end();
  await renewed();
  expect(await holders()).toEqual(before);
  expect(connects).toBe(0);
});

test('a database that is silent for long, and then answers, has one new connection of each node', async () => {
  const before = await holders();
  connects = 0;
  postgres.hang();
  await until('all nodes have given up', () => connects === NODES, 12_000);
  await postgres.resume();
  await renewed();
  const after = await holders();
  expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  expect(connects).toBe(NODES);
});
