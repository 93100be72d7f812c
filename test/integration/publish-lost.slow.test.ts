/** `aircheck publish` whose server goes away under it, as when a newcomer ends the server in the other terminal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { TestServer } from '../support/test-server.ts';

const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts');

test('it ends with words that say where it could not publish, and shows no stack', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-publish-lost-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const credentials = {
    ...{ AIRCHECK_APP_ID: 'a'.repeat(32), AIRCHECK_APP_CERTIFICATE: 'b'.repeat(32) },
    ...{ AIRCHECK_CUSTOMER_ID: 'customer', AIRCHECK_CUSTOMER_SECRET: 'a secret' },
  };
  const server = new TestServer(join(folder, 'data'), credentials);
  onTestFinished(() => server.end());
  await server.start();
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_'));
  const place = { AIRCHECK_DATA_DIR: server.dataDir, AIRCHECK_PORT: new URL(server.baseUrl).port };
  const words = ['publish', 'test', '--channel', 'room', '--size', '160x90', '--fps', '10', '--for', '60'];
  const publisher = spawn(process.execPath, [MAIN, ...words], {
    env: { ...Object.fromEntries(clean), ...credentials, ...place },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => void publisher.kill('SIGKILL'));
  const gone = once(publisher, 'exit');
  let said = '';
  publisher.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  await vi.waitFor(() => expect(said).toContain('publishes in room'), { timeout: 30_000, interval: 50 });
  await server.kill();
  expect([await gone, said]).toEqual([[1, null], expect.stringContaining(`cannot publish to http://127.0.0.1`)]);
  expect(said).not.toMatch(/^ {4}at /m);
}, 90_000);
