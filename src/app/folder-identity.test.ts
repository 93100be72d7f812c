import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { beginOwner } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { Database } from '../store/database.ts';
import { folderIdentity } from './folder-identity.ts';

let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database?.close());

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-identity-'));
  path = join(dir, 'folder-id');
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});

test('is made at the first start, and kept', async () => {
  await database.query('delete from owners');
  const made = await folderIdentity(dir, database);
  expect(made).toMatch(/^[0-9a-f]{32}$/);
  expect(readFileSync(path, 'utf8')).toBe(`${made}\n`);
  expect(await folderIdentity(dir, database)).toBe(made);
});

test.each([
  ['gone', undefined],
  ['cut off', ''],
  ['zeroed', '\0'.repeat(33)],
])('that is %s is what the embedded database in the folder says', async (_how, left) => {
  for (const folder of ['a'.repeat(32), 'b'.repeat(32)]) await (await beginOwner(database, { folder })).close();
  // The clock was set back between the two.
  await database.query(`update owners set started_at = started_at + interval '1 hour' where folder like 'a%'`);
  if (left !== undefined) writeFileSync(path, left);
  expect(await folderIdentity(dir, database)).toBe('b'.repeat(32));
  expect(readFileSync(path, 'utf8')).toBe(`${'b'.repeat(32)}\n`);
});

test('in a database that several servers share nobody else can tell it', async () => {
  await (await beginOwner(database, { folder: 'a'.repeat(32) })).close();
  const shared = { ...database, exclusive: false };
  const made = await folderIdentity(dir, shared);
  expect(made).not.toBe('a'.repeat(32));
  writeFileSync(path, '');
  await expect(folderIdentity(dir, shared)).rejects.toThrow(/folder-id cannot be used: .*restore it from a backup/);
});
