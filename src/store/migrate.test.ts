import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { beginOwner } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { Database } from './database.ts';
import { migrate } from './migrate.ts';
import { MIGRATIONS } from './migrations.ts';
import { openDatabase } from './open-database.ts';
import { openPglite } from './pglite.ts';

const NEWER = { number: MIGRATIONS.length + 1, name: 'what came later' };

/** Notes a migration that this version does not know. */
const useNewer = (database: Database) =>
  database.query('insert into migrations (number, name) values ($1, $2)', [NEWER.number, NEWER.name]);

test('a database that a newer version has used is refused, with what to do, and stays as it was', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-newer-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const options = { url: '', pgliteDir: join(folder, 'db') };
  const used = await openDatabase(options);
  await useNewer(used);
  await used.close();
  await expect(openDatabase(options)).rejects.toMatchObject({
    code: 'database-unusable',
    message: expect.stringMatching(/db\) cannot be used: a newer version .*“what came later”.*that version.*backup/),
  });
  const left = await openPglite(options.pgliteDir);
  onTestFinished(() => left.close());
  const kept = await left.query('select number, name from migrations order by number');
  expect(kept).toEqual([...MIGRATIONS.map(({ name }, i) => ({ number: i + 1, name })), NEWER]);
});

test('while servers of it live, a shared one is taken: they are upgraded one after another', async () => {
  const alone = await openTestDatabase();
  onTestFinished(() => alone.close());
  const shared = { ...alone, exclusive: false };
  await useNewer(alone);
  await expect(migrate(shared)).rejects.toThrow(/a newer version/);
  const owner = await beginOwner(alone);
  await migrate(shared);
  // No other server can have this one open, whatever it left there.
  await expect(migrate(alone)).rejects.toThrow(/a newer version/);
  await owner.close();
  await expect(migrate(shared)).rejects.toThrow(/a newer version/);
});
