/**
 * Scenarios with a Postgres of their own: two servers on one, and one that goes away.
 */
import { isDeepStrictEqual } from 'node:util';
import { PostgresServer } from '../support/postgres.ts';
import { play, type Report } from './play.ts';
import { type Show, steadyPlan, takesOf } from './show.ts';
import type { ChaosStage } from './stage.ts';

/** The time limit of a call (AIRCHECK_CALL_TIMEOUT_MS, 4 s), and some for a busy machine. */
const ANSWERED_WITHIN_MS = 6000;
/** What no second server may touch. */
const ROWS =
  'select sid, resource_id, appid, cname, uid, mode, created_ms, running, ended_ms from tasks order by created_ms';

async function withPostgres(run: (postgres: PostgresServer) => Promise<Report>): Promise<Report> {
  const postgres = await PostgresServer.start();
  try {
    return await run(postgres);
  } finally {
    await postgres.close();
  }
}

/** While the first server records, a second one starts, ends in order, starts again and is killed. */
export function twoServers(seed: number): Promise<Report> {
  return withPostgres((postgres) => {
    const differences: string[] = [];
    const show = (stage: ChaosStage): Show => ({
      plan: steadyPlan(24, seed),
      takes: takesOf([[]]),
      async meanwhile(at) {
        const before = await postgres.rows(ROWS);
        await comeAndGo(stage, at);
        // A lease is over after 4 s: what a dead owner would set off has happened by then.
        await at(22);
        const after = await postgres.rows(ROWS);
        differences.push(...changesIn(before, after));
        return [];
      },
    });
    const env = { AIRCHECK_DATABASE_URL: postgres.url };
    return play((stage) => [show(stage)], { env, judge: () => differences });
  });
}

/** What differs between two answers to the same question, in words. */
function changesIn(before: readonly Record<string, unknown>[], after: readonly Record<string, unknown>[]): string[] {
  if (after.length !== before.length) return [`there were ${before.length} rows and are ${after.length}`];
  return before.flatMap((row, i) =>
    Object.keys(row)
      .filter((column) => !isDeepStrictEqual(row[column], after[i]?.[column]))
      .map((column) => `${column} of ${row['sid']} was ${row[column]} and is ${after[i]?.[column]}`),
  );
}

async function comeAndGo(stage: ChaosStage, at: (atS: number) => Promise<void>): Promise<void> {
  const second = stage.another();
  try {
    await at(3);
    await second.start();
    await at(8);
    await second.end();
    await second.start();
    await at(16);
  } finally {
    await second.kill();
  }
}

/** The database is away; one recording is stopped meanwhile, the others when it is back. */
export function databaseAway(how: 'hang' | 'crash', awayS: number, seed: number): Promise<Report> {
  return withPostgres((postgres) =>
    play(
      () => [
        {
          plan: steadyPlan(awayS + 14, seed),
          takes: [
            ...takesOf([[]], undefined, { mayTimeOut: true }),
            { mode: 'mix', harm: [], mayTimeOut: true, stopAtS: awayS / 2 + 5 },
          ],
          async meanwhile(at) {
            await at(5);
            await postgres[how]();
            await at(5 + awayS);
            await postgres.resume();
            return [];
          },
        },
      ],
      {
        env: { AIRCHECK_DATABASE_URL: postgres.url },
        judge: (outcomes) =>
          outcomes
            .filter(({ slowestMs }) => slowestMs > ANSWERED_WITHIN_MS)
            .map(({ slowestMs }) => `an answer to query took ${slowestMs.toFixed(0)} ms`),
      },
    ),
  );
}
