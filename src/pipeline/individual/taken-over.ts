/**
 * TakenOver: what a standby made of a recording of single users that its node has claimed (ADR 0042). Its slices lie in
 * a folder of their own within the run's, where nobody takes them for files of the recording: each row of them is
 * written again from where the store has it, by the run that goes on.
 */
import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { spooledFileSchema } from '../../contract/line/facts.ts';
import type { StreamUs } from '../../kernel/time.ts';
import type { Segment } from '../../media/segment.ts';
import { readSliceName } from '../../stages/mux/names.ts';
import { readSpool, writeJournal } from '../../stages/spool/journal.ts';
import { writeNotes } from '../checkpoint/checkpoint-file.ts';
import type { RowType } from './file-sink.ts';
import type { PastSlice } from './row-end.ts';

const FOLDER = 'standby';
const NOTES = 'rows.json';

const notesSchema = z.object({
  version: z.literal(1),
  /** Up to where the store had each row, Unix milliseconds; rows of which it had nothing are left out. */
  stored: z.array(z.object({ row: z.string(), untilMs: z.number() })),
  /** The slices that are whole. */
  slices: z.array(spooledFileSchema),
});

/** What a slice belongs to: a user's pictures, sound, both, or the fragments of sound of an MPD. */
export type RowName = { uid: string; type: RowType };

/** The row of a slice of one user, by its name, whole or not; undefined for other files. */
export function rowOf(name: string): RowName | undefined {
  const parts = readSliceName(name.replace(/\.part$/, ''));
  if (!parts?.user) return undefined;
  return { uid: parts.user.uid, type: parts.extension === 'm4s' ? 'fragments' : parts.user.type };
}

/** The same in one word, by which rows are told apart. */
export function rowKeyOf(name: string): string | undefined {
  const row = rowOf(name);
  return row && `${row.uid} ${row.type}`;
}

/** What was taken over of a row. */
export type TakenRow = { slices: PastSlice[]; storedUs: StreamUs | undefined };

/**
 * Makes what a standby wrote to `dir` something to be gone on with.
 * @param stored up to where the store has each row, Unix milliseconds, by `rowKeyOf`
 * Throws a Fault when the folder cannot be read, and the system's error when it cannot be written.
 */
export async function keepTakenOver(dir: string, stored: ReadonlyMap<string, number>): Promise<void> {
  const { files } = await readSpool(dir);
  const slices = files.filter((file) => file.type === 'slice');
  const to = join(dir, FOLDER);
  await mkdir(to, { mode: 0o700 });
  for (const name of await readdir(dir)) if (rowOf(name)) await rename(join(dir, name), join(to, name));
  const rows = [...stored].map(([row, untilMs]) => ({ row, untilMs }));
  await writeNotes(to, NOTES, { version: 1, stored: rows, slices } satisfies z.infer<typeof notesSchema>);
  await writeJournal(dir, []);
}

/**
 * What was taken over in the folders of these runs, by `rowKeyOf`, in order of time. Throws the system's error when a
 * folder cannot be read, and a ZodError when its notes are damaged.
 */
export async function readTakenOver(dirs: readonly string[], zeroUtcMs: number): Promise<Map<string, TakenRow>> {
  const rows = new Map<string, TakenRow>();
  const of = (key: string): TakenRow => {
    const row = rows.get(key) ?? { slices: [], storedUs: undefined };
    rows.set(key, row);
    return row;
  };
  for (const dir of dirs.map((each) => join(each, FOLDER))) {
    const text = await readFile(join(dir, NOTES), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (text === undefined) continue;
    const { stored, slices } = notesSchema.parse(JSON.parse(text));
    for (const { row, untilMs } of stored) of(row).storedUs = (untilMs - zeroUtcMs) * 1000;
    const whole = new Map(slices.map((file) => [file.name, file as Segment]));
    for (const name of await readdir(dir)) {
      const [key, utcMs] = [rowKeyOf(name), readSliceName(name.replace(/\.part$/, ''))?.startUtcMs];
      if (key === undefined || utcMs === undefined) continue;
      const ofStandby = whole.get(name);
      of(key).slices.push({ dir, name, utcMs, isTorn: ofStandby === undefined, ofStandby });
    }
  }
  for (const { slices } of rows.values()) slices.sort((a, b) => a.utcMs - b.utcMs);
  return rows;
}
