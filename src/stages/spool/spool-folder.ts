/**
 * The folder of one recording on the server's disk: made before the recorder starts, gone when every file is stored.
 */
import { chmod, mkdir, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, messageOf } from '../../kernel/fault.ts';

/** Below this a recording is not begun: at the highest bit rate it is about two minutes. */
export const MIN_FREE_BYTES = 200_000_000;

/**
 * Makes `<spoolRoot>/<sid>` for this user's eyes only and returns its path.
 * Throws a Fault when the disk has less than `minFreeBytes` left or the folder cannot be made.
 */
export async function createSpoolFolder(
  spoolRoot: string,
  sid: string,
  minFreeBytes: number = MIN_FREE_BYTES,
): Promise<string> {
  if (!/^[0-9a-f]{32}$/.test(sid))
    throw new Fault('sid-invalid', 'a sid is 32 lowercase hex characters', { blame: 'self' });
  const dir = join(spoolRoot, sid);
  try {
    await mkdir(spoolRoot, { recursive: true, mode: 0o700 });
    const free = await freeBytes(spoolRoot);
    if (free < minFreeBytes)
      throw new Fault(
        'spool-full',
        `the disk of ${spoolRoot} has ${Math.floor(free / 1e6)} MB free, a recording needs ${Math.ceil(minFreeBytes / 1e6)} MB`,
        { blame: 'self', retryable: true },
      );
    await mkdir(dir, { recursive: true, mode: 0o700 });
    // The mode above is subject to the umask, and does nothing for a folder that was there.
    await chmod(dir, 0o700);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('spool-unwritable', `cannot make ${dir}: ${messageOf(cause)}`, { blame: 'self', cause });
  }
  return dir;
}

/** The recordings that have a folder in `spoolRoot`; none when there is no such folder. Throws when it cannot be read. */
export async function spooledSids(spoolRoot: string): Promise<string[]> {
  try {
    return (await readdir(spoolRoot)).filter((name) => /^[0-9a-f]{32}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Bytes that this process may still write to the disk that `path` is on. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Removes a recording's folder with all in it. Call it when every file is stored. One that is gone already is fine. */
export async function removeSpoolFolder(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true });
}
