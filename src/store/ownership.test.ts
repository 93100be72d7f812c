import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addRunning, beginOwner, age as dateBack } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { newHexId } from '../kernel/ids.ts';
import type { Database } from './database.ts';
import { Ownership } from './ownership.ts';

const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);

// PGlite is taken for a database that others have open as well: the rules are the same SQL.
describe.each(targets)('who may claim a task, in %s', (_name, url) => {
  let database: Database;
  let folder: string;
  const owners: Ownership[] = [];
  beforeAll(async () => {
    database = { ...(await openTestDatabase(url)), exclusive: false };
  }, 60_000);
  beforeEach(() => {
    folder = newHexId();
  });
  afterAll(async () => {
    for (const owner of owners) await owner.close();
    await database?.close();
  });

  async function begin(bootId?: string, own = folder): Promise<Ownership> {
    const owner = await beginOwner(database, { folder: own, ...(bootId !== undefined && { bootId }) });
    owners.push(owner);
    return owner;
  }
  const add = (owner: { owner: string | null; folder: string | null }) => addRunning(database, owner);
  const claim = async (owner: Ownership, spooled: string[] = []) =>
    (await database.transaction((inside) => owner.claim(inside, spooled))).map((row) => [row['sid'], row['epoch']]);
  const age = (owner: Ownership, aged: { renewedS: number; steadyS?: number }) => dateBack(database, owner, aged);
  const steady = (owner: Ownership) => age(owner, { renewedS: 0, steadyS: 60 });

  test('nobody, while its owner lives, and whoever has the folder once the lease is over', async () => {
    const [first, second] = [await begin(), await begin()];
    const sid = await add(first);
    await steady(second);
    expect(await claim(second)).toEqual([]);
    await age(first, { renewedS: 4.5 });
    expect(await claim(second)).toEqual([[sid, 2]]);
    expect(await claim(second)).toEqual([]);
  });

  test('only a server of the same folder', async () => {
    const first = await begin();
    await add(first);
    await age(first, { renewedS: 60 });
    const stranger = await begin(undefined, newHexId());
    await steady(stranger);
    expect(await claim(stranger)).toEqual([]);
  });

  test('at once, when its owner had the same folder on the same start of the machine', async () => {
    const first = await begin('boot');
    const sid = await add(first);
    expect(await claim(await begin('boot'))).toEqual([[sid, 2]]);
  });

  test('an owner whose connection is gone, once a renewal is overdue', async () => {
    const [first, second] = [await begin(), await begin()];
    const sid = await add(first);
    await steady(second);
    await age(first, { renewedS: 2.5 });
    // It still holds its lock: slow, not gone.
    expect(await claim(second)).toEqual([]);
    await database.query('select pg_advisory_unlock_all()');
    await first.close();
    await age(first, { renewedS: 1 });
    expect(await claim(second)).toEqual([]);
    await age(first, { renewedS: 2.5 });
    expect(await claim(second)).toEqual([[sid, 2]]);
  });

  test('nobody who was late itself: when the database was away, all leases are over', async () => {
    const [first, second] = [await begin(), await begin()];
    const sid = await add(first);
    await age(first, { renewedS: 30 });
    await age(second, { renewedS: 30, steadyS: 90 });
    await second.renew();
    expect(await claim(second)).toEqual([]);
    await steady(second);
    expect(await claim(second)).toEqual([[sid, 2]]);
  });

  test('tasks of a version without owners go to whoever has their spool', async () => {
    const [mine, other] = [await add({ owner: null, folder: null }), await add({ owner: null, folder: null })];
    expect(await claim(await begin(), [mine])).toEqual([[mine, 2]]);
    const [row] = await database.query('select owner, epoch from tasks where sid = $1', [other]);
    expect(row).toEqual({ owner: null, epoch: 1 });
  });

  test('one of many who claim at once', async () => {
    const first = await begin();
    const sids = await Promise.all(Array.from({ length: 20 }, () => add(first)));
    await age(first, { renewedS: 60 });
    const others = await Promise.all(Array.from({ length: 5 }, () => begin()));
    for (const other of others) await steady(other);
    const claimed = await Promise.all(others.map((other) => claim(other)));
    expect(
      claimed
        .flat()
        .map(([sid]) => sid)
        .sort(),
    ).toEqual([...sids].sort());
    expect(claimed.flat().every(([, epoch]) => epoch === 2)).toBe(true);
  });

  test('a renewal makes the row again when somebody removed it', async () => {
    const owner = await begin();
    await database.query('delete from owners where owner = $1', [owner.owner]);
    await owner.renew();
    expect(await database.query('select 1 as there from owners where owner = $1', [owner.owner])).toHaveLength(1);
  });

  test('each renewal is told of, with how long it took, and one that failed as such', async () => {
    const clock = new ManualClock();
    const told: (number | undefined)[] = [];
    let isAway = false;
    const away = async () => Promise.reject(new Error('away'));
    const flaky: Database = {
      ...database,
      connect: async () => ({
        query: (...given) => (isAway ? away() : database.query(...given)),
        close: async () => {},
      }),
    };
    const silent = () => {};
    const owner = await Ownership.begin({
      ...{ database: flaky, folder, bootId: 'boot', clock },
      log: { debug: silent, info: silent, warn: silent, error: silent },
      onRenewal: (tookUs) => void told.push(tookUs),
    });
    owners.push(owner);
    clock.advance(1000);
    await expect.poll(() => told).toEqual([0]);
    isAway = true;
    clock.advance(1000);
    await expect.poll(() => told).toEqual([0, undefined]);
    isAway = false;
  });
});
