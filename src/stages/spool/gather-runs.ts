/**
 * Gathers what several runs of a recording left into the folder of one more run: what completes a recording then finds
 * it as if one run had made it. Files are linked, so that nothing is copied, and the folders of the other runs stay as
 * they are.
 */
import { link, open, readdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { withoutFailover } from '../../media/failover-names.ts';
import { JOURNAL_NAME } from './journal.ts';
import { readRuns } from './recording-spool.ts';

/**
 * @param earlierDirs oldest first; of files with one name the newest run's counts
 * Throws a Fault when a folder cannot be read or written. Not safe to run twice in one folder.
 */
export async function gatherRuns(dir: string, earlierDirs: readonly string[]): Promise<void> {
  const { files, leftovers } = await readRuns(earlierDirs);
  const named = new Map<string, string>();
  try {
    // What is no file of the recording, such as who was there: the newest run's knows most.
    for (const from of earlierDirs)
      for (const entry of await readdir(from, { withFileTypes: true }))
        if (entry.isFile() && entry.name !== JOURNAL_NAME && !entry.name.endsWith('.part'))
          named.set(entry.name, join(from, entry.name));
    for (const { dir: from, file } of files) named.set(file.name, join(from, file.name));
    // Whoever mends these renames or replaces its own link, and leaves what it leads to alone. Of one that a later run
    // had begun to write anew, that run's counts.
    const unfinished = new Map(leftovers.map((leftover) => [withoutFailover(leftover.name), leftover]));
    for (const { dir: from, name } of unfinished.values()) named.set(name, join(from, name));
    for (const [name, path] of named) await link(path, join(dir, name));
    await writeSynced(join(dir, JOURNAL_NAME), files.map(({ file }) => `${JSON.stringify(file)}\n`).join(''));
  } catch (cause) {
    const message = `the runs of ${basename(join(dir, '..'))} cannot be gathered in ${dir}: ${messageOf(cause)}`;
    throw new Fault('runs-not-gathered', message, { blame: 'self', cause });
  }
}

/** Whole or not at all: a journal that lacks lines would hide files. */
async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
