/**
 * Holds comments to 120 columns. Code is the formatter's, which breaks every line but those that are one long text.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const COLUMNS = 120;

test(`every comment ends at column ${COLUMNS}`, () => {
  const files = globSync(['{src,test,bench,scripts,examples,types}/**/*.ts', '*.ts', 'web/**/*.js'], { cwd: ROOT });
  expect(files.length).toBeGreaterThan(500);
  const wrong = files.flatMap((file) =>
    readFileSync(join(ROOT, file), 'utf8')
      .split('\n')
      .flatMap((line, index) =>
        /^\s*(\/\/|\/?\*)/.test(line) && line.length > COLUMNS ? [`${file}:${index + 1}`] : [],
      ),
  );
  expect(wrong).toEqual([]);
});
