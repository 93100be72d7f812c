import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { planOf } from '../../test/support/scripted-recording.ts';
import { addRunning, age, beginNode } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { Database } from './database.ts';
import type { Ownership } from './ownership.ts';
import { RecordingList } from './recording-list.ts';
import { StandbyTables } from './standby-tables.ts';
import { Vault } from './vault.ts';

let database: Database;
const nodes: Ownership[] = [];
const vault = new Vault([Vault.newKey()]);
beforeAll(async () => {
  // Taken for a database that others have open as well: the rules are the same SQL.
  database = { ...(await openTestDatabase()), exclusive: false };
}, 60_000);
afterEach(async () => {
  for (const node of nodes.splice(0)) {
    await node.close();
    await database.query('update tasks set ended_ms = 1 where owner = $1', [node.owner]);
  }
});
afterAll(() => database?.close());

async function node(freeCores = 1): Promise<Ownership & { standbys: StandbyTables }> {
  const owner = await beginNode(database, { freeCores, clock: new ManualClock() });
  nodes.push(owner);
  return Object.assign(owner, { standbys: new StandbyTables({ database, vault, self: owner.owner }) });
}
/** All have renewed in time for long, but for those of which it is said how long ago they did. */
async function renewed(late = new Map<Ownership, number>()): Promise<void> {
  for (const each of nodes) await age(database, each, { renewedS: late.get(each) ?? 0, steadyS: 60 });
}
async function recording(owner: Ownership): Promise<string> {
  const sid = await addRunning(database, owner);
  await database.query('update tasks set state = $2::jsonb, document = $3::jsonb where sid = $1', [
    ...[
      sid,
      JSON.stringify({ phase: 'recording', zeroUtcMs: 1_000 }),
      JSON.stringify({ plan: planOf(), storage: 'sealed' }),
    ],
  ]);
  return sid;
}
const sids = (standings: readonly { sid: string }[]) => standings.map(({ sid }) => sid);

test('a recording gets a standby once its slices have a place, on another node, and one alone', async () => {
  const [owner, idle, busy] = [await node(3), await node(2), await node(1)];
  const sid = await recording(owner);
  await renewed();
  expect(await owner.standbys.want(sid, 'home', 5_000)).toBeUndefined();
  expect(await idle.standbys.wanted()).toEqual([]);
  await owner.standbys.place(sid, 250_000, 225);
  expect(await owner.standbys.wanted()).toEqual([]);
  // The node with most room comes first, and after a while any.
  expect(sids(await busy.standbys.wanted())).toEqual([]);
  const [standing] = await idle.standbys.wanted();
  expect(standing).toMatchObject({ sid, keeper: owner.owner, home: 'home', zeroUs: 5_000, zeroUtcMs: 1_000 });
  expect(standing).toMatchObject({ originUs: 250_000, sliceFrame: 225, plan: { changes: [] } });
  await database.query(`update standbys set wanted_at = now() - interval '4 seconds'`);
  expect(sids(await busy.standbys.wanted())).toEqual([sid]);
  expect(await Promise.all([idle, busy].map(({ standbys }) => standbys.claim(standing!)))).toEqual([true, false]);
  expect(await busy.standbys.wanted()).toEqual([]);
  expect(sids(await idle.standbys.mine())).toEqual([sid]);

  // Its node dies: another may.
  await renewed(new Map([[idle as Ownership, 10]]));
  expect(sids(await busy.standbys.wanted())).toEqual([sid]);
});

test('a claim that comes after something else is wanted is refused', async () => {
  const [owner, other] = [await node(), await node(2)];
  const sid = await recording(owner);
  await renewed();
  await owner.standbys.want(sid, 'home', 5_000);
  await owner.standbys.place(sid, 0, 0);
  const [standing] = await other.standbys.wanted();
  await owner.standbys.want(sid, 'another home', 7_000);
  expect(await other.standbys.claim(standing!)).toBe(false);
  // The next run keeps the place where the files begin, and says anew where a slice does.
  expect(await other.standbys.wanted()).toEqual([]);
  await owner.standbys.place(sid, 0, 40);
  await owner.standbys.hold(sid);
  expect(await other.standbys.wanted()).toEqual([]);
  // Nobody but the owner writes of it.
  await other.standbys.place(sid, 9, 9);
  expect(await database.query('select origin_us, slice_frame from standbys where sid = $1', [sid])).toEqual([
    { origin_us: 0, slice_frame: 40 },
  ]);
});

test('the node that stands by is the first to claim the recording of a dead one, whoever has more room', async () => {
  const [owner, standing, idle] = [await node(), await node(1), await node(4)];
  const sid = await recording(owner);
  await renewed();
  await owner.standbys.want(sid, 'home', 5_000);
  await owner.standbys.place(sid, 0, 0);
  await database.query('update standbys set owner = $2 where sid = $1', [sid, standing.owner]);
  await renewed(new Map([[owner as Ownership, 4.5]]));
  const claim = (by: Ownership) => database.transaction((inside) => by.claim(inside, []));
  expect(await claim(idle)).toEqual([]);
  expect(sids((await claim(standing)) as { sid: string }[])).toEqual([sid]);
  // Now it is the owner that wants one, and stands by for nothing.
  expect(await standing.standbys.want(sid, 'home', 6_000)).toBe(0);
  expect(await standing.standbys.mine()).toEqual([]);
  // What the dead one had is still to come from there: it is not asked to stand by before.
  await renewed();
  await standing.standbys.place(sid, 0, 0);
  await database.query(`update standbys set wanted_at = now() - interval '30 seconds'`);
  expect(await owner.standbys.wanted()).toEqual([]);
  expect(sids(await idle.standbys.wanted())).toEqual([sid]);
  expect(await standing.standbys.unmet()).toEqual([sid]);
});

test('a recording is protected once its standby says so, and no longer when that one is gone', async () => {
  const [owner, other] = [await node(), await node(2)];
  const sid = await recording(owner);
  await renewed();
  await owner.standbys.want(sid, 'home', 5_000);
  await owner.standbys.place(sid, 0, 0);
  const [standing] = await other.standbys.wanted();
  await other.standbys.claim(standing!);
  expect(await owner.standbys.counts()).toEqual({ protected: 0, exposed: 1 });
  // Nobody says so but the node that stands by.
  await owner.standbys.protect(sid);
  expect(await owner.standbys.counts()).toEqual({ protected: 0, exposed: 1 });
  await other.standbys.protect(sid);
  expect(await owner.standbys.counts()).toEqual({ protected: 1, exposed: 0 });
  expect(await other.standbys.counts()).toEqual({ protected: 0, exposed: 0 });
  await database.query(`update owners set name = 'other' where owner = $1`, [other.owner]);
  const [task] = await database.query('select appid from tasks where sid = $1', [sid]);
  const [listed] = await new RecordingList(database).of(String(task?.['appid']), [sid]);
  expect(listed?.standby).toEqual({ node: 'other', sinceMs: expect.any(Number), protectedMs: expect.any(Number) });
  await renewed(new Map([[other as Ownership, 10]]));
  expect(await owner.standbys.counts()).toEqual({ protected: 0, exposed: 1 });
  await renewed();
  await other.standbys.release(sid);
  expect(await database.query('select stands_at, protected_at from standbys where sid = $1', [sid])).toEqual([
    { stands_at: null, protected_at: null },
  ]);
});

test('slices are known by their times, stored or not', async () => {
  const owner = await node();
  const sid = await recording(owner);
  for (const [name, state, startUtcMs] of [
    ['1.ts', 'stored', 1_000],
    ['2.ts', 'accepted', 16_000],
    ['3.ts', 'waiting', 31_000],
  ] as const)
    await database.query(
      `insert into objects (sid, name, kind, key, bytes, state, since_ms, updated_ms, file)
       values ($1, $2, 'slice', $2, 1, $3, 0, 0, $4::jsonb)`,
      [sid, name, state, JSON.stringify({ startUtcMs, durationUs: 15_000_000 })],
    );
  expect(await owner.standbys.slices(sid, 2_000)).toEqual([
    { name: '2.ts', startUtcMs: 16_000, endUtcMs: 31_000, isStored: true },
    { name: '3.ts', startUtcMs: 31_000, endUtcMs: 46_000, isStored: false },
  ]);
});
