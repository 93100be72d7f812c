/**
 * What looking for tasks to claim reads: every node does it each second, so it must not grow with the tasks of nodes
 * that live.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addRunning, age, beginNode } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { CLAIM, LOOK } from './claim.ts';
import type { Database, Queryable, Row } from './database.ts';
import type { Ownership } from './ownership.ts';

/** Tasks of nodes that live. */
const MANY = 5_000;

let database: Database;
let claimer: Ownership;
let dead: Ownership;
let other: Ownership;
beforeEach(async () => {
  database = { ...(await openTestDatabase()), exclusive: false };
  // None renews by itself, however slow the machine is.
  const clock = new ManualClock();
  [claimer, dead, other] = [
    await beginNode(database, { clock }),
    await beginNode(database, { clock }),
    await beginNode(database, { clock }),
  ];
});
afterEach(async () => {
  for (const node of [claimer, dead, other]) await node?.close();
  await database?.close();
});

/** Has all have renewed just now, but for the one that died so long ago. */
async function renew(inside: Queryable, diedS: number): Promise<void> {
  for (const node of [claimer, other]) await age(inside, node, { renewedS: 0, steadyS: 60 });
  await age(inside, dead, { renewedS: diedS });
}

type Plan = { 'Node Type': string; 'Relation Name'?: string; Plans?: Plan[]; [more: string]: unknown };
type Cost = { pages: number; scanned: string[] };

/** Pages that a statement touches, and the tables that it reads from one end to the other; it changes nothing. */
async function costOf(sql: string, diedS: number): Promise<Cost> {
  let rows: Row[] = [];
  const { owner, folder } = claimer;
  const explain = database.transaction(async (inside) => {
    await renew(inside, diedS);
    rows = await inside.query(`explain (analyze, buffers, format json) ${sql}`, [
      ...[owner, folder, false, [], 'boot', true],
    ]);
    throw new Error('rolled back');
  });
  await expect(explain).rejects.toThrow('rolled back');
  const [{ Plan: plan }] = rows[0]!['QUERY PLAN'] as [{ Plan: Plan }];
  const all = (each: Plan): Plan[] => [each, ...(each.Plans ?? []).flatMap(all)];
  const scanned = all(plan).flatMap((each) => (each['Node Type'] === 'Seq Scan' ? [each['Relation Name'] ?? ''] : []));
  return { pages: Number(plan['Shared Hit Blocks']) + Number(plan['Shared Read Blocks']), scanned };
}

// Where owners have many, the planner expects to meet one that may be claimed soon, wherever it begins to read.
test.each([10, 1000])('a claim reads the tasks of owners that are gone, however many have %i each', async (each) => {
  const sid = await addRunning(database, dead);
  const model = await addRunning(database, other);
  const fill = async (from: number, to: number) => {
    const copies = `generate_series(${from}, ${to}) n`;
    await database.query(
      `insert into resources select md5('r' || n), appid, 'c' || n, uid, scene, expires_ms, expired_hour
       from resources, ${copies} where resource_id = $1`,
      [model],
    );
    await database.query(
      `insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state,
           document, owner, folder, epoch)
         select md5('t' || n), md5('r' || n), appid, 'c' || n, uid, mode, created_ms, updated_ms, true, 5, state,
           document, 'o' || n / $2::integer, folder, 1 from tasks, ${copies} where sid = $1`,
      [model, each],
    );
    await database.script('analyze');
  };
  const costs = async (diedS: number) => [await costOf(LOOK, diedS), await costOf(CLAIM, diedS)];
  await fill(1, MANY / 10);
  const [atRest, atDeath] = [await costs(0), await costs(60)];
  await fill(MANY / 10 + 1, MANY);
  const [amongMany, deathAmongMany] = [await costs(0), await costs(60)];
  // An index may be a level deeper, and some pages are read once more for what was just written.
  const isNoMore = (before: Cost[], now: Cost[]) => {
    for (const [n, { pages, scanned }] of now.entries()) {
      expect(pages).toBeLessThanOrEqual(1.5 * before[n]!.pages + 10);
      expect(scanned).not.toContain('tasks');
    }
  };
  isNoMore(atRest, amongMany);
  isNoMore(atDeath, deathAmongMany);
  // What was measured claims.
  const claimed = await database.transaction(async (inside) => {
    await renew(inside, 60);
    return claimer.claim(inside, []);
  });
  expect(claimed.map((row) => row['sid'])).toEqual([sid]);
});
