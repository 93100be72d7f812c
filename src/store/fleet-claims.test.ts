import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addRunning, age, beginNode, beginOwner } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { isFenced } from '../session/hold.ts';
import { LOOK } from './claim.ts';
import type { Database, Queryable } from './database.ts';
import { offerTasks } from './offers.ts';
import type { Ownership } from './ownership.ts';

const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);

// PGlite is taken for a database that others have open as well: the rules are the same SQL.
describe.each(targets)('nodes of a fleet, in %s', (_name, url) => {
  let database: Database;
  const owners: Ownership[] = [];
  /** When each node has renewed last, seconds before whatever is done next. */
  const ages = new Map<Ownership, number>();
  beforeAll(async () => {
    database = { ...(await openTestDatabase(url)), exclusive: false };
  }, 60_000);
  afterEach(async () => {
    ages.clear();
    // A node of one test must not be the choice of the next.
    for (const owner of owners.splice(0)) {
      await owner.close();
      await database.query('update tasks set ended_ms = 1 where owner = $1', [owner.owner]);
    }
  });
  afterAll(() => database?.close());

  /** A node that has renewed in time for long. */
  async function node(freeCores = 1, { fleet = true, ...options }: { fleet?: boolean; folder?: string } = {}) {
    // None renews by itself: a slow machine must not make a node late, nor raise one from the dead.
    const given = { clock: new ManualClock(), ...options };
    const owner = await (fleet ? beginNode(database, { freeCores, ...given }) : beginOwner(database, given));
    owners.push(owner);
    ages.set(owner, 0);
    return owner;
  }
  async function atTheirAges(inside: Queryable): Promise<void> {
    for (const [owner, renewedS] of ages) await age(inside, owner, { renewedS, steadyS: 60 });
  }
  const claim = (owner: Ownership) =>
    database.transaction(async (inside) => {
      await atTheirAges(inside);
      return (await owner.claim(inside, [])).map((row) => row['sid']);
    });
  const dies = (owner: Ownership, agoS = 4.5) => ages.set(owner, agoS);
  const strays = (sid: string) =>
    database.query('select folder, storage, stored_ms from strays where sid = $1 order by folder', [sid]);

  test('a task whose node is gone is gone on with by another, which notes what strayed', async () => {
    const [first, second] = [await node(), await node()];
    const sid = await addRunning(database, first);
    expect(await claim(second)).toEqual([]);
    dies(first);
    expect(await claim(second)).toEqual([sid]);
    expect(await database.query('select owner, folder, epoch from tasks where sid = $1', [sid])).toEqual([
      { owner: second.owner, folder: second.folder, epoch: 2 },
    ]);
    expect(await strays(sid)).toEqual([{ folder: first.folder, storage: 'sealed', stored_ms: null }]);
  });

  test('a node that has not renewed since the database came back takes nothing: the owner has not either', async () => {
    const [first, second] = [await node(), await node()];
    const sid = await addRunning(database, first);
    dies(first);
    dies(second);
    expect(await claim(second)).toEqual([]);
    expect(await database.query('select owner from tasks where sid = $1', [sid])).toEqual([{ owner: first.owner }]);
  });

  test('the node that had it first may take it back, and then nothing strayed from it', async () => {
    const [first, second] = [await node(), await node()];
    const sid = await addRunning(database, first);
    dies(first);
    await claim(second);
    const back = await node(1, { folder: first.folder });
    expect(await claim(back)).toEqual([]);
    dies(second);
    expect(await claim(back)).toEqual([sid]);
    expect(await strays(sid)).toEqual([{ folder: second.folder, storage: 'sealed', stored_ms: null }]);
  });

  test.each([
    ['the dead server is in no fleet', { fleet: false }, { fleet: true }],
    ['the other is in no fleet', { fleet: true }, { fleet: false }],
  ])('nobody goes on with a task when %s', async (_what, dead, other) => {
    const [first, second] = [await node(1, dead), await node(1, other)];
    await addRunning(database, first);
    dies(first, 60);
    expect(await claim(second)).toEqual([]);
  });

  test('the home of the channel is the first choice, and the node with most free capacity where there is none', async () => {
    const [first, busy, idle] = [await node(), await node(1), await node(3)];
    const [homed, other] = [await addRunning(database, first), await addRunning(database, first)];
    await database.query(`insert into homes (appid, cname, owner) values ('a', $1, $2)`, [homed, busy.owner]);
    dies(first);
    expect(await claim(busy)).toEqual([homed]);
    expect(await claim(idle)).toEqual([other]);
  });

  test('a channel that was at home on the dead node comes with its recording, and no other does', async () => {
    const [first, second, third] = [await node(), await node(), await node()];
    const [mine, others] = [await addRunning(database, first), await addRunning(database, first)];
    await database.query(`insert into homes (appid, cname, owner) values ('a', $1, $2), ('a', $3, $4)`, [
      ...[mine, first.owner, others, third.owner],
    ]);
    dies(first, 60);
    expect((await claim(second)).toSorted()).toEqual([mine, others].toSorted());
    expect(
      await database.query('select cname, owner from homes where cname = any($1) order by cname', [[mine, others]]),
    ).toEqual(
      [
        { cname: mine, owner: second.owner },
        { cname: others, owner: third.owner },
      ].sort((a, b) => (a.cname < b.cname ? -1 : 1)),
    );
  });

  test('where the first choice does nothing, another does not wait long', async () => {
    const [first, busy] = [await node(), await node(1), await node(3)];
    const sid = await addRunning(database, first);
    dies(first, 5);
    expect(await claim(busy)).toEqual([]);
    dies(first, 6);
    expect(await claim(busy)).toEqual([sid]);
  });

  test('of what a node had, as many others take some as are needed, those with most free capacity', async () => {
    const [first, least, most, second] = [await node(), await node(1), await node(3), await node(2)];
    const sids = await Promise.all(Array.from({ length: 10 }, () => addRunning(database, first)));
    dies(first);
    expect(await claim(least)).toEqual([]);
    const taken = [await claim(second), await claim(most)];
    expect(taken.map(({ length }) => length)).toEqual([8, 2]);
    expect(taken.flat().toSorted()).toEqual(sids.toSorted());
  });

  test('where nothing is to be claimed it is known beforehand', async () => {
    const [first, second] = [await node(), await node()];
    const mayClaim = async () => {
      await atTheirAges(database);
      return second.mayClaim([]);
    };
    await addRunning(database, first);
    expect(await mayClaim()).toMatchObject({ isDue: false });
    dies(first);
    expect(await mayClaim()).toMatchObject({ isDue: true });
    await claim(second);
    expect(await mayClaim()).toMatchObject({ isDue: false });
  });

  test('the end of a lease is known beforehand to whoever may be a first choice, of nodes that have tasks', async () => {
    const [first, later, idle, busy, free] = [await node(), await node(), await node(), await node(2), await node(3)];
    const endsInMs = (asker: Ownership) =>
      database.transaction(async (inside) => {
        await atTheirAges(inside);
        const [row] = await inside.query(LOOK, [asker.owner, asker.folder, false, [], 'boot', true]);
        return row?.['lease_ends_in_ms'] === null ? undefined : Number(row?.['lease_ends_in_ms']);
      });
    const sid = await addRunning(database, first);
    await addRunning(database, later);
    expect(await endsInMs(free)).toBeUndefined();
    dies(first, 3.5);
    dies(later, 3);
    dies(idle, 3.8);
    expect([await endsInMs(free), await endsInMs(busy)]).toEqual([500, undefined]);
    await database.query('insert into standbys (sid, home, zero_us, owner) values ($1, $2, 0, $3)', [
      ...[sid, later.owner, busy.owner],
    ]);
    expect(await endsInMs(busy)).toBe(500);
    dies(first);
    expect(await endsInMs(free)).toBe(1000);
    dies(later);
    expect(await endsInMs(free)).toBeUndefined();
  });

  test('a node that takes nothing new leaves the tasks to others', async () => {
    const [first, leaving, second] = [await node(), await node(), await node()];
    await leaving.drain(true);
    const sids = await Promise.all(Array.from({ length: 10 }, () => addRunning(database, first)));
    dies(first, 60);
    expect(await claim(leaving)).toEqual([]);
    expect((await claim(second)).toSorted()).toEqual(sids.toSorted());
  });

  test('those that have waited longest come first', async () => {
    const [late, early, ...left] = [await node(), await node(), await node(), await node()];
    for (let n = 0; n < 8; n++) await addRunning(database, late);
    const waiting = await Promise.all(Array.from({ length: 8 }, () => addRunning(database, early)));
    dies(late, 10);
    dies(early, 20);
    expect((await claim(left[0]!)).toSorted()).toEqual(waiting.toSorted());
  });

  test('where few are left, each takes its share of all that a node had', async () => {
    const [first, ...left] = [await node(), await node(3), await node(2), await node(1)];
    for (let n = 0; n < 40; n++) await addRunning(database, first);
    dies(first);
    const taken: number[] = [];
    for (const each of left) taken.push((await claim(each)).length);
    // A third of 40, of the 26 that are left then, and no less than eight.
    expect(taken).toEqual([14, 9, 8]);
  });

  describe('a node that lives', () => {
    const records = (sid: string, phase = 'recording') =>
      database.query(`update tasks set state = jsonb_build_object('phase', $2::text) where sid = $1`, [sid, phase]);
    const offer = (owner: Ownership, sids: string[], offered = true) =>
      offerTasks(database, owner.owner, { sids, offered });

    test('hands over what it offers and records, its channel with it, and nothing else', async () => {
      const [first, second] = [await node(), await node()];
      const [offered, kept, stopping] = [
        await addRunning(database, first),
        await addRunning(database, first),
        await addRunning(database, first),
      ];
      await database.query(`insert into homes (appid, cname, owner) values ('a', $1, $2)`, [offered, first.owner]);
      for (const sid of [offered, kept]) await records(sid);
      await records(stopping, 'stopping');
      await first.drain(true);
      expect((await offer(first, [offered, stopping])).toSorted()).toEqual([offered, stopping].toSorted());
      expect(await claim(second)).toEqual([offered]);
      expect(await database.query('select owner, epoch, offered from tasks where sid = $1', [offered])).toEqual([
        { owner: second.owner, epoch: 2, offered: false },
      ]);
      expect(await database.query('select owner from homes where cname = $1', [offered])).toEqual([
        { owner: second.owner },
      ]);
      expect(await strays(offered)).toEqual([{ folder: first.folder, storage: 'sealed', stored_ms: null }]);
      expect(await claim(second)).toEqual([]);
    });

    test('hands it to the node with most free capacity that does not drain itself, and to no other', async () => {
      const [first, busy, idle, leaving] = [await node(), await node(1), await node(2), await node(3)];
      const sid = await addRunning(database, first);
      await records(sid);
      await leaving.drain(true);
      await first.drain(true);
      await offer(first, [sid]);
      expect(await claim(leaving)).toEqual([]);
      expect(await claim(busy)).toEqual([]);
      expect(await claim(first)).toEqual([]);
      expect(await claim(idle)).toEqual([sid]);
    });

    test('hands it to the node that stands by for it, wherever the channel is at home and whoever has more room', async () => {
      const [first, standing, home, idle] = [await node(), await node(1), await node(2), await node(3)];
      const sid = await addRunning(database, first);
      await records(sid);
      await database.query(`insert into homes (appid, cname, owner) values ('a', $1, $2)`, [sid, home.owner]);
      await database.query(`insert into standbys (sid, home, zero_us, owner) values ($1, $2, 0, $3)`, [
        ...[sid, home.owner, standing.owner],
      ]);
      await first.drain(true);
      await offer(first, [sid]);
      for (const each of [home, idle]) expect(await claim(each)).toEqual([]);
      expect(await claim(standing)).toEqual([sid]);
      expect(await database.query('select owner from homes where cname = $1', [sid])).toEqual([{ owner: home.owner }]);
    });

    test('keeps what it takes back, and cannot take back what another has', async () => {
      const [first, second] = [await node(), await node()];
      const [sid, gone] = [await addRunning(database, first), await addRunning(database, first)];
      await first.drain(true);
      for (const each of [sid, gone]) await records(each);
      await offer(first, [gone]);
      expect(await claim(second)).toEqual([gone]);
      await offer(first, [sid]);
      expect(await offer(first, [sid, gone], false)).toEqual([sid]);
      expect(await claim(second)).toEqual([]);
    });
  });

  describe('is sure to own a task', () => {
    async function held() {
      const clock = new ManualClock();
      const owner = await beginNode(database, { clock });
      owners.push(owner);
      const sid = await addRunning(database, owner);
      const signal = new AbortController();
      const certain = owner.certainty({ sid, owner: owner.owner, epoch: 1 });
      /** Whether it is sure at once. */
      const isSure = async () => {
        let sure = false;
        const done = certain(signal.signal).then(() => {
          sure = true;
        });
        // Whoever asked looks at it later.
        done.catch(() => {});
        // A question to the database, behind the one that it may ask.
        for (let n = 0; n < 3; n++) await database.query('select 1');
        return { sure, done };
      };
      return { clock, owner, sid, signal, isSure };
    }

    test('while it renews in time, and again after a late renewal when the task is still its own', async () => {
      const { clock, owner, isSure } = await held();
      expect((await isSure()).sure).toBe(true);
      clock.advance(1_900);
      expect((await isSure()).sure).toBe(true);
      clock.advance(8_100);
      const { sure, done } = await isSure();
      expect(sure).toBe(false);
      await owner.renew();
      clock.advance(200);
      await done;
      expect((await isSure()).sure).toBe(true);
    });

    test('never again once another has it: not even in the moment in which it wakes', async () => {
      const { clock, owner, sid, isSure } = await held();
      expect((await isSure()).sure).toBe(true);
      // As a process that was stopped: its clock goes on, and nothing of it runs.
      clock.advance(10_000);
      await database.query(`update tasks set owner = 'another', epoch = 2 where sid = $1`, [sid]);
      const { sure, done } = await isSure();
      expect(sure).toBe(false);
      await owner.renew();
      clock.advance(200);
      await expect(done).rejects.toSatisfy(isFenced);
    });

    test('and waits no longer when it is called off', async () => {
      const { clock, signal, isSure } = await held();
      clock.advance(10_000);
      const { done } = await isSure();
      signal.abort(new Error('enough'));
      await expect(done).rejects.toThrow('enough');
    });
  });
});
