import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { removeSpoolFolder, spooledSids, sweepFreed } from './spool-folder.ts';

const [SID, OTHER, HALF] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)];

test('a folder that is removed is gone before anybody can look, and what a crash left of one goes later', async () => {
  const root = mkdtempSync(join(tmpdir(), 'aircheck-spool-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const name of [SID, OTHER, `${HALF}.freed`]) {
    mkdirSync(join(root, name, '1'), { recursive: true });
    writeFileSync(join(root, name, '1', 'x.ts'), 'x');
  }
  const removed = removeSpoolFolder(join(root, SID));
  expect(readdirSync(root)).not.toContain(SID);
  await removed;
  expect(await spooledSids(root)).toEqual([OTHER]);
  // Of a folder that was there once more, too.
  mkdirSync(join(root, HALF));
  await removeSpoolFolder(join(root, HALF));
  expect(readdirSync(root)).toEqual([OTHER]);
  mkdirSync(join(root, `${SID}.freed`, '1'), { recursive: true });
  await sweepFreed(root);
  expect(readdirSync(root)).toEqual([OTHER]);
});
