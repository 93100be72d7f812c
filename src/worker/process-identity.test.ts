import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { identityOf, isAlive, killGroup } from './process-identity.ts';

test('a process is known by its number, its beginning and the start of the machine', async () => {
  const child = spawn('sleep', ['60'], { detached: true });
  const identity = identityOf(child.pid!);
  expect(identity).toMatchObject({ pid: child.pid, startTicks: expect.any(Number), bootId: expect.any(String) });
  expect(identity).toEqual(identityOf(child.pid!));
  expect(isAlive(identity!)).toBe(true);

  const another = { ...identity!, startTicks: identity!.startTicks! - 1 };
  const before = { ...identity!, bootId: 'another start of the machine' };
  for (const stranger of [another, before, { ...identity!, startTicks: undefined }]) killGroup(stranger);
  expect([another, before].map(isAlive)).toEqual([false, false]);
  expect(child.exitCode ?? child.signalCode).toBeNull();

  const exited = once(child, 'exit');
  killGroup(identity!);
  expect(await exited).toEqual([null, 'SIGKILL']);
  expect(isAlive(identity!)).toBe(false);
  expect(identityOf(child.pid!)).toBeUndefined();
});

test('a group goes with its leader, children and all', async () => {
  const child = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = await once(child.stdout!, 'data');
  const grandchild = identityOf(Number(String(line)));
  expect(grandchild).toBeDefined();
  killGroup(identityOf(child.pid!)!);
  await expect.poll(() => isAlive(grandchild!)).toBe(false);
});
