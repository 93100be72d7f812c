import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { freeTcpPort, freeUdpPort } from '../../../test/support/server-process.ts';

test('a server whose words nobody reads any more ends in order', { timeout: 60_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'aircheck-serve-'));
  const server = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), 'serve'], {
    env: {
      ...process.env,
      AIRCHECK_DATA_DIR: dataDir,
      AIRCHECK_PORT: String(await freeTcpPort()),
      AIRCHECK_RTC_PORT: String(await freeUdpPort()),
      AIRCHECK_WARM_RECORDERS: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => {
    server.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  });
  // It prints its address once it runs.
  await once(createInterface({ input: server.stdout }), 'line');
  const ended = once(server, 'exit');
  for (const stream of [server.stdout, server.stderr]) stream.destroy();
  server.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});
