import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { clearFiles } from './clear-files.ts';
import { writeJournal } from './journal.ts';

let dir: string;
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'aircheck-clear-')), 'sid');
});
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }));

const isTheirs = (name: string) => name.startsWith('theirs');
async function run(number: number, names: readonly string[]): Promise<string> {
  const of = join(dir, String(number));
  mkdirSync(of, { recursive: true });
  for (const name of names) writeFileSync(join(of, name), name);
  const files = names.filter((name) => name.endsWith('.mp4'));
  const place = { index: 0, startUtcMs: 1, durationUs: 1 };
  await writeJournal(
    of,
    files.map((name) => ({ type: 'mp4' as const, name, ...place, bytes: name.length })),
  );
  return of;
}

test('files go from all runs, with their journal lines and what was unfinished; others stay', async () => {
  const first = await run(1, ['theirs.mp4', 'theirs.ts.part', 'others.mp4', 'others.ts.part', 'checkpoint.json']);
  const second = await run(2, ['theirs_1.mp4', 'attendance.json.new', 'x_report.json']);
  mkdirSync(`${dir}.freed`);
  writeFileSync(join(`${dir}.freed`, 'theirs_2.mp4'), 'torn');
  expect(await clearFiles(dir, isTheirs)).toBe(3);
  expect(readdirSync(first).sort()).toEqual(['journal.ndjson', 'others.mp4', 'others.ts.part']);
  expect(readFileSync(join(first, 'journal.ndjson'), 'utf8')).not.toContain('theirs');
  expect(readFileSync(join(first, 'journal.ndjson'), 'utf8')).toContain('others.mp4');
  expect(readdirSync(second).sort()).toEqual(['journal.ndjson', 'x_report.json']);
  expect(existsSync(`${dir}.freed`)).toBe(false);
  expect(await clearFiles(dir, isTheirs)).toBe(0);
});

test('a folder with nothing of others goes, and one that is not there is no fault', async () => {
  await run(1, ['theirs.mp4', 'checkpoint.json']);
  expect(await clearFiles(dir, isTheirs)).toBe(1);
  expect(existsSync(dir)).toBe(false);
  expect(await clearFiles(dir, isTheirs)).toBe(0);
});
