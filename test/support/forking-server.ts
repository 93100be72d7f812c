/**
 * A server that has a recorder at work which started a process itself, and a process that works on what it was told on
 * standard input, for tests of what is left when it is killed. Prints the pids of the process that forks, of the
 * recorder, of what it started, and of the process that works.
 */
import { join } from 'node:path';
import { systemClock } from '../../src/kernel/clock.ts';
import { Forks } from '../../src/worker/forks.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const forks = new Forks({ clock: systemClock, log, env: { ...process.env } });
const spec = { entry: join(import.meta.dirname, 'fake-recorder.ts'), flags: [], env: { ...process.env } };
const worker = forks.start({ ...spec, args: ['works'], input: '{}' }, { onLine: () => {}, onClosed: () => {} });
const recorder = forks.start(
  { ...spec, args: ['parent'] },
  {
    onMessage: (message) => {
      const { type, what } = message as { type: string; what?: string };
      if (type === 'ready') recorder.send({ type: 'start', generation: 1 });
      if (type === 'degraded')
        process.stdout.write(`${forks.pid} ${recorder.identity?.pid} ${what} ${worker.identity?.pid}\n`);
    },
    onLine: () => {},
    onClosed: () => {},
  },
);
