/**
 * Holds comments to 120 columns. Code is the formatter's, which breaks every line but those that are one long text.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const COLUMNS = 120;
/** What keeps to it; the rest of the house follows room by room. */
const ROOMS = [
  'src/contract/{lint,openapi,rest,webhook}/**/*.ts',
  'src/contract/*.ts',
  'src/{channel,http,config,app/cli}/**/*.ts',
  'test/{architecture,conformance,fuzz}/**/*.ts',
  '{scripts,types}/**/*.ts',
];

test.each(ROOMS)(`comments of %s end at column ${COLUMNS}`, (pattern) => {
  const files = globSync(pattern, { cwd: ROOT });
  expect(files.length).toBeGreaterThan(0);
  const wrong = files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        /^\s*(\/\/|\/?\*)/.test(line) && line.length > COLUMNS ? [`${file}:${index + 1}`] : [],
      ),
  );
  expect(wrong).toEqual([]);
});
