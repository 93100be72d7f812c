import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleFolder } from './bundled.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-bundled-'));
  for (const name of ['src/a.ts', 'src/b/c.ts', 'src/b/c.test.ts', 'scripts/bundle.ts', 'package-lock.json'])
    write(name, 'one');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), text);
}
const folder = () => bundleFolder(root, join(root, 'cache'));

test('a bundle lies in the folder of its installation', () => {
  expect(folder()).toMatch(new RegExp(`^${join(root, 'cache', 'children')}/[0-9a-f]{16}$`));
  expect(folder()).toBe(folder());
});

test.each<[string, () => void]>([
  ['changed', () => write('src/b/c.ts', 'other')],
  ['touched', () => utimesSync(join(root, 'src/a.ts'), 1, 1)],
  ['added', () => write('src/b/d.ts', '')],
  ['removed', () => rmSync(join(root, 'src/a.ts'))],
])('a source that was %s is not run as it was before', (_what, change) => {
  const before = folder();
  change();
  expect(folder()).not.toBe(before);
});

test('other libraries make another bundle', () => {
  const before = folder();
  write('package-lock.json', 'other');
  expect(folder()).not.toBe(before);
});

test('what tests are changed to is no matter', () => {
  const before = folder();
  write('src/b/c.test.ts', 'other');
  expect(folder()).toBe(before);
});
