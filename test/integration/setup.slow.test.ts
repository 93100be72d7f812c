/** The setup behind every `npm` command (scripts/setup.sh), with an npm that installs nothing and says when it runs. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { childrenOf } from '../support/processes.ts';
import { SmallCheckout } from '../support/small-checkout.ts';
import { until } from '../support/test-server.ts';

const SETUP = 'scripts/setup.sh';

test('of two at once in a clone that has nothing one installs, and the other waits for it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-setup-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const { root } = new SmallCheckout(join(dir, 'clone'));
  cpSync(join(import.meta.dirname, '../..', SETUP), join(root, SETUP));
  mkdirSync(join(root, 'node_modules/.bin'));
  symlinkSync(process.execPath, join(root, 'node_modules/.bin/node'));
  const [log, go] = [join(dir, 'log'), join(dir, 'go')];
  execFileSync('mkfifo', [go]);
  const npm = join(dir, 'npm');
  writeFileSync(npm, `#!/bin/sh\necho begun >>"${log}"\ncat "${go}"\necho over >>"${log}"\n`);
  chmodSync(npm, 0o755);
  const heard = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  const setUp = () => {
    const env = { ...process.env, PATH: `${dir}:${process.env['PATH']}` };
    const setup = spawn('sh', [SETUP], { cwd: root, env, stdio: 'ignore' });
    return { setup, ended: once(setup, 'exit') };
  };
  const waits = (pid: number) => childrenOf(pid).some((child) => commandOf(child) === 'flock');

  const first = setUp();
  await until('the first installs', () => heard() === 'begun\n', 20_000);
  const second = setUp();
  await until('the second is at it', () => heard() !== 'begun\n' || waits(second.setup.pid!), 20_000);
  // Whoever reads there goes on.
  writeFileSync(go, '');
  expect(await Promise.all([first.ended, second.ended])).toEqual([
    [0, null],
    [0, null],
  ]);
  expect(heard()).toBe('begun\nover\n');
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return ''; // ended meanwhile
  }
}
