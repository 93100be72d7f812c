/**
 * The npm package as it is packed: plain JavaScript under node_modules, where Node strips no types. Its libraries are
 * those of this repository; that it names all that it needs is checked by what it imports.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freeTcpPort, freeUdpPort } from '../support/server-process.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What a file imports that is no file of ours. */
const IMPORT = /(^import '|^(?:import|export)\b[^;']* from '|\bimport\(')([^.'][^']*)'/gm;

let dir: string;
/** The package in an installation's node_modules. */
let home: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-package-'));
  // `prepack` builds it.
  execFileSync('npm', ['pack', '--silent', '--pack-destination', dir], {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [tarball] = globSync('*.tgz', { cwd: dir });
  home = join(dir, 'node_modules/aircheck');
  mkdirSync(home, { recursive: true });
  execFileSync('tar', ['-xzf', join(dir, tarball!), '-C', home, '--strip-components=1']);
  symlinkSync(join(ROOT, 'node_modules'), join(home, 'node_modules'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const env = async () => ({
  ...process.env,
  AIRCHECK_DATA_DIR: join(dir, 'data'),
  AIRCHECK_PORT: String(await freeTcpPort()),
  AIRCHECK_RTC_PORT: String(await freeUdpPort()),
});

test('it has the program, its pages and its licences, and no source or test', () => {
  const files = globSync('**/*', { cwd: home, exclude: ['node_modules'] });
  expect(files.filter((file) => file.endsWith('.ts') || file.includes('.test.'))).toEqual([]);
  for (const file of ['LICENSE', 'NOTICE', 'README.md', 'web/publish/index.html', 'bin/aircheck.js'])
    expect(existsSync(join(home, file)), file).toBe(true);
});

test('its command is that of a clone as well, where nothing is built', () => {
  const help = (root: string) => execFileSync(join(root, 'bin/aircheck.js'), ['--help'], { encoding: 'utf8' });
  expect(help(ROOT)).toBe(help(home));
});

test('it names every library that it imports', () => {
  const { dependencies } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  const imported = new Set<string>();
  for (const file of globSync('dist/**/*.js', { cwd: home }))
    for (const [, , name = ''] of readFileSync(join(home, file), 'utf8').matchAll(IMPORT))
      if (!name.startsWith('node:')) imported.add(name.split('/', name.startsWith('@') ? 2 : 1).join('/'));
  expect(imported.size).toBeGreaterThan(15);
  expect([...imported].filter((name) => !(name in dependencies))).toEqual([]);
});

test('its server serves, and ends in order', async () => {
  const settings = await env();
  const bin = join(home, 'bin/aircheck.js');
  const server = spawn(bin, ['serve'], { env: settings, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  try {
    const [said] = (await once(server.stdout, 'data')) as [Buffer];
    const url = /is at (\S+)/.exec(said.toString())?.[1];
    expect((await fetch(`${url}/publish`)).status).toBe(200);
    const healthy = execFileSync(bin, ['health'], { env: settings, encoding: 'utf8' });
    expect(JSON.parse(healthy)).toEqual({ status: 'ok', recordings: 0 });
  } finally {
    server.kill('SIGTERM');
  }
  expect(await ended).toEqual([0, null]);
});
