/**
 * `npm test`: all that CI runs, in the order that fails soonest. Says the total at the end.
 */
import { spawnSync } from 'node:child_process';

const steps: [string, string, string[]][] = [
  ['types, lint, direction and docs', 'node', ['scripts/check.ts']],
  // Vitest's own choice leaves one core idle, which on a machine of two is half of it.
  ['fast tests', 'vitest', ['run', '--project', 'fast', '--maxWorkers', '100%']],
  ['held, quiet and slow tests', 'vitest', ['run', '--project', 'held', '--project', 'quiet', '--project', 'slow']],
];

for (const [title, command, args] of steps) {
  console.log(`\n== ${title}`);
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`\n${title}: failed`);
    process.exit(status ?? 1);
  }
}
