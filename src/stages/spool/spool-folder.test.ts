import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { freeSpoolFolder, spooledSids } from './spool-folder.ts';

const [SID, OTHER, HALF] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)];

test('a folder that is freed is gone before anybody can look, and so is what a crash left of another', async () => {
  const root = mkdtempSync(join(tmpdir(), 'aircheck-spool-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const name of [SID, OTHER, `${HALF}.freed`]) {
    mkdirSync(join(root, name, '1'), { recursive: true });
    writeFileSync(join(root, name, '1', 'x.ts'), 'x');
  }
  const freed = freeSpoolFolder(join(root, SID));
  expect(readdirSync(root)).not.toContain(SID);
  await freed;
  expect(readdirSync(root)).toEqual([OTHER]);
  expect(await spooledSids(root)).toEqual([OTHER]);
});
