/**
 * A recorder process that misbehaves as its first argument says, for tests of the supervisor.
 */
import { spawn } from 'node:child_process';

type Address = { sid: string; generation: number };
type Command = Address & {
  type: string;
  n?: number;
  atMonoUs?: number;
  why?: string;
  plan?: { sid: string };
  shared?: true;
};

const mode = process.argv[2];
const send = (fact: object, of: Partial<Address> = {}, then?: () => void) =>
  process.send?.({ atMs: 0, generation: 0, ...of, ...fact }, undefined, undefined, () => then?.());
let isShared = false;

function end(of: Address, reason: string, message: string): void {
  const then = isShared ? undefined : () => process.exit(0);
  send({ type: 'ended', reason, recorded: true, message }, of, then);
}

function start(of: Address): void {
  send({ type: 'joined' }, of);
  if (mode === 'crash') process.kill(process.pid, 'SIGSEGV');
  if (mode === 'fail') {
    process.stderr.write('something broke\n');
    process.exit(70);
  }
  if (mode === 'nonsense') {
    process.send?.({ type: 'ended', reason: 'tired' });
    process.send?.('what');
    send({ type: 'degraded', what: 'still here', count: 1 }, of);
  }
  // What it starts says its number, and would outlive it.
  if (mode === 'parent') {
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    send({ type: 'degraded', what: String(child.pid), count: 1 }, of);
  }
  // A loop that answers nothing, as a hanging library would.
  if (mode === 'hang') for (;;);
}

process.on('disconnect', () => process.exit(0));
process.on('message', (command: Command) => {
  const { type, generation } = command;
  const of = { sid: command.plan?.sid ?? command.sid, generation };
  if (type === 'start') {
    isShared = command.shared === true;
    start(of);
  }
  if (type.startsWith('change')) send({ type: 'degraded', what: `${type} at ${command.atMonoUs}`, count: 1 }, of);
  if (type === 'ping') send({ type: 'pong', n: command.n, rssBytes: 1000, cpuUs: 5, lagUs: 0 }, of);
  if (type === 'stop' && mode !== 'deaf' && mode !== 'deafer') {
    send({ type: 'degraded', what: `stopped at ${command.atMonoUs}`, count: 1 }, of);
    end(of, 'stopped', '');
  }
  if (type === 'abort' && mode !== 'deafer') end(of, 'failed', command.why ?? '');
});
// No recorder, but a process that has no channel, and is at work for long.
if (mode === 'works') setInterval(() => {}, 60_000);
if (mode?.startsWith('deaf')) process.on('SIGTERM', () => {});
if (mode !== 'silent') send({ type: 'ready' });
