/**
 * `aircheck publish` whose server goes away under it, as when a newcomer ends the server in the other terminal, or
 * stands still; and whose camera hangs.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { TestServer } from '../support/test-server.ts';

const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts');
const CAMERA = join(import.meta.dirname, '../support/camera-process.ts');
const TEST_PICTURE = ['publish', 'test', '--channel', 'room', '--size', '160x90', '--fps', '10', '--for', '60'];
const credentials = {
  ...{ AIRCHECK_APP_ID: 'a'.repeat(32), AIRCHECK_APP_CERTIFICATE: 'b'.repeat(32) },
  ...{ AIRCHECK_CUSTOMER_ID: 'customer', AIRCHECK_CUSTOMER_SECRET: 'a secret' },
};

let folder: string;
let server: TestServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-publish-lost-'));
  server = new TestServer(join(folder, 'data'), credentials);
  await server.start();
}, 90_000);
afterAll(async () => {
  await server?.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

/** Resolves once it publishes. */
async function publishing(...words: string[]) {
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_'));
  const place = { AIRCHECK_DATA_DIR: server.dataDir, AIRCHECK_PORT: new URL(server.baseUrl).port };
  const publisher = spawn(process.execPath, words, {
    env: { ...Object.fromEntries(clean), ...credentials, ...place },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void publisher.kill('SIGKILL'));
  const told = { said: '', printed: '' };
  publisher.stderr.setEncoding('utf8').on('data', (text) => {
    told.said += text;
  });
  publisher.stdout.setEncoding('utf8').on('data', (text) => {
    told.printed += text;
  });
  const gone = once(publisher, 'exit');
  await vi.waitFor(() => expect(told.said).toContain('publishes in room'), { timeout: 30_000, interval: 50 });
  return { publisher, gone, told };
}

test('Ctrl-C ends it in order while its camera hangs in the kernel', async () => {
  const pipe = join(folder, 'camera');
  execFileSync('mkfifo', [pipe]);
  // Held open: whoever reads it waits when it is empty.
  const held = openSync(pipe, 'r+');
  onTestFinished(() => closeSync(held));
  const [width, height] = [32, 32];
  const picture = Buffer.concat([Buffer.from('FRAME\n'), Buffer.alloc((width * height * 3) / 2, 100)]);
  writeSync(held, `YUV4MPEG2 W${width} H${height} F10:1 Ip A1:1 C420jpeg\n`);
  for (let n = 0; n < 30; n++) writeSync(held, picture);
  const words = { channel: 'room', uid: '1', size: '160x90', fps: '10', bitrate: '100', json: true };
  const { publisher, gone, told } = await publishing(CAMERA, JSON.stringify(words), pipe);
  publisher.kill('SIGINT');
  expect(await gone).toEqual([0, null]);
  expect(JSON.parse(told.printed)).toMatchObject({ uid: '1', camera: pipe, sound: null });
  expect(await server.participants('room')).toEqual([]);
}, 60_000);

test('Ctrl-C ends it although its server stands still and cannot be told', async () => {
  const { publisher, gone, told } = await publishing(MAIN, ...TEST_PICTURE);
  const { pid } = server.running;
  process.kill(pid, 'SIGSTOP');
  onTestFinished(() => void process.kill(pid, 'SIGCONT'));
  publisher.kill('SIGINT');
  expect(await gone).toEqual([1, null]);
  expect(told.said).toContain('did not let go within 5 s; it is ended without that');
}, 60_000);

test('it ends with words that say where it could not publish, and shows no stack', async () => {
  const { gone, told } = await publishing(MAIN, ...TEST_PICTURE, '--uid', '3');
  await server.kill();
  expect([await gone, told.said]).toEqual([[1, null], expect.stringContaining('cannot publish to http://127.0.0.1')]);
  expect(told.said).not.toMatch(/^ {4}at /m);
}, 90_000);
