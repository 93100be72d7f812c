import { expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import type { Database, Queryable } from './database.ts';
import { ObjectTables } from './object-tables.ts';
import { Vault } from './vault.ts';

/** A database in which every task is held, and which takes down the objects that it is told of. */
function takingDown() {
  const written: string[] = [];
  const inside: Queryable = {
    async query(sql, params = []) {
      if (sql.startsWith('select')) return [{}];
      written.push(...(JSON.parse(String(params[1])) as { name: string }[]).map(({ name }) => name));
      return [];
    },
  };
  const database = {
    query: async () => [],
    transaction: (run: (queryable: Queryable) => Promise<unknown>) => run(inside),
  } as unknown as Database;
  return { database, written };
}

const record = (name: string): ObjectRecord => ({
  name,
  kind: 'slice',
  key: name,
  bytes: 1,
  state: 'stored',
  attempts: 1,
});

// The ledger writes what waits in one go; the next note may come at any point of that.
test.each(Array.from({ length: 40 }, (_, turns) => turns))(
  'a note that comes %i microtasks after another is kept without a third',
  async (turns) => {
    const { database, written } = takingDown();
    const silent = () => {};
    const tables = new ObjectTables({
      database,
      vault: new Vault([Vault.newKey()]),
      folder: 'f',
      clock: new ManualClock(),
      log: { debug: silent, info: silent, warn: silent, error: silent },
    });
    const ledger = await tables.open({ sid: 'a'.repeat(32), owner: 'me', epoch: 1 });
    ledger.note(record('first'));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    ledger.note(record('second'));
    await settle();
    await ledger.settled();
    expect(written).toContain('second');
  },
);
