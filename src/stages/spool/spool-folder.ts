/** The folders of recordings on the server's disk: which there are, how much room is left, and their removal. */
import { renameSync } from 'node:fs';
import { readdir, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The recordings that have a folder in `spoolRoot`; none when that does not exist. Throws when it cannot be read. */
export async function spooledSids(spoolRoot: string): Promise<string[]> {
  try {
    return (await readdir(spoolRoot)).filter((name) => /^[0-9a-f]{32}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Bytes that this process may still write to the disk of `path`. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/**
 * Removes a recording's folder with everything in it. Call it when every file is stored. Does nothing when it is gone.
 */
export async function removeSpoolFolder(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true });
}

/** Ends the name of a folder that is being removed. */
const FREED = '.freed';

/**
 * Removes a recording's folder as `removeSpoolFolder` does, so that nobody who looks for it after this call finds a
 * part of it. What a crash leaves of it goes with the next call for any folder beside it.
 */
export async function freeSpoolFolder(dir: string): Promise<void> {
  renameSync(dir, `${dir}${FREED}`);
  const root = dirname(dir);
  for (const name of await readdir(root)) if (name.endsWith(FREED)) await removeSpoolFolder(join(root, name));
}

/** Removes what a crash left of a folder that was being freed. */
export async function removeFreed(dir: string): Promise<void> {
  await removeSpoolFolder(`${dir}${FREED}`);
}
