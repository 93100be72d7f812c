import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { gatherRuns } from './gather-runs.ts';
import { Journal, readSpool } from './journal.ts';
import { createRunFolder } from './recording-spool.ts';

const SID = 'c'.repeat(32);
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-gather-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function run(generation: number, files: Record<string, string>): Promise<string> {
  const dir = await createRunFolder(root, SID, generation);
  const journal = await Journal.open(dir);
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(dir, name), text);
    if (name.endsWith('.mp4'))
      await journal.append({ type: 'mp4', name, index: 0, startUtcMs: 1, durationUs: 1, bytes: text.length });
  }
  await journal.close();
  return dir;
}

test('what several runs left lies in one folder as if one had made it, and theirs stay as they were', async () => {
  const first = await run(1, {
    'a.mp4': 'a',
    'b.mp4': 'old',
    'attendance.json': '1',
    'torn.ts.part': 'half',
    'x.ts.part': 'x',
  });
  const second = await run(2, { 'b.mp4': 'newer', 'c.mp4': 'c', 'attendance.json': '2' });
  // Finished by the second run under its name.
  const third = await run(3, { 'x.ts': 'xx' });
  const journal = await Journal.open(third);
  await journal.append({ type: 'mp4', name: 'x.ts', index: 0, startUtcMs: 1, durationUs: 1, bytes: 2 });
  await journal.close();
  const dir = await createRunFolder(root, SID, 4);
  await gatherRuns(dir, [first, second, third]);

  const { files, problems, leftovers } = await readSpool(dir);
  expect([files.map(({ name }) => name), problems, leftovers]).toEqual([
    ['a.mp4', 'b.mp4', 'c.mp4', 'x.ts'],
    [],
    ['torn.ts.part'],
  ]);
  const text = (...path: string[]) => readFileSync(join(...path), 'utf8');
  expect([text(dir, 'b.mp4'), text(dir, 'attendance.json')]).toEqual(['newer', '2']);
  // No copy: a long recording is not held twice.
  expect(statSync(join(dir, 'a.mp4')).ino).toBe(statSync(join(first, 'a.mp4')).ino);
  renameSync(join(dir, 'torn.ts.part'), join(dir, 'torn.ts'));
  rmSync(join(dir, 'c.mp4'));
  expect([text(first, 'torn.ts.part'), text(first, 'b.mp4'), text(second, 'c.mp4')]).toEqual(['half', 'old', 'c']);
});

test('of a file that several runs left unfinished there is one, which got furthest, whatever its name', async () => {
  const first = await run(1, { 'a.ts.part': 'aaaa', 'b.ts.part': '' });
  const second = await run(2, { 'bak0_a.ts': 'aaa', 'b.ts.part': 'bb', 'c.ts.part': 'c' });
  const third = await run(3, { 'bak1_a.ts.part': 'a', 'bak1_c.mp4': 'cc' });
  const dir = await createRunFolder(root, SID, 4);
  await gatherRuns(dir, [first, second, third]);
  const { leftovers } = await readSpool(dir);
  expect(leftovers.sort()).toEqual(['a.ts.part', 'b.ts.part', 'c.ts.part']);
  expect(readFileSync(join(dir, 'b.ts.part'), 'utf8')).toBe('bb');
});

test('a folder that cannot be read is a fault that names it, and leaves no journal', async () => {
  const dir = await createRunFolder(root, SID, 2);
  const first = join(root, SID, '1');
  await expect(gatherRuns(dir, [first])).rejects.toMatchObject({ code: 'spool-unreadable' });
  mkdirSync(first);
  writeFileSync(join(first, 'a'), '');
  writeFileSync(join(dir, 'a'), '');
  await expect(gatherRuns(dir, [first])).rejects.toMatchObject({ code: 'runs-not-gathered' });
  expect(existsSync(join(dir, 'journal.ndjson'))).toBe(false);
});
