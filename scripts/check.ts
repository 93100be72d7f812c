/**
 * `npm run check`: types, lint and format, unused code, the direction of imports, and what the docs promise. Runs all,
 * then says what failed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

type Step = [string, string, string[]];
const steps: Step[] = [
  ['types', 'tsc', ['-p', '.']],
  // What is to be the same every time it runs can reach no clock, disk or process.
  ['types of what is pure', 'tsc', ['-p', 'tsconfig.pure.json']],
  // An installation from before the dashboard lacks what it is made of.
  ...(existsSync('node_modules/preact') ? [['types of the dashboard', 'tsc', ['-p', 'web/dashboard']] as Step] : []),
  ['lint and format', 'biome', ['check', '--error-on-warnings', '.']],
  ['unused files, exports and packages', 'knip', ['--no-progress', '--treat-config-hints-as-errors']],
  // What only tests import stands in test/support.
  ['code of src that the program uses', 'knip', ['--no-progress', '--production']],
  ['direction and docs', 'vitest', ['run', '--project', 'fast', 'test/architecture']],
  ['reference pages', 'node', ['scripts/generate-docs.ts', '--check']],
];

const failed: string[] = [];
for (const [title, command, args] of steps) {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${title}`);
  if (status !== 0) failed.push(title);
}
process.exit(failed.length === 0 ? 0 : 1);
