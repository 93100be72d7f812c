/**
 * The npm package as it is packed: plain JavaScript under node_modules, where Node strips no types. Its libraries are
 * those of this repository; that it names all that it needs is checked by what it imports.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
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
  const isSource = (file: string) => file.endsWith('.ts') && !file.endsWith('.d.ts');
  expect(files.filter((file) => isSource(file) || file.includes('.test.'))).toEqual([]);
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

test('its client is typed by the schemas of the server, and loads', () => {
  // What stands under @ts-expect-error must be an error: types that were not found would take anything.
  writeFileSync(
    join(dir, 'consumer.mts'),
    `import { AircheckClient, type Notice, readWebhook } from 'aircheck/client';
const client = new AircheckClient({ url: 'http://127.0.0.1:1', appId: 'a', customerId: 'b', customerSecret: 'c' });
export async function use(body: string): Promise<string[]> {
  const clientRequest = { storageConfig: { vendor: 1000, bucket: 'b' } } as const;
  const recording = await client.record('mix', { cname: 'a', uid: '1', clientRequest });
  // @ts-expect-error no such vendor
  await client.record('mix', { cname: 'a', uid: '1', clientRequest: { storageConfig: { vendor: 9, bucket: 'b' } } });
  // @ts-expect-error a uid is text
  await client.acquire({ cname: 'a', uid: 1 });
  const notice: Notice = await readWebhook({ body, signature: '', secret: 's' });
  // @ts-expect-error of this type of event there are no files
  if (notice.eventType === 11) return notice.payload.details.fileList;
  if (notice.eventType === 31) return (notice.payload.details.fileList ?? []).map(({ fileName }) => fileName);
  const { files, quality } = await client.finish(recording);
  return [...files.map(({ fileName }) => fileName), ...(quality?.participants.map(({ uid }) => uid) ?? [])];
}
`,
  );
  const strict = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--target',
    'es2022',
    '--module',
    'nodenext',
    '--types',
    '',
  ];
  const tsc = join(ROOT, 'node_modules/.bin/tsc');
  execFileSync(tsc, [...strict, '--lib', 'es2022,dom', join(dir, 'consumer.mts')], { cwd: dir, stdio: 'inherit' });
  const script = "import('aircheck/client').then((all) => console.log(Object.keys(all).sort().join()))";
  expect(execFileSync(process.execPath, ['-e', script], { cwd: dir, encoding: 'utf8' }).trim()).toBe(
    'AircheckClient,AircheckError,readWebhook',
  );
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
