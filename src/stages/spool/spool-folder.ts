/** The folders of recordings on the server's disk: which there are, how much room is left, and their removal. */
import { readdir, rm, statfs } from 'node:fs/promises';

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
