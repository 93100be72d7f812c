/**
 * The npm package as it is packed: plain JavaScript under node_modules, where Node strips no types. Its libraries are
 * those of this repository; that it names all that it needs is checked by what it imports.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
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
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readMedia } from '../support/judge/read-media.ts';
import { processesNaming } from '../support/processes.ts';
import { freeTcpPort, freeUdpPort } from '../support/server-process.ts';
import { until } from '../support/test-server.ts';

const ROOT = join(import.meta.dirname, '../..');

/** What a file imports that is no file of ours. */
const IMPORT = /(^import '|^(?:import|export)\b[^;'(`]* from '|\bimport\(')([^.'][^']*)'/gm;

/** The line above the text of a library's licence. */
const LICENCE = /^([@\w./-]+) \d+\.[\d.]+ \([\w. -]+\)$/gm;

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
}, 300_000);
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
  const pages = ['web/publish/index.html', 'web/dashboard/dist/index.html'];
  for (const file of ['LICENSE', 'NOTICE', 'README.md', ...pages, 'bin/aircheck.js'])
    expect(existsSync(join(home, file)), file).toBe(true);
  // Of what is built into files of ours: all that stands there.
  const namesIn = (file: string) =>
    [...readFileSync(join(home, file), 'utf8').matchAll(LICENCE)].map(([, name]) => name);
  expect(namesIn('dist/children/LICENSES.txt')).toEqual(['node-av', 'zod']);
  expect(namesIn('web/dashboard/dist/LICENSES.txt')).toEqual(['hls.js', 'preact', 'zod']);
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

describe('its server', () => {
  let settings: Record<string, string | undefined>;
  let url: string;
  let server: ChildProcess;
  let ended: Promise<unknown[]>;
  let receiver: ChildProcess;
  let received = '';
  const bin = () => join(home, 'bin/aircheck.js');
  const run = (...words: string[]) => execFileSync(bin(), words, { env: settings, encoding: 'utf8' });
  beforeAll(async () => {
    settings = { ...(await env()), AIRCHECK_APP_ID: 'a'.repeat(32), AIRCHECK_APP_CERTIFICATE: 'b'.repeat(32) };
    settings['AIRCHECK_CUSTOMER_ID'] = 'customer';
    settings['AIRCHECK_CUSTOMER_SECRET'] = 'a secret';
    // The examples find the package as those do who installed it.
    cpSync(join(ROOT, 'examples'), join(dir, 'examples'), { recursive: true });
    const port = await freeTcpPort();
    receiver = spawn(process.execPath, [join(dir, 'examples/webhooks/receiver.mjs'), String(port)], {
      env: { ...process.env, SECRET: 'a webhook secret' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    receiver.stdout?.on('data', (words: Buffer) => {
      received += words.toString();
    });
    await once(receiver.stderr as Readable, 'data');
    settings['AIRCHECK_NOTIFY_URL'] = `http://127.0.0.1:${port}/`;
    settings['AIRCHECK_NOTIFY_SECRET'] = 'a webhook secret';
    const begun = spawn(bin(), ['serve'], { env: settings, stdio: ['ignore', 'pipe', 'inherit'] });
    server = begun;
    ended = once(begun, 'exit');
    const [said] = (await once(begun.stdout, 'data')) as [Buffer];
    url = /is at (\S+)/.exec(said.toString())?.[1] ?? '';
  });
  afterAll(async () => {
    server.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    receiver.kill();
  });

  test('serves', async () => {
    expect((await fetch(`${url}/publish`)).status).toBe(200);
    const list = await (await fetch(`${url}/llms.txt`)).text();
    const [, page = ''] = /\]\((\/docs\/guide\/[^)]+)\)/.exec(list) ?? [];
    expect(await (await fetch(url + page)).text()).toMatch(/^# /);
    expect(JSON.parse(run('health'))).toEqual({ status: 'ok', recordings: 0 });
    // The one that waits for a first recording.
    const bundle = join(home, 'dist/children/child.js');
    await until('a recorder runs from the bundle', () => processesNaming(bundle, 'recorder').length > 0, 30_000);
  });

  test('a test picture is published and recorded by commands alone, and is whole', async () => {
    const { publisher, gone } = publishing('room', '7');
    await once(publisher.stderr as Readable, 'data');
    const recorder = spawn(bin(), ['record', 'room', '--size', '640x360', '--json'], { env: settings });
    const printed = text(recorder.stdout);
    let told = '';
    recorder.stderr.on('data', (words: Buffer) => {
      told += words.toString();
    });
    await until('the publisher is seen', () => told.includes('7 ('), 30_000);
    const named = /as ([0-9a-f]{32})/.exec(told)?.[1] ?? '';
    await until('some seconds are recorded', async () => (await measuredMs(named)) > 4_000, 60_000);
    // As Ctrl-C does.
    recorder.kill('SIGINT');
    expect(await once(recorder, 'exit')).toEqual([0, null]);
    publisher.kill('SIGINT');
    expect(await gone).toEqual([0, null]);

    const { sid, whole, files } = JSON.parse(await printed) as { sid: string; whole: boolean; files: string[] };
    expect([whole, files.length]).toEqual([true, 2]);
    for (const file of files) {
      const { problems, durationS } = JSON.parse(run('inspect', file, '--json'));
      expect([file, problems]).toEqual([file, []]);
      expect(durationS).toBeGreaterThan(3);
    }
    judgeTestMedia(files.find((file) => file.endsWith('.mp4'))!);
    expect(run('show', sid)).toMatch(/7 video h264 +\|.*█{10}/);
    expect(run('events', '--sid', sid)).toContain('31 uploaded');
    expect(JSON.parse(run('recordings', '--json'))).toMatchObject([{ sid, phase: 'ended', cname: 'room' }]);
  });

  test('the examples record what is published, each at once with the others', async () => {
    const { publisher, gone } = publishing('examples', '8');
    await once(publisher.stderr as Readable, 'data');
    const record = async (command: string, name: string, uid: string) => {
      const token = run('token', '--channel', 'examples', '--uid', uid).trim();
      const [customer, secret] = [settings['AIRCHECK_CUSTOMER_ID'], settings['AIRCHECK_CUSTOMER_SECRET']];
      const example = spawn(command, [join(dir, 'examples/record', name), 'examples', '4'], {
        env: {
          ...{ PATH: process.env['PATH'], URL: url, APP_ID: 'a'.repeat(32), TOKEN: token },
          ...{ CUSTOMER_ID: customer, CUSTOMER_SECRET: secret },
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [printed, [code]] = await Promise.all([text(example.stdout), once(example, 'exit')]);
      expect([name, code]).toEqual([name, 0]);
      return JSON.parse(printed) as { sid: string; files?: string[]; serverResponse?: { uploadingStatus: string } };
    };
    const [node, python, curl] = await Promise.all([
      record(process.execPath, 'record.mjs', '9000'),
      record('python3', 'record.py', '9001'),
      record('sh', 'record.sh', '9002'),
    ]);
    publisher.kill('SIGINT');
    expect(await gone).toEqual([0, null]);
    expect(curl.serverResponse).toMatchObject({ uploadingStatus: 'uploaded' });
    for (const { sid, files = [] } of [node, python]) {
      expect(files.map((file) => file.split('.').at(-1)).toSorted()).toEqual(['m3u8', 'mp4']);
      for (const file of files) {
        const path = join(dir, 'data/recordings/examples', file);
        expect([file, JSON.parse(run('inspect', path, '--json')).problems]).toEqual([file, []]);
      }
      await until('the receiver has the end', () => received.includes(`{"sid":"${sid}","eventType":11,`), 30_000);
    }
    // One that is not signed is refused, and told of nowhere.
    const forged = received.trim().split('\n')[0] ?? '';
    const before = received;
    const answer = await fetch(settings['AIRCHECK_NOTIFY_URL'] ?? '', { method: 'POST', body: forged });
    expect([answer.status, received]).toEqual([401, before]);
  });

  /** Publishes until it is told to end. */
  function publishing(channel: string, uid: string) {
    const words = ['publish', 'test', '--channel', channel, '--uid', uid, '--size', '640x360', '--fps', '15'];
    const publisher = spawn(bin(), words, { env: settings, stdio: ['ignore', 'ignore', 'pipe'] });
    return { publisher, gone: once(publisher, 'exit') };
  }

  async function measuredMs(sid: string): Promise<number> {
    const pair = `${settings['AIRCHECK_CUSTOMER_ID']}:${settings['AIRCHECK_CUSTOMER_SECRET']}`;
    const headers = { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
    const answer = await fetch(`${url}/v1/apps/${'a'.repeat(32)}/aircheck/recordings/${sid}`, { headers });
    const { quality } = (await answer.json()) as { quality: { measuredMs: number } | null };
    return quality?.measuredMs ?? 0;
  }
});

/** A picture of many shades that moves, and a tone, as FFmpeg's test sources make them. */
function judgeTestMedia(path: string): void {
  const shades = new Set<number>();
  const pictures = new Set<string>();
  let loudest = 0;
  readMedia(path, {
    onPicture: ({ planes: [luma] }) => {
      for (let n = 0; n < luma!.length; n += 997) shades.add(luma![n]!);
      pictures.add(createHash('sha1').update(luma!).digest('hex'));
    },
    onSound: ({ mono }) => {
      for (const sample of mono) loudest = Math.max(loudest, Math.abs(sample));
    },
  });
  expect(shades.size).toBeGreaterThan(20);
  expect(pictures.size).toBeGreaterThan(20);
  expect(loudest).toBeGreaterThan(0.05);
}
