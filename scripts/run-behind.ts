/**
 * Runs a command that gives way to all else on this machine: `node scripts/run-behind.ts COMMAND [WORDS]`. Where Linux
 * shares out the CPU among sessions, whoever starts this gives it a session of its own (`detached`).
 */
import { spawn } from 'node:child_process';
import { giveWay, NICENESS } from '../src/kernel/priority.ts';

giveWay(NICENESS.afterwards);
const [command = '', ...words] = process.argv.slice(2);
spawn(command, words, { stdio: 'inherit' }).on('close', (status) => {
  process.exitCode = status ?? 1;
});
