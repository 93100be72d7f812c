import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addRunning, age, beginOwner } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { Database, Queryable } from './database.ts';
import type { Ownership } from './ownership.ts';
import { runningElsewhere } from './running-elsewhere.ts';

/** Of all recordings that `addRunning` adds. */
const APP = 'a';

let database: Database;
beforeAll(async () => {
  database = { ...(await openTestDatabase()), exclusive: false };
}, 60_000);
afterAll(() => database?.close());
const owners = new Map<Ownership, number>();
afterEach(async () => {
  await database.query('update tasks set running = false, ended_ms = 1');
  await database.query('delete from owners');
  owners.clear();
});

/** A node that tells of so many recordings and runs others, one of them begun so long ago. */
async function node(told: number | undefined, startedSAgo: readonly number[]): Promise<Ownership> {
  const owner = await beginOwner(database, { clock: new ManualClock() });
  owners.set(owner, 0);
  const nothing = { cores: 1, bytes: 1 };
  if (told !== undefined)
    await owner.announce({ name: 'n', version: '1', nodeUrl: 'http://n', publicUrl: 'http://n' }, () => ({
      ...{ capacity: nothing, load: nothing, recordings: told, publishers: 0, calls: {} },
    }));
  for (const s of startedSAgo) {
    const sid = await addRunning(database, owner);
    await database.query(
      'update tasks set created_ms = extract(epoch from now() - make_interval(secs => $2)) * 1000 where sid = $1',
      [sid, s],
    );
  }
  return owner;
}
/** What `me` is answered, at the moment in which each node has renewed as long ago as it should have. */
const elsewhere = (me: Ownership, most: number) =>
  database.transaction(async (inside: Queryable) => {
    for (const [owner, renewedS] of owners) await age(inside, owner, { renewedS, steadyS: 60 });
    return runningElsewhere(inside, APP, me.owner, most);
  });

describe('far from the limit', () => {
  test('what nodes tell is enough, also where it is too many', async () => {
    const me = await node(7, [60]);
    await node(5, [60]);
    await node(2, [60, 60]);
    expect(await elsewhere(me, 100)).toBe(7);
  });

  test('what was begun since a node told counts as well', async () => {
    const me = await node(0, []);
    await node(0, [0, 1]);
    expect(await elsewhere(me, 100)).toBe(2);
  });
});

describe('it is counted exactly', () => {
  test('where what was told comes near to the limit', async () => {
    const me = await node(1, [60]);
    await node(9, [60, 0]);
    expect(await elsewhere(me, 9)).toBe(2);
  });

  test('where a node tells nothing, as of a version before', async () => {
    const me = await node(1, []);
    await node(undefined, [60, 60]);
    expect(await elsewhere(me, 100)).toBe(2);
  });

  test('where a node is gone, and nobody tells yet of what it had', async () => {
    const me = await node(1, []);
    owners.set(await node(1, [60, 60, 60]), 60);
    expect(await elsewhere(me, 100)).toBe(3);
  });
});
