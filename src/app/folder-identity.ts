/**
 * The identity of a data folder in a database that several servers share: only a server of the same folder goes on with
 * tasks whose files lie there (ADR 0012).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import { keepFile } from '../kernel/kept-file.ts';
import type { Database } from '../store/database.ts';
import { formerFolder } from '../store/former-folder.ts';

const NAME = 'folder-id';
const IDENTITY = /^[0-9a-f]{32}$/;

/**
 * The identity kept in the folder; the first start makes it. Where it is gone or damaged, an embedded database, which
 * lies in the folder as well, tells it: with another, nobody would go on with what is in the folder. Rejects with a
 * Fault when it cannot be read or kept.
 */
export async function folderIdentity(dataDir: string, database: Database): Promise<string> {
  const path = join(dataDir, NAME);
  try {
    const kept = readKept(path);
    if (kept !== undefined && IDENTITY.test(kept)) return kept;
    const former = await formerFolder(database);
    if (kept !== undefined && former === undefined)
      throw new Error('it does not hold 32 hexadecimal digits; restore it from a backup');
    const identity = former ?? newHexId();
    keepFile(path, `${identity}\n`);
    return identity;
  } catch (cause) {
    throw new Fault('folder-id-unusable', `${path} cannot be used: ${messageOf(cause)}`, { blame: 'caller', cause });
  }
}

function readKept(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
