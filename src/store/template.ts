/**
 * The template: an embedded database as it is before anything is written to it, with all tables. To make one takes
 * seconds and 400 MB, and all are alike, so an installation makes it once (`aircheck prepare`, or the first start),
 * and each new data folder gets a copy.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { PACKAGE_CACHE } from '../kernel/package-cache.ts';
import { makeJobTables } from './jobs.ts';
import { migrate } from './migrate.ts';
import { MIGRATIONS } from './migrations.ts';
import { isDatabase, isUnused, openPglite, SEAL, UNUSED } from './pglite.ts';

/**
 * What Postgres makes further databases from. Nobody makes any here, and without the two a copy has half as many files,
 * each of which takes a third of a millisecond.
 */
const SPARE = ['template0', 'template1'];
/** Files that are copied and synced at once: the disk makes many of them safe in one go. */
const PARALLEL = 16;
/** Each Postgres has these in its folder. */
const OF_POSTGRES = ['base', 'global', 'pg_wal', 'pg_xact'];

/** Where the template lies that this version makes. */
function templateFolder(): string {
  const made = [versionOf('@electric-sql/pglite'), versionOf('pg-boss'), MIGRATIONS, SPARE];
  const key = createHash('sha256').update(JSON.stringify(made)).digest('hex').slice(0, 16);
  return join(PACKAGE_CACHE, `database-${key}`);
}

function versionOf(library: string): string {
  const entry = createRequire(import.meta.url).resolve(library);
  const { version } = JSON.parse(readFileSync(join(entry, '../../package.json'), 'utf8')) as { version: string };
  return version;
}

/** Makes the template, unless it is there. Throws where the folder cannot be written. */
export async function makeTemplate(template = templateFolder()): Promise<void> {
  await removeUnfinished(template);
  if (isDatabase(template)) return;
  await withNewDatabase(`${template}.${process.pid}`, async (made) => {
    // Whoever installs may be another user than the one that a server runs as; nobody's data is in it.
    const { folders, files } = await list(made);
    await each(folders, (folder) => chmod(join(made, folder), 0o755));
    await each(files, (file) => chmod(join(made, file), 0o644));
    await syncAll(made);
    // Several servers may start at once: what the first has made stays.
    await rename(made, template).catch((error: unknown) => {
      if (!isDatabase(template)) throw error;
    });
  });
}

/**
 * Makes a database of a folder that is none, with everything on the disk when it resolves. What a crash left of an
 * earlier try is removed. Until `putToUse` it counts as unused. Rejects when there are files of another database, which
 * may have held something.
 */
export async function layDatabase(folder: string, template = templateFolder()): Promise<void> {
  if (isDatabase(folder)) return;
  await clear(folder);
  // Where this user may not write, each data folder makes its own.
  await makeTemplate(template).catch(() => {});
  if (isDatabase(template)) await copyDatabase(template, folder);
  else await withNewDatabase(`${folder}.new`, (made) => copyDatabase(made, folder));
}

/**
 * Makes a database again that was never used and cannot be opened; without the template, which may be what is wrong
 * with it.
 */
export async function layAnew(folder: string): Promise<void> {
  await rm(join(folder, SEAL), { force: true });
  await clear(folder);
  await withNewDatabase(`${folder}.new`, (made) => copyDatabase(made, folder));
}

/** Has other data folders get no copy of this template any more; the next start makes another. */
export async function discardTemplate(template = templateFolder()): Promise<void> {
  // Whoever copies it just now fails, and finds another at the next try.
  const aside = `${template}.${process.pid}`;
  await rename(template, aside);
  await rm(aside, { recursive: true, force: true });
}

/** From now on the database may hold something. */
export async function putToUse(folder: string): Promise<void> {
  await rm(join(folder, UNUSED));
  // Were the mark back after a power cut, it would stand for what is not so any more.
  await sync(folder);
}

/** Removes what a crash left of a database that was being made, and marks the folder for one that is going to be. */
async function clear(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  if (!isUnused(folder)) {
    if (names.some((name) => OF_POSTGRES.includes(name)))
      throw new Error(
        `there are files of a database, but no ${SEAL}. If it was ever used, put the folder back as a whole from a backup; if not, remove it. Then start again`,
      );
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(folder, UNUSED), '', { mode: 0o600 });
    // The mark is there before anything that it stands for.
    await sync(folder);
    return;
  }
  for (const name of names.filter((each) => each !== UNUSED))
    await rm(join(folder, name), { recursive: true, force: true });
}

/** Removes what processes that were killed while they made the template left of it. */
async function removeUnfinished(template: string): Promise<void> {
  const [folder, start] = [dirname(template), `${basename(template)}.`];
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(start))) {
    const pid = Number(name.slice(start.length));
    if (Number.isInteger(pid) && !isRunning(pid)) await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** Also where another process has the number by now: its folder stays until that one is gone. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Makes a database in the folder `made`, which is removed again after its use. */
async function withNewDatabase(made: string, use: (made: string) => Promise<void>): Promise<void> {
  await rm(made, { recursive: true, force: true });
  await mkdir(dirname(made), { recursive: true });
  await mkdir(made, { mode: 0o700 });
  try {
    // Closed before its use, so that it is whole; and the memory that making takes is given back with its thread.
    const database = await openPglite(made);
    try {
      await migrate(database);
      await makeJobTables(database);
      await database.query('update pg_database set datistemplate = false');
      for (const name of SPARE) await database.script(`drop database ${name}`);
    } finally {
      await database.close();
    }
    await use(made);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
}

async function copyDatabase(from: string, to: string): Promise<void> {
  const { folders, files } = await list(from);
  for (const folder of folders) await mkdir(join(to, folder), { recursive: true, mode: 0o700 });
  await each(files, (file) => (file === SEAL ? Promise.resolve() : copyFile(join(from, file), join(to, file))));
  await syncAll(to);
  const seal = join(to, SEAL);
  await copyFile(join(from, SEAL), `${seal}.new`);
  await sync(`${seal}.new`);
  await rename(`${seal}.new`, seal);
  await sync(to);
}

async function syncAll(folder: string): Promise<void> {
  const { folders, files } = await list(folder);
  await each([...files, ...folders], (path) => sync(join(folder, path)));
}

/** Paths in a folder, itself among them as an empty one. */
async function list(folder: string): Promise<{ folders: string[]; files: string[] }> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const pathsOf = (some: typeof entries) =>
    some.map(({ parentPath, name }) => relative(folder, join(parentPath, name)));
  return {
    folders: ['', ...pathsOf(entries.filter((entry) => entry.isDirectory()))],
    files: pathsOf(entries.filter((entry) => entry.isFile())),
  };
}

async function each<T>(things: readonly T[], work: (thing: T) => Promise<void>): Promise<void> {
  const left = things.values();
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      for (const thing of left) await work(thing);
    }),
  );
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
