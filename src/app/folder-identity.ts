/**
 * The identity of a data folder in a database that several servers share: only a server of the same folder goes on with
 * tasks whose files lie there (ADR 0012).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import { keepFile } from '../kernel/kept-file.ts';

const NAME = 'folder-id';

/** The identity kept in the folder; the first start makes it. Throws a Fault when it cannot be read or kept. */
export function folderIdentity(dataDir: string): string {
  const path = join(dataDir, NAME);
  try {
    const kept = readKept(path);
    if (kept !== undefined) return kept;
    const made = newHexId();
    keepFile(path, `${made}\n`);
    return made;
  } catch (cause) {
    throw new Fault('folder-id-unusable', `${path} cannot be used: ${messageOf(cause)}`, { blame: 'caller', cause });
  }
}

function readKept(path: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (!/^[0-9a-f]{32}$/.test(text)) throw new Error('it does not hold 32 hexadecimal digits; restore it from a backup');
  return text;
}
