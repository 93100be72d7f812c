/**
 * A recorder process that misbehaves as its first argument says, for tests of the supervisor.
 */
import { spawn } from 'node:child_process';

const mode = process.argv[2];
let generation = 0;
const send = (fact: object) => process.send?.({ atMs: 0, generation, ...fact });
const ended = { type: 'ended', reason: 'stopped', recorded: true, message: '' };

process.on('disconnect', () => process.exit(0));
process.on('message', (command: { type: string; n?: number; atMonoUs?: number; generation: number }) => {
  if (command.type === 'start') {
    generation = command.generation;
    send({ type: 'joined' });
    if (mode === 'crash') process.kill(process.pid, 'SIGSEGV');
    if (mode === 'fail') {
      process.stderr.write('something broke\n');
      process.exit(70);
    }
    if (mode === 'nonsense') {
      process.send?.({ type: 'ended', reason: 'tired' });
      process.send?.('what');
      send({ type: 'degraded', what: 'still here', count: 1 });
    }
    // What it starts says its number, and would outlive it.
    if (mode === 'parent') {
      const child = spawn('sleep', ['60'], { stdio: 'ignore' });
      send({ type: 'degraded', what: String(child.pid), count: 1 });
    }
    // A loop that answers nothing, as a hanging library would.
    if (mode === 'hang') for (;;);
  }
  if (command.type.startsWith('change'))
    send({ type: 'degraded', what: `${command.type} at ${command.atMonoUs}`, count: 1 });
  if (command.type === 'ping') send({ type: 'pong', n: command.n, rssBytes: 1000, cpuUs: 5, lagUs: 0 });
  if (command.type === 'stop' && mode !== 'deaf') {
    send({ type: 'degraded', what: `stopped at ${command.atMonoUs}`, count: 1 });
    process.send?.({ atMs: 0, generation, ...ended }, undefined, undefined, () => process.exit(0));
  }
});
if (mode === 'deaf') process.on('SIGTERM', () => {});
if (mode !== 'silent') send({ type: 'ready' });
