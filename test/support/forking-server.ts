/**
 * A server that has a recorder at work which started a process itself, for tests of what is left when it is killed.
 * Prints the pids of the process that forks, of the recorder, and of what it started.
 */
import { join } from 'node:path';
import { systemClock } from '../../src/kernel/clock.ts';
import { Forks } from '../../src/worker/forks.ts';

const log = { debug() {}, info() {}, warn() {}, error() {} };
const forks = new Forks({ clock: systemClock, log, env: { ...process.env } });
const recorder = forks.start(
  { entry: join(import.meta.dirname, 'fake-recorder.ts'), args: ['parent'], flags: [], env: { ...process.env } },
  {
    onMessage: (message) => {
      const { type, what } = message as { type: string; what?: string };
      if (type === 'ready') recorder.send({ type: 'start', generation: 1 });
      if (type === 'degraded') process.stdout.write(`${forks.pid} ${recorder.identity?.pid} ${what}\n`);
    },
    onLine: () => {},
    onClosed: () => {},
  },
);
