/** The folders of recordings on the server's disk: which there are, how much room is left, and their removal. */
import { renameSync } from 'node:fs';
import { readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';

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

/** Ends the name of a folder that is being removed. */
const FREED = '.freed';

/**
 * Removes a recording's folder with everything in it, so that nobody who looks for it after this call finds a part of
 * it. Call it when every file is stored. Does nothing when it is gone. What a crash leaves of it goes with
 * `removeFreed` and `sweepFreed`.
 */
export async function removeSpoolFolder(dir: string): Promise<void> {
  if (!rename(dir)) {
    // What a crash left of a folder of this name keeps it from being renamed.
    await removeFreed(dir);
    rename(dir);
  }
  await removeFreed(dir);
}

/** Whether it has its other name, or is gone. */
function rename(dir: string): boolean {
  try {
    renameSync(dir, `${dir}${FREED}`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code !== 'ENOENT') throw error;
  }
  return true;
}

/** Removes what a crash left of a folder that was being removed. */
export async function removeFreed(dir: string): Promise<void> {
  await rm(`${dir}${FREED}`, { recursive: true, force: true });
}

/** Does the same for all folders in `spoolRoot`. */
export async function sweepFreed(spoolRoot: string): Promise<void> {
  for (const name of await readdir(spoolRoot))
    if (name.endsWith(FREED)) await rm(join(spoolRoot, name), { recursive: true, force: true });
}
