/** clearFiles: removes some files of a recording that is over from its spool, and what names them there. */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { JOURNAL_NAME, parseLine, writeJournal } from './journal.ts';
import { runFolders } from './recording-spool.ts';
import { removeFreed, removeSpoolFolder } from './spool-folder.ts';

/**
 * The notes of its runs (who was there, where they were) go as well: no run follows. Files of others stay, byte by
 * byte, and a folder with none goes. Resolves to how many copies of the files there were. Throws the system's error, or
 * a Fault, when something cannot be read or removed.
 * @param recordingDir does nothing where it does not exist
 * @param isGone whether a file of this bare name goes, without `.part`
 */
export async function clearFiles(recordingDir: string, isGone: (name: string) => boolean): Promise<number> {
  await removeFreed(recordingDir);
  const dirs = await foldersIn(recordingDir);
  let files = 0;
  let others = 0;
  for (const dir of dirs) {
    for (const { name, isFile } of await entriesOf(dir)) {
      if (!isFile || name === JOURNAL_NAME) continue;
      const isNote = /\.json(\.new)?$/.test(name) && !/_(report|manifest)\.json/.test(name);
      if (!isNote && !isGone(name.replace(/\.(part|new)$/, ''))) {
        others += 1;
        continue;
      }
      if (!isNote) files += 1;
      await rm(join(dir, name), { force: true });
    }
    await clearJournal(dir, isGone);
  }
  if (dirs.length > 0 && others === 0) await removeSpoolFolder(recordingDir);
  return files;
}

async function clearJournal(dir: string, isGone: (name: string) => boolean): Promise<void> {
  const text = await readFile(join(dir, JOURNAL_NAME), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n').filter((line) => line !== '');
  const files = lines.flatMap((line) => parseLine(line) ?? []);
  const left = files.filter(({ name }) => !isGone(name));
  // A line that cannot be read may name anybody.
  if (left.length < lines.length) await writeJournal(dir, left);
}

async function foldersIn(recordingDir: string): Promise<string[]> {
  try {
    return await runFolders(recordingDir);
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return [];
    throw error;
  }
}

async function entriesOf(dir: string): Promise<{ name: string; isFile: boolean }[]> {
  const entries = await readdir(dir, { withFileTypes: true });
  return entries.map((entry) => ({ name: entry.name, isFile: entry.isFile() }));
}
