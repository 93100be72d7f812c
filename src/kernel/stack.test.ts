import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { stackOf } from './stack.ts';

let script: string;
let error: Error;
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck stack-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  script = join(dir, 'made.js');
  error = new Error('why');
  error.stack = `Error: why\n    at f (${pathToFileURL(script)}:1:8)\n    at node:internal/main:1:2`;
});

test('a place is that of the source where a map lies beside the script', () => {
  // The first column is that of the first line; the eighth that of the third, fifth column.
  const map = { version: 3, sources: ['../src/a b.ts'], names: [], mappings: 'AAAA,OAEI' };
  writeFileSync(`${script}.map`, JSON.stringify(map));
  const source = pathToFileURL(join(script, '../../src/a b.ts'));
  expect(stackOf(error)).toBe(`Error: why\n    at f (${source}:3:5)\n    at node:internal/main:1:2`);
});

test.each(['', '{', '{}', 'null', '{"version":3,"sources":[],"names":[],"mappings":"!!"}'])(
  'a map that is %o leaves it as it is',
  (text) => {
    writeFileSync(`${script}.map`, text);
    expect(stackOf(error)).toBe(error.stack);
  },
);

test('without a map it is as it is, and what is no error has none', () => {
  expect(stackOf(error)).toBe(error.stack);
  expect(stackOf('words')).toBe('words');
  expect(stackOf(undefined)).toBe('undefined');
});
