/**
 * The journal of a spool folder: one JSON line per finished file, appended and synced after the file itself is on disk.
 * What it lists can be uploaded, whatever happened to the recorder that wrote it.
 */
import { type FileHandle, open, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { spooledFileSchema } from '../../contract/line/facts.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { SpooledFile } from '../../media/segment.ts';

export const JOURNAL_NAME = 'journal.ndjson';

/**
 * Appends to the journal of one folder. There may be one writer at a time: the recorder or, after its death, whoever
 * recovers its files.
 */
export class Journal {
  #file: FileHandle;
  /** An append failed half way, on a full disk for example: the next one must not continue its line. */
  #isTorn: boolean;
  #tail: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  private constructor(file: FileHandle, isTorn: boolean) {
    this.#file = file;
    this.#isTorn = isTorn;
  }

  /** Opens the journal of `dir`, creating it when it is missing. Throws a Fault when the folder cannot be written. */
  static async open(dir: string): Promise<Journal> {
    const path = join(dir, JOURNAL_NAME);
    try {
      const file = await open(path, 'a+', 0o600);
      const { size } = await file.stat();
      const last = Buffer.alloc(1);
      if (size > 0) await file.read(last, 0, 1, size - 1);
      // A line that a crash cut off must stay a line of its own; else the next one would be lost with it.
      return new Journal(file, size > 0 && last[0] !== 0x0a);
    } catch (cause) {
      throw new Fault('journal-unwritable', `cannot write ${path}: ${messageOf(cause)}`, { blame: 'self', cause });
    }
  }

  /** Notes a finished file; resolves when the line is on disk. Calls are carried out in order. */
  append(file: SpooledFile): Promise<void> {
    const done = this.#tail.then(async () => {
      const before = this.#isTorn ? '\n' : '';
      this.#isTorn = true;
      await this.#file.appendFile(`${before}${JSON.stringify(file)}\n`);
      this.#isTorn = false;
      await this.#file.datasync();
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }

  /** Waits for what was appended and closes the file. Further calls return the same promise. */
  close(): Promise<void> {
    this.#closed ??= this.#tail.then(() => this.#file.close());
    return this.#closed;
  }
}

/**
 * Replaces the journal of `dir` completely or not at all, because a journal without some lines would hide files. Throws
 * the system's error when it cannot be written. Call it when the journal has no other writer.
 */
export async function writeJournal(dir: string, files: readonly SpooledFile[]): Promise<void> {
  const path = join(dir, JOURNAL_NAME);
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(files.map((each) => `${JSON.stringify(each)}\n`).join(''));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

export type SpoolContents = {
  /** Finished files that exist and are whole, in the order in which they were finished. */
  files: SpooledFile[];
  /** Each journal line that could not be used, and why, in words. */
  problems: string[];
  /**
   * Names of files that a crash left unfinished (`.part`), or finished but not in the journal, and of those that are
   * there otherwise than the journal says: what is left of them is nowhere else.
   */
  leftovers: string[];
};

/** Files of the recording; other files in the folder are notes. */
const MEDIA = /\.(ts|webm|m4s|mp4|mka|jpg)$/;

/**
 * Reads what is in a spool folder. A torn last line is what a crash leaves, and no problem; other lines that are no
 * SpooledFile, or whose file is missing or has another size, are left out and reported. Throws a Fault when the folder
 * itself cannot be read.
 */
export async function readSpool(dir: string): Promise<SpoolContents> {
  let names: string[];
  let text: string;
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    text = names.includes(JOURNAL_NAME) ? await readFile(join(dir, JOURNAL_NAME), 'utf8') : '';
  } catch (cause) {
    throw new Fault('spool-unreadable', `cannot read the spool ${dir}: ${messageOf(cause)}`, { blame: 'self', cause });
  }
  const files = new Map<string, SpooledFile>();
  const problems: string[] = [];
  const lines = text.split('\n');
  for (const [i, line] of lines.entries()) {
    if (line === '') continue;
    const file = parseLine(line);
    const isTorn = i === lines.length - 1;
    if (!file) {
      if (!isTorn) problems.push(`line ${i + 1} of ${JOURNAL_NAME} is not a record of a file`);
      continue;
    }
    const problem = files.has(file.name) ? 'is listed twice' : await whyNotWhole(dir, file);
    if (problem) problems.push(`line ${i + 1} of ${JOURNAL_NAME}: ${file.name} ${problem}`);
    else files.set(file.name, file);
  }
  const leftovers = names.filter((name) => name.endsWith('.part') || (MEDIA.test(name) && !files.has(name)));
  return { files: [...files.values()], problems, leftovers: leftovers.sort() };
}

/** A line of a journal; undefined when it is no record of a file. */
export function parseLine(line: string): SpooledFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const parsed = spooledFileSchema.safeParse(value);
  // "." and ".." contain no separator but are no files.
  return parsed.success && !/^\.{1,2}$/.test(parsed.data.name) ? parsed.data : undefined;
}

async function whyNotWhole(dir: string, file: SpooledFile): Promise<string | undefined> {
  try {
    const found = await stat(join(dir, file.name));
    if (!found.isFile()) return 'is not a file';
    if (found.size !== file.bytes) return `has ${found.size} bytes instead of ${file.bytes}`;
    return undefined;
  } catch (error) {
    return `cannot be read: ${messageOf(error)}`;
  }
}
