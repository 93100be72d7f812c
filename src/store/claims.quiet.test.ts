/**
 * The claim of a task under contention, in a real Postgres: however many nodes claim it, and whenever, it has one
 * owner.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { PostgresServer } from '../../test/support/postgres.ts';
import { addRunning, age, beginNode } from '../../test/support/stored-recording.ts';
import { until } from '../../test/support/test-server.ts';
import { fenced } from '../session/hold.ts';
import type { Database } from './database.ts';
import { openDatabase } from './open-database.ts';
import type { Ownership } from './ownership.ts';
import { requireHold } from './ownership.ts';

const CLAIMS = 1_000;

let postgres: PostgresServer;
let database: Database;
const nodes: Ownership[] = [];
beforeAll(async () => {
  postgres = await PostgresServer.start();
  database = await openDatabase({ url: postgres.url, pgliteDir: '' });
}, 60_000);
afterAll(async () => {
  for (const node of nodes) await node.close();
  await database?.close();
  await postgres?.close();
});

test(`of two nodes that claim one task ${CLAIMS} times each time one gets it, and the one before loses it`, async () => {
  const dead = await beginNode(database);
  nodes.push(dead, await beginNode(database), await beginNode(database));
  const claimers = nodes.slice(1);
  const sid = await addRunning(database, dead);
  for (const node of claimers) await age(database, node, { renewedS: 0, steadyS: 60 });
  let wins = [0, 0];
  let former = { sid, owner: dead.owner, epoch: 1 };
  // It renews nothing any more, and every task of it may be claimed.
  await dead.close();
  await age(database, dead, { renewedS: 120 });
  for (let round = 1; round <= CLAIMS; round++) {
    await database.query('update tasks set owner = $2, folder = $3 where sid = $1', [sid, dead.owner, dead.folder]);
    const won = await Promise.all(claimers.map((node) => database.transaction((inside) => node.claim(inside, []))));
    const winners = claimers.filter((_, n) => (won[n] ?? []).length > 0);
    expect(winners).toHaveLength(1);
    wins = wins.map((count, n) => count + (won[n] ?? []).length);
    const hold = { sid, owner: winners[0]?.owner ?? '', epoch: round + 1 };
    await requireHold(database, hold);
    await expect(requireHold(database, former)).rejects.toThrow(fenced(sid).message);
    former = hold;
  }
  // Both had a chance, or nothing was contended for.
  expect(Math.min(...wins)).toBeGreaterThan(0);
}, 120_000);

test('an owner that renews while its task is being claimed is sure of it never, nor before the claim is over', async () => {
  // Neither renews by itself.
  const clock = new ManualClock();
  const [late, claimer] = [await beginNode(database, { clock }), await beginNode(database, { clock })];
  nodes.push(late, claimer);
  const sid = await addRunning(database, late);
  await age(database, claimer, { renewedS: 0, steadyS: 60 });
  await age(database, late, { renewedS: 10 });
  const isSure = late.certainty({ sid, owner: late.owner, epoch: 1 });
  let renewal: Promise<string> | undefined;
  await database.transaction(async (inside) => {
    expect((await claimer.claim(inside, [])).map((row) => row['sid'])).toEqual([sid]);
    renewal = late.renew().then(() => 'renewed');
    const waiting = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%update owners%'`;
    const waits = until('the renewal waits', async () => (await postgres.rows(waiting)).length > 0, 2_000);
    expect(await Promise.race([renewal, waits.then(() => 'waits')])).toBe('waits');
  });
  expect(await renewal).toBe('renewed');
  await expect(isSure(AbortSignal.timeout(5_000))).rejects.toThrow(fenced(sid).message);
});
