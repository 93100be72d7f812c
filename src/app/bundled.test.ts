import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bundleFolder, packedBundle, present } from './bundled.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-bundled-'));
  for (const name of ['src/a.ts', 'src/b/c.ts', 'src/b/c.test.ts', 'scripts/bundle.ts', 'package-lock.json'])
    write(name, 'one');
  write('node_modules/zod/package.json', '{"version":"1.0.0"}');
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
  ['added', () => write('src/b/d.ts', '')],
  ['removed', () => rmSync(join(root, 'src/a.ts'))],
])('a source that was %s is not run as it was before', (_what, change) => {
  const before = folder();
  change();
  expect(folder()).not.toBe(before);
});

test('times are no matter: of a copy they are others, and of sources that differ they may be the same', () => {
  utimesSync(join(root, 'src/a.ts'), 1, 1);
  const before = folder();
  utimesSync(join(root, 'src/a.ts'), 2, 2);
  expect(folder()).toBe(before);
  write('src/a.ts', 'two');
  utimesSync(join(root, 'src/a.ts'), 1, 1);
  expect(folder()).not.toBe(before);
});

test('a link that leads nowhere, as editors make, is no source', () => {
  const before = folder();
  symlinkSync('nobody@nowhere', join(root, 'src/.#a.ts'));
  expect(folder()).toBe(before);
});

test('a bundle that is gone is not run', () => {
  expect(present(join(root, 'src/a.ts'))).toBe(join(root, 'src/a.ts'));
  expect(present(join(root, 'child.js'))).toBe(join(import.meta.dirname, 'cli/main.ts'));
});

test('other libraries make another bundle', () => {
  const before = folder();
  write('package-lock.json', 'other');
  const locked = folder();
  expect(locked).not.toBe(before);
  // By hand, without the lockfile.
  write('node_modules/zod/package.json', '{"version":"1.0.1"}');
  expect(folder()).not.toBe(locked);
});

test('that of the npm package is run beside the libraries that it was made of, and beside no others', () => {
  const home = join(root, 'node_modules/aircheck');
  const carried = '{"type":"module","bundled":{"zod":"1.0.0"}}';
  write('node_modules/aircheck/dist/children/package.json', carried);
  expect(packedBundle(home)).toBe(join(home, 'dist/children'));
  // As `overrides` have it: in place of it, or for this package alone.
  write('node_modules/zod/package.json', '{"version":"1.0.1"}');
  expect(packedBundle(home)).toBeUndefined();
  write('node_modules/aircheck/node_modules/zod/package.json', '{"version":"1.0.0"}');
  expect(packedBundle(home)).toBe(join(home, 'dist/children'));
});

test('what tests are changed to is no matter', () => {
  const before = folder();
  write('src/b/c.test.ts', 'other');
  expect(folder()).toBe(before);
});
