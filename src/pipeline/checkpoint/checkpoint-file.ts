/**
 * The checkpoint of a run: one small JSON file in its folder that says how to go on from a moment whose files are on disk
 * (ADR 0012). It is replaced as a whole, so that a process may die at any time.
 */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { Fault, messageOf } from '../../kernel/fault.ts';

export const CHECKPOINT_NAME = 'checkpoint.json';

/**
 * Replaces the checkpoint in `dir`. Not synced: it is for a process that dies, and after a machine did the feed is gone too.
 * Throws a Fault when it cannot be written. One call at a time.
 */
export async function writeCheckpoint(dir: string, checkpoint: object): Promise<void> {
  const path = join(dir, CHECKPOINT_NAME);
  try {
    await writeFile(`${path}.new`, JSON.stringify(checkpoint), { mode: 0o600 });
    await rename(`${path}.new`, path);
  } catch (cause) {
    throw new Fault('checkpoint-unwritable', `cannot write ${path}: ${messageOf(cause)}`, { blame: 'self', cause });
  }
}

/** The newest checkpoint in the given runs' folders, oldest first, that can be read; `problems` says of others what is wrong. */
export async function readCheckpoint<T>(
  dirs: readonly string[],
  schema: z.ZodType<T>,
): Promise<{ checkpoint: T | undefined; problems: string[] }> {
  const problems: string[] = [];
  for (const dir of dirs.toReversed()) {
    const path = join(dir, CHECKPOINT_NAME);
    let text: string;
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') problems.push(`${path}: ${messageOf(error)}`);
      continue;
    }
    try {
      return { checkpoint: schema.parse(JSON.parse(text)), problems };
    } catch (error) {
      problems.push(`${path} is no checkpoint: ${messageOf(error)}`);
    }
  }
  return { checkpoint: undefined, problems };
}
