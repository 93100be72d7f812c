/** Homes of channels and limits of the fleet against a real Postgres, with nodes that claim at the same moment. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { PostgresServer } from '../../test/support/postgres.ts';
import { beginOwner } from '../../test/support/stored-recording.ts';
import { newHexId, newSid } from '../kernel/ids.ts';
import type { Database } from './database.ts';
import { NodeTables } from './node-tables.ts';
import { openDatabase } from './open-database.ts';
import { type NodeLoad, type Ownership, WIRE } from './ownership.ts';
import { PlaceTables } from './place-tables.ts';
import { lockStarts, runningElsewhere } from './running-elsewhere.ts';

const APP = 'a'.repeat(32);
/** A channel with a name that no other test has. */
const channel = () => newHexId();

let postgres: PostgresServer;
let database: Database;
/** A connection pool of its own for each server, as each has one. */
const pools: Database[] = [];
let owners: Ownership[] = [];
let places: PlaceTables;

beforeAll(async () => {
  postgres = await PostgresServer.start();
  database = await openDatabase({ url: postgres.url, pgliteDir: '' });
  places = new PlaceTables(database);
});
beforeEach(async () => {
  for (const owner of owners) await owner.close();
  owners = [];
  await database.query('delete from homes');
});
afterAll(async () => {
  for (const owner of owners) await owner.close();
  for (const pool of pools) await pool.close();
  await database?.close();
  await postgres?.close();
});

/** A node with so many cores of which so many are taken. */
async function join(name: string, cores: number, taken = 0, more: Partial<NodeLoad> = {}): Promise<Ownership> {
  const owner = await beginOwner(database, { clock: new ManualClock() });
  owners.push(owner);
  const facts = { name, version: '1', nodeUrl: `http://${name}`, publicUrl: `https://${name}` };
  await owner.announce(facts, () => ({
    ...{ capacity: { cores, bytes: 8e9 }, load: { cores: taken, bytes: 0 }, recordings: 0, publishers: 0, calls: {} },
    ...more,
  }));
  await live(owner);
  return owner;
}
/** Has a node's lease last, however slow the machine is. */
const live = ({ owner }: Ownership) =>
  database.query(`update owners set lease_until = now() + interval '1 hour' where owner = $1`, [owner]);
async function connect(): Promise<PlaceTables> {
  const pool = await openDatabase({ url: postgres.url, pgliteDir: '' });
  pools.push(pool);
  return new PlaceTables(pool);
}
/** A recording in a channel. */
async function record(owner: string, cname: string, uid = '1'): Promise<string> {
  const sid = newSid();
  await database.query(
    `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, sid, started_ms)
     values ($1, $2, $3, $4, 0, 1, 72, $1, 1)`,
    [sid, APP, cname, uid],
  );
  await database.query(
    `insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state,
       document, owner, folder, epoch)
     values ($1, $1, $2, $3, $4, 'mix', 1, 1, true, 5, '{}', '{}', $5, 'f', 1)`,
    [sid, APP, cname, uid, owner],
  );
  return sid;
}
const end = (sid: string) => database.query('update tasks set running = false, ended_ms = 1 where sid = $1', [sid]);
/** Has a node's lease be over. */
const die = ({ owner }: Ownership) =>
  database.query(`update owners set lease_until = now() - interval '1 second' where owner = $1`, [owner]);
const age = (cname: string, seconds: number) =>
  database.query(
    `update homes set used_at = now() - make_interval(secs => $2), claimed_at = now() - make_interval(secs => $2)
     where cname = $1`,
    [cname, seconds],
  );

test('two nodes that claim a channel at once learn the same home, a thousand times', async () => {
  const [a, b] = [await join('a', 4), await join('b', 4)];
  const [first, second] = [await connect(), await connect()];
  const cnames = Array.from({ length: 1_000 }, channel);
  // Every other channel had a home whose node is gone.
  await database.query(
    `insert into homes (appid, cname, owner, claimed_at, used_at)
     select $1, c, 'gone', now() - interval '1 minute', now() - interval '1 minute' from unnest($2::text[]) c`,
    [APP, cnames.filter((_, i) => i % 2 === 0)],
  );
  const learnt = new Map<string, string | undefined>();
  for (const cname of cnames) {
    const [one, other] = await Promise.all([first.claimHome(APP, cname), second.claimHome(APP, cname)]);
    expect(one).toBe(other);
    learnt.set(cname, one);
  }
  const rows = await database.query('select cname, owner from homes');
  expect(new Map(rows.map((row) => [row['cname'], row['owner']]))).toEqual(learnt);
  expect([...new Set(learnt.values())].sort()).toEqual([a.owner, b.owner].sort());
});

test('a channel goes to the node with most free capacity, and many at once are spread', async () => {
  const [, large] = [await join('small', 2), await join('large', 16, 8)];
  expect(await places.claimHome(APP, channel())).toBe(large.owner);
  await database.query('delete from homes');
  const homes = [];
  for (let i = 0; i < 40; i++) homes.push(await places.claimHome(APP, channel()));
  // 8 cores are free here and 2 there: of what is expected of 40 recordings some is for the small one.
  const there = homes.filter((home) => home === large.owner).length;
  expect(there).toBeGreaterThan(25);
  expect(there).toBeLessThan(36);
});

test('a node whose memory is taken is full, however many cores it has', async () => {
  await join('no memory', 64, 0, { load: { cores: 0, bytes: 8e9 } });
  const other = await join('other', 2, 1);
  expect(await places.claimHome(APP, channel())).toBe(other.owner);
});

test('a home stays while its node lives, and goes to another when it is gone', async () => {
  const [a, b] = [await join('a', 4), await join('b', 2)];
  const cname = channel();
  expect(await places.claimHome(APP, cname)).toBe(a.owner);
  await join('larger', 64);
  expect(await places.claimHome(APP, cname)).toBe(a.owner);
  await age(cname, 1);
  await die(a);
  expect(await places.home(APP, cname)).toBeUndefined();
  await record(b.owner, cname);
  // The one that records the channel by now, and not the one with more room.
  expect(await places.claimHome(APP, cname)).toBe(b.owner);
});

test('a draining node gets nothing new, keeps what it has, and without others there is no home', async () => {
  const a = await join('a', 4);
  const cname = channel();
  await places.claimHome(APP, cname);
  await a.drain(true);
  await live(a);
  expect(await places.claimHome(APP, cname)).toBe(a.owner);
  expect(await places.claimHome(APP, channel())).toBeUndefined();
  const b = await join('b', 1);
  expect(await places.claimHome(APP, channel())).toBe(b.owner);
});

test('a home is given up once nobody publishes, records or is about to start there', async () => {
  const a = await join('a', 4);
  const names = { published: channel(), recorded: channel(), acquired: channel(), asked: channel(), unused: channel() };
  for (const cname of Object.values(names)) await places.claimHome(APP, cname);
  const sid = await record(a.owner, names.recorded);
  await database.query(
    `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour)
     values ($1, $2, $3, '1', 0, 5000, 72)`,
    [newHexId(), APP, names.acquired],
  );
  for (const cname of [names.published, names.recorded, names.acquired, names.unused]) await age(cname, 60);
  const left = async () => {
    const rows = await database.query('select cname from homes');
    return Object.entries(names).flatMap(([what, cname]) => (rows.some((row) => row['cname'] === cname) ? [what] : []));
  };
  const published = [{ appid: APP, cname: names.published }];
  await places.releaseHomes(a.owner, published, 4_000, false);
  expect(await left()).toEqual(['published', 'recorded', 'acquired', 'asked']);
  await places.releaseHomes(a.owner, published, 6_000, false);
  expect(await left()).toEqual(['published', 'recorded', 'asked']);
  await places.releaseHomes(a.owner, published, 6_000, true);
  expect(await left()).toEqual(['published', 'recorded']);
  await end(sid);
  await places.releaseHomes(a.owner, [], 6_000, true);
  expect(await left()).toEqual([]);
});

test('a node that was cut off gets back what it alone records, and learns what is elsewhere', async () => {
  const [a, b] = [await join('a', 4), await join('b', 4)];
  const [recorded, taken, published] = [channel(), channel(), channel()];
  const all = [recorded, taken, published].map((cname) => ({ appid: APP, cname }));
  await record(a.owner, recorded);
  await record(b.owner, taken);
  for (const { cname } of all)
    await database.query('insert into homes (appid, cname, owner) values ($1, $2, $3)', [APP, cname, b.owner]);
  await places.keepHomes(a.owner, all, []);
  expect((await places.elsewhere(a.owner, all)).map(({ cname }) => cname)).toEqual([taken, published]);
  expect(await places.home(APP, recorded)).toBe(a.owner);
  // Two that record one channel do not take it from each other.
  await record(b.owner, recorded, '2');
  await places.keepHomes(b.owner, [{ appid: APP, cname: recorded }], []);
  expect(await places.home(APP, recorded)).toBe(a.owner);
});

test('a node that reads a channel from its home leaves it there, and takes it when the home is gone', async () => {
  const [a, b] = [await join('a', 4), await join('b', 4)];
  const cname = channel();
  const read = [{ appid: APP, cname }];
  await database.query('insert into homes (appid, cname, owner) values ($1, $2, $3)', [APP, cname, b.owner]);
  const sid = await record(a.owner, cname);
  const apart = async () => {
    const list = await new NodeTables(database).list();
    const of = (owner: string) => list.find(({ id }) => id === owner);
    return [of(a.owner)?.readElsewhere, of(b.owner)?.readByOthers, of(b.owner)?.readElsewhere];
  };
  await places.keepHomes(a.owner, [], read);
  expect(await places.homesOf(read)).toEqual([{ appid: APP, cname, owner: b.owner }]);
  expect(await apart()).toEqual([1, 1, 0]);
  // One that leaves gives it up, although another node records it.
  await places.releaseHomes(b.owner, [], 6_000, false);
  expect(await places.home(APP, cname)).toBe(b.owner);
  await places.releaseHomes(b.owner, [], 6_000, true);
  expect(await places.homesOf(read)).toEqual([]);
  expect(await places.claimHome(APP, cname)).toBe(a.owner);
  await database.query('update homes set owner = $2 where cname = $1', [cname, b.owner]);
  await die(b);
  expect(await places.homesOf(read)).toEqual([]);
  await places.keepHomes(a.owner, [], read);
  expect(await places.home(APP, cname)).toBe(a.owner);
  await end(sid);
});

test('channels that a node does not record are told apart from those that it does', async () => {
  const [a, b] = [await join('a', 4), await join('b', 4)];
  const [recorded, elsewhere, over, idle] = [channel(), channel(), channel(), channel()];
  await record(a.owner, recorded);
  await record(a.owner, recorded, '2');
  await record(b.owner, elsewhere);
  await end(await record(a.owner, over));
  const all = [recorded, elsewhere, over, idle].map((cname) => ({ appid: APP, cname }));
  const found = await places.unrecorded(a.owner, all);
  expect(found.map(({ cname }) => cname)).toEqual([elsewhere, over, idle]);
});

test('tasks and files are found by their owner', async () => {
  const a = await join('a', 4);
  const sid = await record(a.owner, channel());
  expect(await places.ofTask(APP, sid)).toBe(a.owner);
  expect(await places.ofTask('b'.repeat(32), sid)).toBeUndefined();
  expect(await places.ofResource(sid)).toMatchObject({ appid: APP, owner: a.owner });
  await end(sid);
  expect(await places.ofTask(APP, sid)).toBeUndefined();
  expect(await places.ofResource(sid)).not.toHaveProperty('owner');
  await database.query('update tasks set folder = $2 where sid = $1', [sid, a.folder]);
  await database.query(
    `insert into moves (sid, appid, place, storage, since_ms, keep_until_ms) values ($1, $2, 'p', 's', 1, 2)`,
    [sid, APP],
  );
  expect(await places.ofFiles(APP, sid)).toBe(a.owner);
});

test('starts of one app wait for each other in all servers, so that no limit is passed', async () => {
  const [a, b] = [await join('a', 4), await join('b', 4)];
  const appid = newHexId();
  const begin = (owner: string) =>
    database.transaction(async (inside) => {
      await lockStarts(inside, appid);
      if ((await runningElsewhere(inside, appid, owner, 0)) > 0) return false;
      const sid = newSid();
      await inside.query(
        `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, sid, started_ms)
         values ($1, $2, $1, '1', 0, 1, 72, $1, 1)`,
        [sid, appid],
      );
      await inside.query(
        `insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state,
           document, owner, folder, epoch)
         values ($1, $1, $2, $1, '1', 'mix', $4, $4, true, 5, '{}', '{}', $3, 'f', 1)`,
        [sid, appid, owner, Date.now()],
      );
      return true;
    });
  for (let i = 0; i < 50; i++) {
    const begun = await Promise.all([begin(a.owner), begin(b.owner)]);
    expect(begun.filter(Boolean)).toHaveLength(1);
    await database.query('update tasks set running = false where appid = $1', [appid]);
  }
});

test('the list has those that live and those that went without a word, not those that ended', async () => {
  const [live, gone, ended] = [
    await join('live', 4, 1.5, { recordings: 3, publishers: 7, calls: { [APP]: 5 } }),
    await join('gone', 4),
    await join('ended', 4),
  ];
  await die(gone);
  await ended.close();
  const tables = new NodeTables(database);
  const list = (await tables.list()).filter(({ id }) => [live, gone, ended].some(({ owner }) => owner === id));
  expect(list).toMatchObject([
    { name: 'gone', state: 'gone' },
    {
      ...{ name: 'live', state: 'live', version: '1', wire: WIRE, nodeUrl: 'http://live', publicUrl: 'https://live' },
      ...{ capacity: { cores: 4, bytes: 8e9 }, load: { cores: 1.5, bytes: 0 }, recordings: 3, publishers: 7 },
    },
  ]);
  expect(list[1]!.calls.get(APP)).toBe(5);
  expect(list[1]!.seenMsAgo).toBeGreaterThanOrEqual(0);
  expect((await tables.live()).map(({ name }) => name)).toEqual(['live']);
});
