/**
 * Keeps bundles, each in a folder of its own that is whole or not there: whatever ends this process, or takes the
 * machine's power, meanwhile or later.
 */
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  globSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** Bundles of earlier sources are kept for servers that still run: all of so many days, and the newest in any case. */
const KEPT = 8;
const KEPT_MS = 14 * 86_400_000;
/** None takes so long to make. */
const ABANDONED_MS = 3_600_000;

/**
 * Makes the bundle unless it is there, by whomever.
 * @param folderNow where that of the sources as they are at this moment lies
 * @param make what the files of a bundle in this folder hold, by their names
 */
export async function keepBundle(
  folderNow: () => string,
  make: (folder: string) => Promise<Map<string, string>>,
): Promise<void> {
  for (let folder = folderNow(); !existsSync(folder); folder = folderNow()) {
    const all = dirname(folder);
    const unfinished = unnamed(folder);
    try {
      // First of all: where nobody may write, nothing is made for nothing.
      mkdirSync(unfinished, { recursive: true });
      writeFiles(unfinished, await make(folder));
      // Of sources that somebody has changed meanwhile it may have some of before and some of after.
      if (folderNow() !== folder) continue;
      renameSync(unfinished, folder);
      syncToDisk(all);
      removeOld(all);
      removeCompiled(join(dirname(all), 'compiled'));
    } catch (error) {
      // Somebody else has made it meanwhile: both are the same.
      if (!existsSync(folder)) throw error;
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
}

/** Writes files into a folder, which is made. When it returns they are safe on the disk. */
export function writeFiles(folder: string, files: ReadonlyMap<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of files) writeFileSync(join(folder, name), text, { flush: true });
  syncToDisk(folder);
}

function syncToDisk(folder: string): void {
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Where a folder lies before and after it has its name: what is half written or half removed is run by nobody. */
function unnamed(folder: string): string {
  return `${folder}.${randomUUID()}`;
}

function removeOld(all: string): void {
  const nowMs = Date.now();
  const found = readdirSync(all).map((name) => ({ name, ageMs: nowMs - statSync(join(all, name)).mtimeMs }));
  const bundles = found.filter(({ name }) => !name.includes('.')).sort((a, b) => a.ageMs - b.ageMs);
  const old = bundles.slice(KEPT).filter(({ ageMs }) => ageMs > KEPT_MS);
  const abandoned = found.filter(({ name, ageMs }) => name.includes('.') && ageMs > ABANDONED_MS);
  for (const { name } of [...old, ...abandoned]) {
    const leaving = unnamed(join(all, name));
    renameSync(join(all, name), leaving);
    rmSync(leaving, { recursive: true, force: true });
  }
}

/** Node keeps compiled code by the path of each script, of which a bundle has some of its own. */
function removeCompiled(folder: string): void {
  const old = Date.now() - KEPT_MS;
  for (const name of globSync('*/*', { cwd: folder }))
    if (statSync(join(folder, name)).mtimeMs < old) rmSync(join(folder, name), { recursive: true, force: true });
}
