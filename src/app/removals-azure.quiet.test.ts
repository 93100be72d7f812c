/** A person is taken out of a recording that lies at Azure, as Azurite is: of the others nothing goes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { AZURITE_KEYS, type Azurite, startAzurite } from '../../test/support/azurite.ts';
import { recordTwo } from '../../test/support/recording-of-two.ts';
import { startRemovals } from '../../test/support/removals-scene.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { manifestSchema } from '../contract/line/manifest.ts';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import { systemClock } from '../kernel/clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { BackupStore } from '../stages/upload/backup-store.ts';
import { openAzure } from '../stages/upload/target/azure.ts';
import { openLocalFolder } from '../stages/upload/target/local-folder.ts';
import type { Database } from '../store/database.ts';
import { Vault } from '../store/vault.ts';

let dir: string;
let azurite: Azurite;
let database: Database;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-removals-azure-'));
  azurite = await startAzurite();
  database = await openTestDatabase();
}, 60_000);
afterAll(async () => {
  await database?.close();
  await azurite?.close();
  rmSync(dir, { recursive: true, force: true });
});

test('files of everybody are made anew without the person, and nothing earlier of them stays', async () => {
  const { container } = azurite;
  // As a customer names it: only an emulator has the account in its path.
  const storage = { ...azurite.storage, extensionParams: undefined };
  const vault = new Vault([Vault.newKey()]);
  const appid = newHexId();
  const target = openAzure(azurite.storage);
  const recording = await recordTwo({ database, vault, appid, storage, target });
  target.close();
  const { sid, namesOf, contents, speakers, manifest, report } = recording;
  for (const name of [speakers, namesOf('7')[0]]) await container.getBlockBlobClient(`${sid}/${name}`).createSnapshot();
  const { removals } = await startRemovals({
    ...{ database, vault, dir, clock: systemClock },
    backup: new BackupStore(openLocalFolder('backup', dir)),
    async openTarget({ accessKey, secretKey }) {
      return openAzure({ ...azurite.storage, accessKey, secretKey });
    },
  });
  try {
    await removals.order(appid, sid, { uid: '7', keys: AZURITE_KEYS }, 'customer');
    const told = async () => (await removals.list(appid, sid)).removals[0];
    await vi.waitFor(async () => expect(await told()).toMatchObject({ state: 'removed', error: null }), {
      ...{ timeout: 20_000, interval: 50 },
    });
    const rewritten = (await told())!.files.filter(({ act }) => act === 'rewrite');
    expect(rewritten.map(({ name, outcome }) => [name, outcome]).sort()).toEqual(
      [manifest, report, speakers].sort().map((name) => [name, 'rewritten']),
    );
  } finally {
    await removals.close();
  }
  const left = new Map<string, string>();
  for await (const { name, snapshot } of container.listBlobsFlat({ includeSnapshots: true, prefix: sid })) {
    expect(snapshot ?? '').toBe('');
    left.set(name.slice(sid.length + 1), (await container.getBlockBlobClient(name).downloadToBuffer()).toString());
  }
  expect([...left.keys()].sort()).toEqual([...namesOf('77'), speakers, manifest, report].sort());
  for (const name of namesOf('77')) expect(left.get(name)).toBe(contents.get(name));
  expect(left.get(speakers)).toBe('77\n');
  const { users } = manifestSchema.parse(JSON.parse(left.get(manifest) ?? ''));
  const { participants } = qualityReportSchema.parse(JSON.parse(left.get(report) ?? ''));
  expect([users, participants].map((each) => each.map(({ uid }) => uid))).toEqual([['77'], ['77']]);
});
