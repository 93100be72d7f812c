import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { compiledFolder } from './compiled.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-compiled-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('all data folders share what is compiled', () => {
  const cache = join(dir, 'node_modules', '.cache');
  expect(compiledFolder(join(dir, 'a'), cache)).toBe(join(cache, 'compiled'));
  expect(compiledFolder(join(dir, 'b'), cache)).toBe(join(cache, 'compiled'));
});

test('a data folder has its own where the installation cannot be written', () => {
  const cache = join(dir, 'cache');
  // No user can make a folder there, not even one whom no mode stops.
  writeFileSync(cache, '');
  const dataDir = join(dir, 'data');
  mkdirSync(dataDir);
  expect(compiledFolder(dataDir, cache)).toBe(join(dataDir, 'compiled'));
});
