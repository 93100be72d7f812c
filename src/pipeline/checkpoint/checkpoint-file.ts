/**
 * The checkpoint of a run: one small JSON file in its folder that says how to go on from a moment whose files are on
 * disk (ADR 0012). It is replaced as a whole, so that a process may die at any time.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { Fault, messageOf } from '../../kernel/fault.ts';

const CHECKPOINT_NAME = 'checkpoint.json';

/**
 * Replaces the checkpoint in `dir`. It is not synced: it serves when a process dies, and when the machine dies the feed
 * is gone too. Throws a Fault when it cannot be written. One call at a time.
 */
export function writeCheckpoint(dir: string, checkpoint: object): Promise<void> {
  return writeNotes(dir, CHECKPOINT_NAME, checkpoint);
}

/** Does what `writeCheckpoint` does, for any small file that a later run reads. */
export async function writeNotes(dir: string, name: string, notes: object): Promise<void> {
  const path = join(dir, name);
  try {
    await writeFile(`${path}.new`, JSON.stringify(notes), { mode: 0o600 });
    await rename(`${path}.new`, path);
  } catch (cause) {
    throw new Fault('checkpoint-unwritable', `cannot write ${path}: ${messageOf(cause)}`, { blame: 'self', cause });
  }
}

/**
 * The newest readable checkpoint in the folders of the given runs, oldest first; `problems` says what is wrong with
 * others.
 */
export async function readCheckpoint<T>(
  dirs: readonly string[],
  schema: z.ZodType<T>,
): Promise<{ checkpoint: T | undefined; problems: string[] }> {
  const { notes, problems } = await readNotes(dirs, CHECKPOINT_NAME, schema);
  return { checkpoint: notes, problems };
}

/** Does what `readCheckpoint` does, for any small file that a run kept. */
export async function readNotes<T>(
  dirs: readonly string[],
  name: string,
  schema: z.ZodType<T>,
): Promise<{ notes: T | undefined; problems: string[] }> {
  const problems: string[] = [];
  for (const dir of dirs.toReversed()) {
    const path = join(dir, name);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') problems.push(`${path}: ${messageOf(error)}`);
      continue;
    }
    try {
      return { notes: schema.parse(JSON.parse(text)), problems };
    } catch (error) {
      problems.push(`${path} cannot be used: ${messageOf(error)}`);
    }
  }
  return { notes: undefined, problems };
}
