import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { CompleteCommand } from '../contract/line/complete.ts';
import { systemClock } from '../kernel/clock.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import { CompleteRuns, type CompleteRunsOptions } from './complete-runs.ts';
import { Forks } from './forks.ts';
import { isAlive } from './process-identity.ts';

const command: CompleteCommand = { spoolDir: '/spool/x/2', earlierDirs: ['/spool/x/1'] };
const forks = new Forks({ clock: systemClock, log: { debug() {}, info() {}, warn() {}, error() {} }, env: {} });
afterAll(() => forks.close());
const open: CompleteRuns[] = [];
afterEach(() => Promise.all(open.splice(0).map((runs) => runs.close())));

function make(mode: string, options: Partial<CompleteRunsOptions> = {}) {
  const files: unknown[] = [];
  const line = () => {};
  const runs = new CompleteRuns({
    clock: systemClock,
    log: { debug: line, warn: line, error: line, info: (details) => void files.push(details) },
    forks,
    entry: join(import.meta.dirname, '../../test/support/fake-completer.ts'),
    args: [mode],
    env: {},
    parallel: 1,
    timeoutMs: 60_000,
    ...options,
  });
  open.push(runs);
  const begun: ProcessIdentity[] = [];
  const off = new AbortController();
  const run = () => runs.run(command, { signal: off.signal, onProcess: (found) => void begun.push(found) });
  return { run, runs, files, begun, off };
}
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => systemClock.after(5, resolve));
}

test('the work goes in by standard input, and what was made is told', async () => {
  const { run, files } = make('echo');
  await run();
  expect(files).toEqual([{ spoolDir: '/spool/x/2', files: [JSON.stringify(command)] }]);
});

test('a failure is told in the words of its process', async () => {
  await expect(make('fail').run()).rejects.toMatchObject({ code: 'complete-failed', message: 'no space left' });
});

test('a disk without room is told apart from other failures', async () => {
  const fault = { code: 'spool-full', message: 'no space left', retryable: true };
  await expect(make('full').run()).rejects.toMatchObject(fault);
});

test('one waits for the other, and one that is called off in the queue never begins', async () => {
  const first = make('hang');
  const running = first.run();
  await until(() => first.begun.length === 1);
  const off = new AbortController();
  const queued = first.runs.run(command, { signal: off.signal, onProcess: (found) => void first.begun.push(found) });
  off.abort(new Error('not wanted any more'));
  await expect(queued).rejects.toThrow('not wanted any more');
  expect(first.begun).toHaveLength(1);

  const third = first.run();
  first.off.abort(new Error('the server shuts down'));
  const ends = await Promise.allSettled([running, third]);
  expect(ends.map((end) => end.status === 'rejected' && String(end.reason))).toEqual(
    Array(2).fill('Error: the server shuts down'),
  );
  expect(isAlive(first.begun[0]!)).toBe(false);
});

test('one that takes too long is ended by force, and the next has its turn', async () => {
  const { run, begun } = make('hang', { timeoutMs: 300 });
  const [first, second] = [run(), run()];
  const ends = await Promise.allSettled([first, second]);
  expect(ends.map((end) => end.status === 'rejected' && (end.reason as Error).message)).toEqual(
    Array(2).fill('it took longer than 0.3 s'),
  );
  expect(begun.map((found) => isAlive(found))).toEqual([false, false]);
});

test('one that somebody else ends may be tried again; one that fails may not', async () => {
  const killed = make('hang');
  const running = killed.run();
  await until(() => killed.begun.length === 1);
  process.kill(killed.begun[0]!.pid, 'SIGKILL');
  await expect(running).rejects.toMatchObject({ message: 'its process was ended by SIGKILL', retryable: true });
  await expect(make('fail').run()).rejects.toMatchObject({ code: 'complete-failed', retryable: false });
});
