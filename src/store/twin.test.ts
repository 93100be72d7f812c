import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { age, beginOwner } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import type { Database } from './database.ts';
import type { Ownership } from './ownership.ts';
import { requireNoTwin } from './twin.ts';

let database: Database;
let folder: string;
let first: Ownership | undefined;
beforeAll(async () => {
  database = { ...(await openTestDatabase()), exclusive: false };
}, 60_000);
beforeEach(async () => {
  await first?.close();
  folder = newHexId();
  first = await beginOwner(database, { folder });
});
afterAll(async () => {
  await first?.close();
  await database?.close();
});

const starts = (identity = folder) => requireNoTwin(database, identity, '/data/folder-id', systemClock);

test('a server on a copy of a data folder is refused while the other lives', async () => {
  // Renewed again before the second look.
  const refused = starts();
  await first!.renew();
  await expect(refused).rejects.toThrow(/has the identity of this data folder.*remove \/data\/folder-id/);
});

test('one whose folder no server has, or whose former server is gone, starts at once', async () => {
  await starts(newHexId());
  await age(database, first!, { renewedS: 5 });
  await starts();
});
