import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../config/load.ts';
import { greeting } from './cli/greeting.ts';
import { completeCredentials, makeDataDir } from './credentials.ts';
import { LOCK_NAME, lockDataDir } from './data-dir-lock.ts';

const folder = () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-data-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};
const configOf = (cwd: string, env: Record<string, string> = {}) => loadConfig({ env, cwd });
const hex = expect.stringMatching(/^[0-9a-f]{32}$/);

/** What a server that was killed leaves: a socket that nobody listens on. */
async function leaveStaleLock(dir: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(dir, 'other'), resolve));
  linkSync(join(dir, 'other'), join(dir, LOCK_NAME));
  await new Promise((resolve) => server.close(resolve));
}

test('a data folder takes one server, names the one that has it, and is free after it', async () => {
  const dir = folder();
  const lock = await lockDataDir(dir);
  await expect(lockDataDir(dir)).rejects.toThrow(new RegExp(`process ${process.pid}.*${dir}.*AIRCHECK_DATA_DIR`));
  await lock.release();
  const again = await lockDataDir(dir);
  await again.release();
  expect(readdirSync(dir)).toEqual([]);
});

test('a lock left by a crash is taken over at once, by one server only', async () => {
  const dir = folder();
  await leaveStaleLock(dir);
  const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDir(dir)));
  const locks = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
  expect(locks).toHaveLength(1);
  expect(readdirSync(dir)).toEqual([LOCK_NAME]);
  await locks[0]?.release();
});

test('a folder whose path is too long for a socket is guarded as well', async () => {
  const dir = join(folder(), 'x'.repeat(80), 'y'.repeat(80));
  mkdirSync(dir, { recursive: true });
  const lock = await lockDataDir(dir);
  await expect(lockDataDir(dir)).rejects.toMatchObject({ code: 'data-dir-taken' });
  await lock.release();
  await leaveStaleLockIn(dir);
  const again = await lockDataDir(dir);
  await again.release();
});

test('a folder that nothing can be put into is refused in words', async () => {
  // Whoever may do everything may not write there either.
  await expect(lockDataDir('/proc/self')).rejects.toMatchObject({
    code: 'data-dir-unusable',
    message: expect.stringMatching(/\/proc\/self cannot be used: this user may not write there.*AIRCHECK_DATA_DIR/),
  });
});

async function leaveStaleLockIn(dir: string): Promise<void> {
  const short = folder();
  await leaveStaleLock(short);
  linkSync(join(short, LOCK_NAME), join(dir, LOCK_NAME));
}

test('the first start makes credentials for this user only, later ones read them', () => {
  const cwd = folder();
  const config = configOf(cwd);
  makeDataDir(config.dataDir);
  const first = completeCredentials(config);
  expect(first.made).toBe(true);
  expect(first.config.apps).toEqual([{ appid: hex, certificate: hex, recording: true, notifications: undefined }]);
  expect(first.config.customers).toEqual([{ id: hex, secret: hex, apps: undefined }]);
  expect(statSync(config.dataDir).mode & 0o777).toBe(0o700);
  expect(statSync(join(config.dataDir, 'credentials.json')).mode & 0o777).toBe(0o600);
  expect(completeCredentials(configOf(cwd))).toEqual({ ...first, made: false });
});

test('only what is not configured is made', () => {
  const cwd = folder();
  const config = configOf(cwd, { AIRCHECK_APP_ID: 'a'.repeat(32) });
  makeDataDir(config.dataDir);
  const { config: completed } = completeCredentials(config);
  expect(completed.apps).toEqual([
    { appid: 'a'.repeat(32), certificate: undefined, recording: true, notifications: undefined },
  ]);
  expect(Object.keys(JSON.parse(readFileSync(join(config.dataDir, 'credentials.json'), 'utf8')))).toEqual([
    'customerId',
    'customerSecret',
  ]);
});

test('a damaged file is refused rather than replaced', () => {
  const config = configOf(folder());
  makeDataDir(config.dataDir);
  writeFileSync(join(config.dataDir, 'credentials.json'), '{"appId": 7');
  expect(() => completeCredentials(config)).toThrow(/credentials\.json is damaged/);
});

test('a command that only reads makes none', () => {
  const config = configOf(folder());
  expect(() => completeCredentials(config, { make: false })).toThrow(/run aircheck serve once/);
});

test('secrets are said once, with a call to try', () => {
  const config = configOf(folder());
  makeDataDir(config.dataDir);
  const { config: completed, made } = completeCredentials(config);
  const url = 'http://127.0.0.1:7300';
  const first = greeting({ url, config: completed, madeCredentials: made });
  const [customer] = completed.customers;
  expect(first).toContain(`curl -u ${customer?.id}:${customer?.secret}`);
  expect(first).toContain(`${url}/v1/apps/${completed.apps[0]?.appid}/cloud_recording/acquire`);
  const later = greeting({ url, config: completed, madeCredentials: false });
  expect(later).toContain(`${url}/publish`);
  expect(later).toContain(join(config.dataDir, 'credentials.json'));
  expect(later).not.toContain(customer?.secret);
  expect(later).not.toContain(completed.apps[0]?.certificate);
});
