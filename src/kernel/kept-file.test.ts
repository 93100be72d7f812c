import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { keepFile } from './kept-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-kept-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});

test('a kept file is for this user only, and nothing lies beside it', () => {
  const path = join(dir, 'kept');
  writeFileSync(`${path}.new`, 'what a crash left', { mode: 0o644 });
  keepFile(path, 'first');
  keepFile(path, 'second');
  expect(readFileSync(path, 'utf8')).toBe('second');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir)).toEqual(['kept']);
});

test('one that cannot be replaced leaves nothing beside it', () => {
  const path = join(dir, 'kept');
  mkdirSync(join(path, 'a folder with something in it'), { recursive: true });
  expect(() => keepFile(path, 'text')).toThrow();
  expect(readdirSync(dir)).toEqual(['kept']);
});

test('a process that can write nothing leaves no file that is empty', () => {
  const path = join(dir, 'kept');
  const script = `import { keepFile } from ${JSON.stringify(join(import.meta.dirname, 'kept-file.ts'))}; keepFile(${JSON.stringify(path)}, 'text');`;
  // As on a full disk: the system refuses the first byte.
  const limited = ['-c', 'ulimit -f 0; exec "$@"', 'sh', process.execPath, '--input-type=module', '--eval', script];
  const { status } = spawnSync('sh', limited);
  expect(status).not.toBe(0);
  expect(readdirSync(dir)).not.toContain('kept');
});
