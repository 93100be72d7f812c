/**
 * What a fleet costs: renewals of many nodes' leases in Postgres' CPU time, and a query that comes to another node than
 * its recording's, against one that comes to the right one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Connection, Database } from '../src/store/database.ts';
import { openDatabase } from '../src/store/open-database.ts';
import type { Ownership } from '../src/store/ownership.ts';
import { median } from '../test/support/judge/offsets.ts';
import { PostgresServer } from '../test/support/postgres.ts';
import { beginOwner } from '../test/support/stored-recording.ts';
import { localStorage, TestServer, until } from '../test/support/test-server.ts';
import { runLoad } from './api.ts';
import { atMost, type Figure } from './measure.ts';
import { meterOf } from './proc.ts';

/** Nodes, each of which renews once a second. */
const NODES = 300;
const SETTLE_MS = 5_000;
const MEASURE_MS = 30_000;
const TAKES = 5;
const TAKE_S = 3;
/** Status of a recording that waits for somebody to send something. */
const IDLE = 4;

/** The CPU time of a Postgres in which 300 nodes renew their leases, beside that of one in which none does. */
export async function measureLeaseRenewals(): Promise<Figure[]> {
  const postgres = await PostgresServer.start({ maxConnections: NODES + 20 });
  const owners: Ownership[] = [];
  const database = await openDatabase({ url: postgres.url, pgliteDir: '' });
  try {
    await pause(SETTLE_MS);
    const restCores = await coresOver(postgres, MEASURE_MS / 3);
    for (let n = 0; n < NODES; n++) {
      const owner = await beginOwner(database);
      owners.push(owner);
      const facts = {
        ...{ name: `node-${n}`, version: '1.0.0' },
        ...{ nodeUrl: `http://10.0.0.${n}:7302`, publicUrl: `https://node-${n}.example.com` },
      };
      await owner.announce(facts, () => ({
        ...{ capacity: { cores: 16, bytes: 64e9 }, load: { cores: Math.random() * 16, bytes: Math.random() * 64e9 } },
        ...{ recordings: Math.floor(Math.random() * 100), publishers: Math.floor(Math.random() * 1000), calls: {} },
      }));
    }
    await pause(SETTLE_MS);
    const before = await renewalsIn(postgres);
    const cores = await coresOver(postgres, MEASURE_MS);
    const perS = ((await renewalsIn(postgres)) - before) / (MEASURE_MS / 1000);
    const percent = (100 * (cores - restCores) * NODES) / perS;
    for (const owner of owners.splice(0)) await owner.close();
    const leastPercent = 100 * ((await coresOfWakingOnly(postgres, database)) - restCores);
    const [all, atRest] = [cores, restCores].map((each) => `${(100 * each).toFixed(2)} %`);
    const least = `select 1 on as many connections, as often, ${leastPercent.toFixed(2)} %`;
    const detail = `${perS.toFixed(0)} renewals/s; Postgres ${all}, at rest ${atRest}; ${least}`;
    return [atMost(`${NODES} lease renewals a second`, percent, 5, '% of a core', detail)];
  } finally {
    for (const owner of owners) await owner.close();
    await database.close();
    await postgres.close();
  }
}

/** The CPU time of that Postgres when each connection asks for nothing once a second: what no renewal can save. */
async function coresOfWakingOnly(postgres: PostgresServer, database: Database): Promise<number> {
  const connections: Connection[] = [];
  for (let n = 0; n < NODES; n++) connections.push(await database.connect(() => {}));
  let isOver = false;
  const loops = connections.map(async (connection, n) => {
    await pause((1000 * n) / NODES);
    while (!isOver) {
      await connection.query('select 1');
      await pause(1000);
    }
  });
  await pause(SETTLE_MS);
  const cores = await coresOver(postgres, MEASURE_MS / 3);
  isOver = true;
  await Promise.all(loops);
  for (const connection of connections) await connection.close();
  return cores;
}

/** Rows of owners that were written so far. */
async function renewalsIn(postgres: PostgresServer): Promise<number> {
  // Backends tell their counts when they have been idle for a second, or at their next statement after that.
  const [row] = await postgres.rows(`select n_tup_upd from pg_stat_user_tables where relname = 'owners'`);
  return Number(row?.['n_tup_upd']);
}

async function coresOver(postgres: PostgresServer, ms: number): Promise<number> {
  const cores = meterOf(postgres.pid);
  await pause(ms);
  return cores();
}

/** A query of one recording, at the node that has it and at another, turn by turn. */
export async function measureForwardedQuery(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  const postgres = await PostgresServer.start();
  const first = new TestServer(join(dir, 'a'), {
    AIRCHECK_DATABASE_URL: postgres.url,
    AIRCHECK_FLEET_KEY: 'a key of a fleet that is long enough',
    AIRCHECK_NODE_PORT: '0',
    AIRCHECK_LOG_LEVEL: 'warn',
    AIRCHECK_WARM_RECORDERS: '0',
  });
  const servers = [first, first.another(join(dir, 'b'))];
  try {
    for (const server of servers) await server.start();
    const recording = await first.record('forwarded', '9', {
      recordingConfig: { channelType: 1, maxIdleTime: 600 },
      storageConfig: localStorage('bucket'),
    });
    const statusIn = ({ body }: Awaited<ReturnType<typeof recording.query>>) =>
      (body['serverResponse'] as { status?: number } | undefined)?.status;
    await until('the recorder waits', async () => statusIn(await recording.query()) === IDLE, 30_000);
    const owner = await ownerAmong(servers, recording.sid, postgres);
    const other = servers.find((server) => server !== owner)!;
    const figures: Figure[] = [];
    for (const connections of [1, 16]) {
      const takes: { here: number; there: number; carried: number }[] = [];
      for (let n = 0; n < TAKES; n++)
        takes.push({
          here: await p50Ms(owner, recording, connections),
          there: await p50Ms(other, recording, connections),
          // With a query in its address it is asked of the owner each time.
          carried: await p50Ms(other, recording, connections, '?carried'),
        });
      const ratio = median(takes.map(({ here, there }) => there / here));
      const list = (side: keyof (typeof takes)[number]) => takes.map((take) => take[side].toFixed(2)).join('/');
      const detail = `median of ${TAKES}; elsewhere ${list('there')}, local ${list('here')}, carried each time ${list('carried')} ms`;
      const what = `query at another node against a local one, p50, ${connections} at once`;
      figures.push(atMost(what, ratio, 1.5, '×', detail));
    }
    return figures;
  } finally {
    for (const server of servers) await server.end();
    await postgres.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The server that owns a recording. */
async function ownerAmong(servers: readonly TestServer[], sid: string, postgres: PostgresServer): Promise<TestServer> {
  const [row] = await postgres.rows(`select owner from tasks where sid = '${sid}'`);
  for (const server of servers) {
    const { body } = await server.ask('GET', '/v1/aircheck/nodes');
    if (body['self'] === row?.['owner']) return server;
  }
  throw new Error('none of the servers owns the recording');
}

async function p50Ms(
  server: TestServer,
  { resourceId, sid }: { resourceId: string; sid: string },
  connections: number,
  search = '',
): Promise<number> {
  const { url, appid, customerId, customerSecret } = server.running;
  const result = await runLoad(
    {
      url: `${url}/v1/apps/${appid}/cloud_recording/resourceid/${resourceId}/sid/${sid}/mode/mix/query${search}`,
      headers: { authorization: `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}` },
      ...{ connections, warmUpS: 1, measureS: TAKE_S, status: IDLE },
    },
    () => {},
  );
  if (result.wrong > 0 || result.answers === 0)
    throw new Error(`${result.wrong} of ${result.answers} answers are wrong`);
  return result.p50Ms;
}
