/**
 * How a file is finished: it is written under `.part`, synced, then renamed, so that a name without `.part` always
 * means a whole file, whatever happened to the machine.
 */
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What a file is called while it is being written. */
export function partPath(path: string): string {
  return `${path}.part`;
}

/** Syncs `<path>.part` to disk, renames it to `path`, and returns its size in bytes. */
export async function finishPart(path: string): Promise<number> {
  const file = await open(partPath(path), 'r+');
  let bytes: number;
  try {
    await file.sync();
    bytes = (await file.stat()).size;
  } finally {
    await file.close();
  }
  await rename(partPath(path), path);
  // The rename itself is lasting only once the folder is on disk.
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return bytes;
}
