/** Which priority a process has, and its session, once it has given way. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const GIVES_WAY = `import { giveWay } from '${join(import.meta.dirname, 'priority.ts')}'; giveWay(7);`;
/** Niceness of the process itself, then that of its session where Linux has one for sessions. */
const SAID = 'cut -d " " -f 19 /proc/self/stat; sed "s/.* nice //" /proc/self/autogroup';

/** What is said by a program that leads a session of its own, each line a number. */
function saidBy(file: string, ...args: string[]): number[] {
  const { stdout, stderr, error } = spawnSync('setsid', ['--wait', file, ...args], { encoding: 'utf8' });
  if (error || stderr) throw error ?? new Error(stderr);
  return stdout.trim().split('\n').map(Number);
}

test.runIf(existsSync('/proc/self/autogroup'))('a process that leads its session lowers both', () => {
  const thenSays = `${GIVES_WAY} import { execFileSync } from 'node:child_process';
    execFileSync('sh', ['-c', '${SAID}'], { stdio: 'inherit' });`;
  const [before] = saidBy('sh', '-c', SAID) as [number];
  expect(saidBy(process.execPath, '--input-type=module', '-e', thenSays)).toEqual([before + 7, before + 7]);
});

test.runIf(existsSync('/proc/self/autogroup'))('one of somebody else’s session lowers itself alone', () => {
  const before = saidBy('sh', '-c', SAID);
  expect(saidBy('sh', '-c', `"$1" --input-type=module -e "$2"; ${SAID}`, 'sh', process.execPath, GIVES_WAY)).toEqual(
    before,
  );
});
