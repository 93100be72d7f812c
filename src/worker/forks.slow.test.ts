import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { childrenOf } from '../../test/support/processes.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import { type Fork, type ForkEnd, Forks } from './forks.ts';
import { identityOf, isAlive } from './process-identity.ts';

const open: Forks[] = [];
afterEach(() => Promise.all(open.splice(0).map((forks) => forks.close())));

function make(clock: Clock = systemClock) {
  const lines: string[] = [];
  const line = (_details: object, text: string) => void lines.push(text);
  const forks = new Forks({ clock, log: { debug: line, info: line, warn: line, error: line }, env: {} });
  open.push(forks);
  return { forks, lines };
}

/** A fake recorder, at work as the mode says. */
function begin(forks: Forks, mode: string) {
  const started = Promise.withResolvers<ProcessIdentity>();
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<ForkEnd>();
  const child: Fork = forks.start(
    { entry: join(import.meta.dirname, '../../test/support/fake-recorder.ts'), args: [mode], flags: [], env: {} },
    { onStarted: started.resolve, onMessage: () => ready.resolve(), onLine: () => {}, onClosed: ended.resolve },
  );
  return { child, started: started.promise, ready: ready.promise, ended: ended.promise };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => systemClock.after(5, resolve));
}

test('a child is no child of this process, and one that is killed before it is there ends too', async () => {
  const { forks } = make();
  const { child, started, ended } = begin(forks, 'good');
  child.kill();
  const { pid } = await started;
  expect(pid).not.toBe(forks.pid);
  expect(childrenOf(process.pid)).not.toContain(pid);
  expect(await ended).toEqual({ code: null, signal: 'SIGKILL' });
});

test('a signal that is meant for all of the server does not end the process that forks', async () => {
  const { forks } = make();
  const first = begin(forks, 'good');
  await first.ready;
  const { pid } = forks;
  process.kill(pid!, 'SIGTERM');
  process.kill(pid!, 'SIGINT');
  const second = begin(forks, 'good');
  await second.ready;
  expect(forks.pid).toBe(pid);
  for (const { child, started, ended } of [first, second]) {
    expect(isAlive(await started)).toBe(true);
    child.kill();
    await ended;
  }
});

test('a child that the system cannot start costs the others nothing', async () => {
  const { forks } = make();
  const first = begin(forks, 'good');
  await first.ready;
  const { pid } = forks;
  // More than Linux passes to a program in one argument.
  const second = begin(forks, 'x'.repeat(200_000));
  expect(await second.ended).toEqual({ lost: expect.stringContaining('E2BIG') });
  expect(forks.pid).toBe(pid);
  expect(isAlive(await first.started)).toBe(true);
  first.child.kill();
  await first.ended;
});

test('when the process that forks dies its children are ended, and the next child has another', async () => {
  const { forks } = make();
  const children = [begin(forks, 'good'), begin(forks, 'deaf')];
  await Promise.all(children.map(({ ready }) => ready));
  const before = forks.pid!;
  process.kill(before, 'SIGKILL');
  for (const { started, ended } of children) {
    expect(await ended).toEqual({ lost: 'the process that starts recorders was ended (SIGKILL)' });
    expect(isAlive(await started)).toBe(false);
  }
  const next = begin(forks, 'good');
  await next.ready;
  expect(forks.pid).not.toBe(before);
  next.child.kill();
  await next.ended;
});

test('a process that forks, and stands still, is found out by the end it does not tell', async () => {
  const clock = new ManualClock();
  const { forks, lines } = make(clock);
  const { child, ready, ended } = begin(forks, 'good');
  await ready;
  process.kill(forks.pid!, 'SIGSTOP');
  child.kill();
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  clock.advance(4_000);
  expect(lines).toEqual([]);
  clock.advance(1_000);
  await until(() => {
    clock.advance(20);
    return isOver;
  });
  expect(await ended).toEqual({ lost: 'the process that starts recorders was ended (SIGKILL)' });
  expect(lines).toContain('the process that starts recorders hangs, and is ended');
});

test('when the server is killed its children are told or ended, and nothing of them or of what they started stays', async () => {
  const server = spawn(process.execPath, [join(import.meta.dirname, '../../test/support/forking-server.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void server.kill('SIGKILL'));
  const all = await new Promise<ProcessIdentity[]>((resolve) =>
    server.stdout.once('data', (text) =>
      resolve(
        String(text)
          .trim()
          .split(' ')
          .map((pid) => identityOf(Number(pid))!),
      ),
    ),
  );
  expect(all.map(isAlive)).toEqual([true, true, true, true]);
  server.kill('SIGKILL');
  await until(() => !all.some(isAlive));
});
