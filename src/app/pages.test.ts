import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { PageGuard } from '../contract/line/commands.ts';
import { newHexId } from '../kernel/ids.ts';
import { findPrograms } from '../stages/source/page/programs.ts';
import { setUserRules, userOf } from '../stages/source/page/user-rules.ts';
import { Pages, pageUser, probeGuard } from './pages.ts';

let dataDir: string;
let folder: string;
const PAGE = { url: 'https://a.test/', mobile: false, readyTimeoutMs: 0 };
const log = { info: () => {}, warn: () => {} };
const limits = { memoryBytes: 2e9, processes: 1000, cores: 2 };
const networks = ['loopback', '10.1.0.0/16'];
const open = (user = 'nobody', guard: PageGuard = 'namespace') =>
  Pages.open({ dataDir, folder, networks, guard, user, limits, log });
const rootOf = () => join(tmpdir(), `aircheck-pages-${folder.slice(0, 16)}`);
/** The number of a process that has ended. */
async function endedPid(): Promise<number> {
  const child = spawn('/bin/true');
  await once(child, 'exit');
  return child.pid!;
}

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'aircheck-pages-test-'));
  folder = newHexId();
});
afterEach(() => {
  for (const path of [dataDir, rootOf()]) rmSync(path, { recursive: true, force: true });
});

test('programs that are missing are named with their packages', () => {
  const nowhere = [dataDir];
  expect(() => findPrograms(nowhere)).toThrow(
    'chromium, Xvfb, pulseaudio, parec, bwrap, socat, setpriv: apt-get install --no-install-recommends chromium xvfb',
  );
});

test('what runs left whose processes have ended is removed, and nothing else', async ({ skip }) => {
  const pages = await open();
  skip(pages.refusal !== undefined, pages.refusal);
  const left = join(rootOf(), `${await endedPid()}-1`);
  mkdirSync(join(left, 'home'), { recursive: true });
  writeFileSync(join(left, 'home', 'cookies'), 'secret');
  const atWork = `${process.pid}-2`;
  mkdirSync(join(rootOf(), atWork));
  pages.sweep();
  expect(readdirSync(rootOf())).toEqual([atWork]);
});

test('a display that a killed X server left is free again; one that is in use stays', async ({ skip }) => {
  const pages = await open();
  skip(pages.refusal !== undefined, pages.refusal);
  for (const [number, holder, stays] of [
    [98_761, await endedPid(), false],
    [98_762, process.pid, true],
  ] as const) {
    const lock = `/tmp/.X${number}-lock`;
    const left = join(rootOf(), `${await endedPid()}-1`);
    mkdirSync(left);
    writeFileSync(join(left, 'display'), String(number));
    writeFileSync(lock, `${String(holder).padStart(10)}\n`);
    try {
      pages.sweep();
      expect(existsSync(lock)).toBe(stays);
      expect(existsSync(left)).toBe(false);
    } finally {
      rmSync(lock, { force: true });
    }
  }
});

test('a folder that was cleared away is there again for the next page', async ({ skip }) => {
  const pages = await open();
  skip(pages.refusal !== undefined, pages.refusal);
  rmSync(rootOf(), { recursive: true });
  pages.sweep();
  pages.sourceOf(PAGE);
  expect(statSync(rootOf()).mode & 0o777).toBe(0o711);
});

test('a page is handed what it may reach, and not the folders of the server', async ({ skip }) => {
  const pages = await open();
  skip(pages.refusal !== undefined, pages.refusal);
  expect(pages.sourceOf(PAGE)).toMatchObject({
    ...{ kind: 'page', url: 'https://a.test/', root: rootOf(), hidden: [dataDir] },
    networks: ['127.0.0.0/8', '::1/128', '10.1.0.0/16'],
    ...{ guard: 'namespace', sandboxed: true },
  });
});

test.runIf(process.getuid?.() === 0)('a user who is root, or nobody at all, is a refusal', async () => {
  for (const user of ['root', 'no such user']) {
    const pages = await open(user);
    expect(pages.refusal).toContain(`pageUser ${user} is no user without rights`);
    expect(() => pages.sourceOf(PAGE)).toThrow('pageUser');
  }
});

test('a guard that cannot be had is a refusal, which says where others are named', async ({ skip }) => {
  const pages = await open();
  skip(pages.refusal !== undefined, pages.refusal);
  const programs = { ...findPrograms(), bwrap: '/bin/false', chromium: '/bin/false' };
  const user = pageUser('nobody');
  for (const guard of ['namespace', 'user'] as const)
    await expect(probeGuard(guard, programs, user)).rejects.toThrow(
      /page(s cannot be kept.*pageGuard|Guard user needs)/,
    );
  // A browser that does not come up with its sandbox is started without.
  expect(await probeGuard('trust-the-browser', programs, user)).toBe(false);
  expect((await open('nobody', 'trust-the-browser')).sourceOf(PAGE)).toMatchObject({ guard: 'trust-the-browser' });
});

test('the rules of a recorder that was killed go with its folder', async ({ skip }) => {
  const pages = await open('nobody', 'user');
  skip(pages.refusal !== undefined, pages.refusal);
  const pid = await endedPid();
  const { uid } = userOf(pid);
  mkdirSync(join(rootOf(), `${pid}-1`));
  await setUserRules({ uid, proxyPort: 1, networks: ['10.1.2.3/16', '127.0.0.0/8', '127.0.0.1', '::1/128'] });
  const tables = () => execFileSync('/usr/sbin/nft', ['list', 'tables'], { encoding: 'utf8' });
  expect(tables()).toContain(`aircheck_page_${uid}`);
  pages.sweep();
  await vi.waitFor(() => expect(tables()).not.toContain(`aircheck_page_${uid}`), { timeout: 5_000 });
});
