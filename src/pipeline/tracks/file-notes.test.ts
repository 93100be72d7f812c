import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { messageOf } from '../../kernel/fault.ts';
import type { WholeFile } from '../../media/segment.ts';
import { Journal, readSpool } from '../../stages/spool/journal.ts';
import { FileNotes } from './file-notes.ts';

const fileOf = (index: number): WholeFile => {
  return { type: 'mp4', name: `x_${index}.mp4`, index, startUtcMs: 1, durationUs: 1, bytes: 1 };
};

test('a file that the disk had no room to note is noted before the next, in order', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-notes-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const journal = await Journal.open(dir);
  const told: string[] = [];
  let isFull = false;
  const fickle = {
    append: (file: WholeFile) => (isFull ? Promise.reject(new Error('ENOSPC')) : journal.append(file)),
  } as unknown as Journal;
  const notes = new FileNotes({
    journal: fickle,
    onNoted: ({ name }) => told.push(name),
    onLate: ({ name }, error) => told.push(`${name} ${messageOf(error)}`),
  });
  for (const [index, full] of [false, true, true, false].entries()) {
    writeFileSync(join(dir, `x_${index}.mp4`), 'x');
    isFull = full;
    await notes.add(fileOf(index));
  }
  await journal.close();
  expect(told).toEqual(['x_0.mp4', 'x_1.mp4 ENOSPC', 'x_1.mp4 ENOSPC', 'x_1.mp4', 'x_2.mp4', 'x_3.mp4']);
  expect((await readSpool(dir)).files).toEqual([0, 1, 2, 3].map(fileOf));
});
