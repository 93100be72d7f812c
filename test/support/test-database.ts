/**
 * A database for a test: PGlite on a copy of the template that every new server gets, which takes half of what making
 * one in memory does. It goes when it is closed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../src/store/database.ts';
import { openDatabase } from '../../src/store/open-database.ts';

/** @param url of a Postgres, which is taken instead */
export async function openTestDatabase(url = ''): Promise<Database> {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-database-'));
  const database = await openDatabase({ url, pgliteDir: join(folder, 'db') });
  return {
    ...database,
    async close() {
      await database.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
