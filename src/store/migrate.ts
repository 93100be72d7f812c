/** migrate: brings a database's tables up to date. */
import { Fault } from '../kernel/fault.ts';
import type { Database } from './database.ts';
import { MIGRATIONS } from './migrations.ts';

/**
 * Applies what the database lacks, each migration in a transaction of its own. Throws a Fault, and changes nothing,
 * when a newer version has used it.
 */
export async function migrate(database: Database): Promise<void> {
  await database.query('create table if not exists migrations (number integer primary key, name text not null)');
  await refuseNewer(database);
  for (const [index, { name, statements }] of MIGRATIONS.entries()) {
    const number = index + 1;
    await database.transaction(async (inside) => {
      // When several servers start at once, one applies a migration and the others wait here.
      await inside.query('lock table migrations in exclusive mode');
      if ((await inside.query('select 1 from migrations where number = $1', [number])).length > 0) return;
      for (const statement of statements) await inside.query(statement);
      await inside.query('insert into migrations (number, name) values ($1, $2)', [number, name]);
    });
  }
}

/**
 * An older version would misread what a newer one keeps, or write over it. Servers that share a database are upgraded
 * one after another: while others live, one that has not had its turn may be started anew.
 */
async function refuseNewer(database: Database): Promise<void> {
  const [newer] = await database.query('select name from migrations where number > $1 order by number desc limit 1', [
    MIGRATIONS.length,
  ]);
  if (!newer) return;
  const live = 'select 1 from owners where lease_until > now() limit 1';
  if (!database.exclusive && (await database.query(live)).length > 0) return;
  throw new Fault(
    'database-newer',
    `a newer version of Aircheck has used it, and made “${newer['name']}” in it. Start that version again, or put back a backup from before it`,
    { blame: 'caller' },
  );
}
