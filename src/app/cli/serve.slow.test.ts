import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { freeTcpPort, freeUdpPort } from '../../../test/support/server-process.ts';
import { LOCK_NAME } from '../data-dir-lock.ts';

/** Begins to start a server on a new data folder. */
async function begin(flags: string[] = [], env: Record<string, string> = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'aircheck-serve-'));
  const server = spawn(process.execPath, [...flags, join(import.meta.dirname, 'main.ts'), 'serve'], {
    env: {
      ...process.env,
      AIRCHECK_DATA_DIR: dataDir,
      AIRCHECK_PORT: String(await freeTcpPort()),
      AIRCHECK_RTC_PORT: String(await freeUdpPort()),
      AIRCHECK_WARM_RECORDERS: '0',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => {
    server.kill('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  });
  return { server, dataDir };
}

/** The same; resolves with it once it runs, when it prints its address. */
async function started(...how: Parameters<typeof begin>) {
  const { server } = await begin(...how);
  await once(createInterface({ input: server.stdout }), 'line');
  return server;
}

test('a server that is told to end while it starts ends in order', { timeout: 60_000 }, async () => {
  const { server, dataDir } = await begin();
  const ended = once(server, 'exit');
  // It has its data folder, and opens the database.
  await expect.poll(() => existsSync(join(dataDir, LOCK_NAME)), { timeout: 30_000, interval: 5 }).toBe(true);
  server.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

test('a server whose terminal is closed ends in order', { timeout: 60_000 }, async () => {
  const server = await started();
  const ended = once(server, 'exit');
  server.kill('SIGHUP');
  expect(await ended).toEqual([0, null]);
});

test('a server whose words nobody reads any more ends in order', { timeout: 60_000 }, async () => {
  const server = await started();
  const ended = once(server, 'exit');
  for (const stream of [server.stdout, server.stderr]) stream.destroy();
  server.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});

test('a server that is killed leaves compiled code to the next one', { timeout: 60_000 }, async () => {
  const compiled = mkdtempSync(join(tmpdir(), 'aircheck-compiled-'));
  onTestFinished(() => rmSync(compiled, { recursive: true, force: true }));
  // By this flag it is the small process already, which has its code where it was told.
  const server = await started(['--max-semi-space-size=2'], { NODE_COMPILE_CACHE: compiled });
  const ended = once(server, 'exit');
  server.kill('SIGKILL');
  await ended;
  const files = readdirSync(compiled, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  // One for each module of the server and its libraries.
  expect(files.length).toBeGreaterThan(300);
});
