/**
 * Programs that a page is shown and heard with end with the process that started them, even where that is killed before
 * anything used them.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { processesNaming } from '../../../../test/support/processes.ts';
import { until } from '../../../../test/support/test-server.ts';

const STARTER = join(import.meta.dirname, '../../../../test/support/page-programs-process.ts');

test('a screen and a speaker that nobody used yet end with who started them, and leave no socket', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-programs-'));
  const starter = fork(STARTER, [dir]);
  try {
    const [sockets] = (await once(starter, 'message')) as [string[]];
    expect(processesNaming(dir).map(({ args }) => args[0]?.split('/').at(-1))).toEqual(
      expect.arrayContaining(['Xvfb', 'pulseaudio']),
    );
    starter.kill('SIGKILL');
    await until('nothing of it runs', () => processesNaming(dir).length === 0, 3_000);
    expect(existsSync(sockets[0]!)).toBe(false);
  } finally {
    starter.kill('SIGKILL');
    rmSync(dir, { recursive: true });
  }
});
