/**
 * Everything on the spool of one recording: `<spool>/<sid>/<generation>/`, a folder for each of its runs (ADR 0012). An
 * earlier version made no such folders: what is in `<spool>/<sid>/` itself is read as generation 0.
 */
import { chmod, mkdir, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { withoutFailover } from '../../media/failover-names.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { JOURNAL_NAME, readSpool } from './journal.ts';
import { freeBytes } from './spool-folder.ts';

/** A finished file and the folder it lies in. */
type RunFile = { dir: string; file: SpooledFile };
/** A file that a crash left unfinished (`.part`), or finished but in no journal, and its folder. */
type RunLeftover = { dir: string; name: string; bytes: number };

export type RecordingSpool = {
  /**
   * Finished files that exist and are whole, in the order in which they were finished, run after run. Each name occurs
   * once.
   */
  files: RunFile[];
  /** Each journal line that could not be used, and why, in words. */
  problems: string[];
  /** Unfinished files that no run has finished, not even under another name. */
  leftovers: RunLeftover[];
};

/** The folder that holds the folders of a recording's runs. */
export function recordingFolder(spoolRoot: string, sid: string): string {
  if (!/^[0-9a-f]{32}$/.test(sid))
    throw new Fault('sid-invalid', 'a sid is 32 lowercase hex characters', { blame: 'self' });
  return join(spoolRoot, sid);
}

/** The folder of one run. */
export function runFolder(spoolRoot: string, sid: string, generation: number): string {
  if (!Number.isSafeInteger(generation) || generation < 1)
    throw new Fault('generation-invalid', 'runs are numbered from 1', { blame: 'self' });
  return join(recordingFolder(spoolRoot, sid), String(generation));
}

/**
 * The number of the run that a folder belongs to; 0 for the folder of an earlier version, which made none for each run.
 */
export function generationOf(dir: string): number {
  const name = basename(dir);
  return /^[1-9]\d{0,9}$/.test(name) ? Number(name) : 0;
}

/**
 * Makes the folder of a run, readable by this user alone, and returns its path. An existing empty folder is accepted.
 * Throws a Fault when another run has written there, when the disk has less than `minFreeBytes` left, or when the
 * folder cannot be made.
 */
export async function createRunFolder(
  spoolRoot: string,
  sid: string,
  generation: number,
  minFreeBytes = 0,
): Promise<string> {
  const dir = runFolder(spoolRoot, sid, generation);
  try {
    await mkdir(spoolRoot, { recursive: true, mode: 0o700 });
    await checkFreeBytes(spoolRoot, minFreeBytes);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    // The mode above is limited by the umask, and ignored when the folder exists.
    await chmod(recordingFolder(spoolRoot, sid), 0o700);
    await chmod(dir, 0o700);
    if ((await readdir(dir)).length > 0)
      throw new Fault('generation-taken', `${dir} holds the files of another run`, { blame: 'self' });
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('spool-unwritable', `cannot make ${dir}: ${messageOf(cause)}`, { blame: 'self', cause });
  }
  return dir;
}

/** Throws a Fault when the disk of `path` has less than `minFreeBytes` left. */
export async function checkFreeBytes(path: string, minFreeBytes: number): Promise<void> {
  const free = await freeBytes(path);
  if (free >= minFreeBytes) return;
  const [has, needs] = [Math.floor(free / 1e6), Math.ceil(minFreeBytes / 1e6)];
  throw new Fault('spool-full', `the disk of ${path} has ${has} MB free, a recording needs ${needs} MB`, {
    blame: 'self',
    retryable: true,
  });
}

/**
 * The folders of a recording's runs, oldest first. The first is the recording's own folder when an earlier version
 * wrote there. Throws a Fault when it cannot be read.
 */
export async function runFolders(recordingDir: string): Promise<string[]> {
  try {
    const entries = await readdir(recordingDir, { withFileTypes: true });
    const isOld = entries.some(({ name }) => name === JOURNAL_NAME || name.endsWith('.part'));
    const generations = entries
      .filter((entry) => entry.isDirectory() && /^[1-9]\d*$/.test(entry.name))
      .map(({ name }) => Number(name))
      .sort((a, b) => a - b);
    return [...(isOld ? [recordingDir] : []), ...generations.map((n) => join(recordingDir, String(n)))];
  } catch (cause) {
    const message = `cannot read the spool ${recordingDir}: ${messageOf(cause)}`;
    throw new Fault('spool-unreadable', message, { blame: 'self', cause });
  }
}

/** Reads back all runs of the recording in `recordingDir`. Throws a Fault when a folder cannot be read. */
export async function readRecording(recordingDir: string): Promise<RecordingSpool> {
  return readRuns(await runFolders(recordingDir));
}

/**
 * Reads the folders of the given runs, oldest first. Of files with one name the newest run's counts, because what
 * follows was made to continue it. Throws a Fault when a folder cannot be read.
 */
export async function readRuns(dirs: readonly string[]): Promise<RecordingSpool> {
  const files = new Map<string, RunFile>();
  const problems: string[] = [];
  const unfinished: RunLeftover[] = [];
  for (const dir of dirs) {
    const run = await readSpool(dir);
    for (const file of run.files) {
      // Without this the Map would keep the key at its first position.
      files.delete(file.name);
      files.set(file.name, { dir, file });
    }
    problems.push(...run.problems.map((problem) => (dirs.length > 1 ? `${dir}: ${problem}` : problem)));
    for (const name of run.leftovers) unfinished.push({ dir, name, bytes: (await stat(join(dir, name))).size });
  }
  const finished = new Set([...files.keys()].map(withoutFailover));
  const leftovers = unfinished.filter(({ name }) => !finished.has(withoutFailover(name.replace(/\.part$/, ''))));
  return { files: [...files.values()], problems, leftovers };
}
