/**
 * `npm test`: all that CI runs, in the order that fails soonest. `npm run test:slow` (`test.ts slow`): all but the
 * checks and the fast tests.
 *
 * What needs the CPU runs beside what waits: fast tests beside the quiet ones, and held tests behind the slow ones,
 * which leave half of two cores idle. Of two that run at once one is heard as it goes on, and the other at its end.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';

type Part = { title: string; command: string; words: string[]; behind?: true };

const tests = (project: string, ...words: string[]): Part => ({
  title: `${project} tests`,
  command: 'vitest',
  words: ['run', '--project', project, ...words],
});
const check: Part = { title: 'types, lint, direction and docs', command: 'node', words: ['scripts/check.ts'] };
// Vitest's own choice leaves one core idle, which on a machine of two is half of it.
const fast = tests('fast', '--maxWorkers', '100%');
const quiet = tests('quiet');
const slow: Part[] = [tests('slow'), { ...tests('held'), behind: true }];

const steps = process.argv[2] === 'slow' ? [[quiet], slow] : [[check], [fast, quiet], slow];

for (const parts of steps) {
  console.log(`\n== ${parts.map(({ title }) => title).join(', and ')}`);
  const failed = await runAtOnce(parts);
  if (failed.length === 0) continue;
  for (const title of failed) console.error(`\n${title}: failed`);
  process.exit(1);
}

/** Resolves to the titles of those that failed. The first is heard as it goes on, the others once all have ended. */
async function runAtOnce(parts: readonly Part[]): Promise<string[]> {
  const running = parts.map((part, n) => start(part, n > 0));
  const endAll = () => {
    for (const { end } of running) end();
  };
  // A session of its own hears nothing of a Ctrl-C.
  const onSignal = () => process.exit(1);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  process.on('exit', endAll);
  const ended = await Promise.all(
    running.map(async ({ part, status, said }, n) => {
      const hasFailed = (await status) !== 0;
      if (hasFailed && n > 0) console.error(`\n${part.title}: failed; what they say comes once all are through`);
      return { part, said, hasFailed };
    }),
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, onSignal);
  process.off('exit', endAll);
  // Whoever reads the end of the output finds there what has failed.
  const heardLate = ended.slice(1).toSorted((a, b) => Number(a.hasFailed) - Number(b.hasFailed));
  for (const { part, said, hasFailed } of heardLate) {
    if (!hasFailed && ended[0]!.hasFailed) continue;
    console.log(`\n== ${part.title}`);
    for (const chunk of said) process.stdout.write(chunk);
  }
  return ended.flatMap(({ part, hasFailed }) => (hasFailed ? [part.title] : []));
}

/** @param isHeardLate keeps what it says */
function start(part: Part, isHeardLate: boolean) {
  const { command, words, behind = false } = part;
  const child: ChildProcess = spawn(
    behind ? process.execPath : command,
    behind ? [join(import.meta.dirname, 'run-behind.ts'), command, ...words] : words,
    { detached: behind, stdio: isHeardLate ? ['ignore', 'pipe', 'pipe'] : 'inherit' },
  );
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => said.push(chunk));
  const status = new Promise<number>((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve(code ?? 1));
  });
  const end = () => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(behind ? -child.pid : child.pid);
  };
  return { part, status, said, end };
}
