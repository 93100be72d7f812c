/** Removals at work in a test: with a spool, a backup store and files of every speaker in folders of the test. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Removals, type RemovalsOptions } from '../../src/app/removals.ts';
import { SharedFiles } from '../../src/app/shared-files.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import { createLog } from '../../src/observe/log.ts';
import { clearFiles } from '../../src/stages/spool/clear-files.ts';
import type { Database } from '../../src/store/database.ts';
import { KeyedJobs } from '../../src/store/jobs.ts';
import { RemovalTables } from '../../src/store/removal-tables.ts';
import type { Vault } from '../../src/store/vault.ts';

type Scene = Pick<RemovalsOptions, 'openTarget' | 'backup' | 'clock'> & {
  database: Database;
  vault: Vault;
  /** Holds what the server has on its disk. */
  dir: string;
  /** The data folder of one of a fleet; else they are those of a server alone, which has `ours`. */
  folder?: string;
};

/** Starts them. Close what it returns; `forgotten` are the sids whose copies were forgotten. */
export async function startRemovals({ database, vault, dir, folder, ...rest }: Scene) {
  const forgotten: string[] = [];
  const log = createLog('silent');
  const removals = new Removals({
    ...{ ...rest, log },
    tables: new RemovalTables({ database, vault, folder: folder ?? 'ours', inFleet: folder !== undefined }),
    jobs: new KeyedJobs({ database, queue: `removals-${newHexId()}`, log, parallel: 2 }),
    shared: new SharedFiles({
      ...{ root: join(dir, 'removals'), reserveBytes: 0 },
      // Of these files each line is a track; real ones are in speakers.held.test.ts.
      async withoutSpeaker({ input, output, uid }) {
        const left = readFileSync(input, 'utf8')
          .split('\n')
          .filter((line) => line !== '' && line !== uid);
        if (left.length > 0) writeFileSync(output, `${left.join('\n')}\n`);
        return left.length;
      },
    }),
    clearSpool: (sid, isGone) => clearFiles(join(dir, 'spool', sid), isGone),
    forgetCopies: async (sid) => void forgotten.push(sid),
  });
  await removals.start();
  return { removals, forgotten };
}
