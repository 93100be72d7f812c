import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Database } from './database.ts';
import { openPglite } from './pglite.ts';

let database: Database;
beforeAll(async () => {
  database = await openPglite('memory://');
  await database.query('create table notes (n integer primary key, told timestamptz default now(), body jsonb)');
});
afterAll(() => database.close());

const count = async () => Number((await database.query('select count(*) from notes'))[0]?.['count']);

describe('PGlite in a thread of its own', () => {
  test('brings rows back as they are: numbers, JSON, times and nothing', async () => {
    await database.query('insert into notes (n, body) values ($1, $2::jsonb)', [1, '{"a": [1, null]}']);
    const [row] = await database.query('select n, body, told, null as nothing from notes where n = 1');
    expect(row).toMatchObject({ n: 1, body: { a: [1, null] }, nothing: null });
    expect(row?.['told']).toBeInstanceOf(Date);
  });

  test('tells an error with its SQLSTATE', async () => {
    await expect(database.query('insert into notes (n) values (1)')).rejects.toMatchObject({ code: '23505' });
    await expect(database.query('select * from nowhere')).rejects.toThrow(/nowhere/);
  });

  test('lets nobody into a transaction, and undoes one that fails', async () => {
    const before = await count();
    const order: string[] = [];
    const failing = database.transaction(async (inside) => {
      await inside.query('insert into notes (n) values (100)');
      order.push('inside');
      throw new Error('changed my mind');
    });
    const outside = count().then((n) => {
      order.push('outside');
      return n;
    });
    await expect(failing).rejects.toThrow('changed my mind');
    expect(await outside).toBe(before);
    expect(order).toEqual(['inside', 'outside']);
  });

  test('undoes a script that fails inside its own transaction', async () => {
    const before = await count();
    await expect(
      database.script('begin; insert into notes (n) values (200); select * from nowhere; commit'),
    ).rejects.toThrow(/nowhere/);
    expect(await count()).toBe(before);
    expect(await database.script('select 1 as one; select 2 as two')).toEqual([{ one: 1 }, { two: 2 }]);
  });

  test('keeps its work off this thread', async () => {
    let turns = 0;
    let answered = false;
    const counting = database.query('select count(*) as n from generate_series(1, 2000000)').then((rows) => {
      answered = true;
      return Number(rows[0]?.['n']);
    });
    while (!answered) {
      turns++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await counting).toBe(2_000_000);
    // On this thread the statement would be one turn.
    expect(turns).toBeGreaterThan(100);
  });

  test('has what Postgres reads from its own files later: time zones, collations, PL/pgSQL', async () => {
    const told = `to_char(timestamptz '2026-07-01 12:00Z' at time zone 'Asia/Kolkata', 'HH24:MI')`;
    const sorted = `array(select n from unnest(array['b', 'Ä', 'a']) n order by n collate "und-x-icu")`;
    expect(await database.query(`select ${told} as told, ${sorted} as sorted`)).toEqual([
      { told: '17:30', sorted: ['a', 'Ä', 'b'] },
    ]);
    await database.script(`create function twice(n integer) returns integer language plpgsql
      as 'begin return 2 * n; end'`);
    expect(await database.query('select twice(21) as n')).toEqual([{ n: 42 }]);
  });

  test('says so when it is asked after its end', async () => {
    const other = await openPglite('memory://');
    await other.close();
    await expect(other.query('select 1')).rejects.toThrow();
  });
});
