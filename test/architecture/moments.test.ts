/**
 * Holds moments to the types of their clocks (ADR 0017): a plain number whose name ends in `Us` is a span of time, and
 * its name says so.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
/** Last words of names of spans: how long something is, takes, lasts or is off. */
const SPAN =
  /(^|#)(duration|held|offset|cpu|step|total|span|delay|lag|concealed|base|after|unheard|supposed|still|published|pause|observed|age|max|gap|longest|least|interval|done|correction|by|set|proven|back|time|mapping|silent|target)Us$/i;

/** The last word of a camel-case name before its unit, with the unit. */
function lastWord(name: string): string {
  return /([A-Z]?[a-z]+|^#?[a-z]+)Us$/.exec(name)?.[0] ?? name;
}

test('a plain number in microseconds is a span; a moment has the type of the clock that tells it', () => {
  const files = globSync('src/**/*.ts', { cwd: ROOT }).filter((file) => !file.endsWith('.test.ts'));
  const declared = /(?<![\w.])#?(\w+Us)(?:\??|\([^)]*\)): (?:readonly )?number\b/g;
  const found = files.flatMap((file) =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(declared)].map(([, name]) => ({ file, name: name! })),
  );
  expect(found.length).toBeGreaterThan(50);
  expect(found.filter(({ name }) => !SPAN.test(lastWord(name)))).toEqual([]);
});
