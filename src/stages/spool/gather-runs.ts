/**
 * Gathers what several runs of a recording left into the folder of one more run, so that whatever completes the
 * recording finds it as if one run had made it. Files are linked, so nothing is copied, and the folders of the other
 * runs do not change.
 */
import { link, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { withoutFailover } from '../../media/failover-names.ts';
import { JOURNAL_NAME, writeJournal } from './journal.ts';
import { readRuns } from './recording-spool.ts';

/**
 * @param earlierDirs oldest first; of files with one name the newest run's counts
 * Throws a Fault when a folder cannot be read or written. It must not run twice in one folder.
 */
export async function gatherRuns(dir: string, earlierDirs: readonly string[]): Promise<void> {
  const { files, leftovers } = await readRuns(earlierDirs);
  const named = new Map<string, string>();
  try {
    const unfinished = new Set(leftovers.map(({ dir: from, name }) => join(from, name)));
    // Notes that are no files of the recording, such as who was there: the newest run's are the most complete.
    for (const from of earlierDirs)
      for (const entry of await readdir(from, { withFileTypes: true }))
        if (entry.isFile() && entry.name !== JOURNAL_NAME && !entry.name.endsWith('.part')) {
          const path = join(from, entry.name);
          if (!unfinished.has(path)) named.set(entry.name, path);
        }
    for (const { dir: from, file } of files) named.set(file.name, join(from, file.name));
    // Whoever mends one of these renames or replaces its own link, and does not change the linked file. When several
    // runs wrote to one, the version that got furthest counts.
    const furthest = new Map<string, { name: string; path: string; bytes: number }>();
    for (const { dir: from, name } of leftovers) {
      const [plainName, path] = [withoutFailover(name.replace(/\.part$/, '')), join(from, name)];
      const { size: bytes } = await stat(path);
      if (bytes >= (furthest.get(plainName)?.bytes ?? 0)) furthest.set(plainName, { name, path, bytes });
    }
    for (const { name, path } of furthest.values()) named.set(name, path);
    for (const [name, path] of named) await link(path, join(dir, name));
    await writeJournal(
      dir,
      files.map(({ file }) => file),
    );
  } catch (cause) {
    const message = `the runs of ${basename(join(dir, '..'))} cannot be gathered in ${dir}: ${messageOf(cause)}`;
    throw new Fault('runs-not-gathered', message, { blame: 'self', cause });
  }
}
