import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { chmodSync, globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../../config/load.ts';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { lockDataDir } from '../../data-dir-lock.ts';
import { makeCertificates } from '../moving/certificates.ts';
import { examineAll, exitCodeOf, reportOf } from './doctor.ts';
import { examine, type Finding, fine, problem, warning } from './finding.ts';
import { examineBundle, examineClock, examineDisk, examinePackages, wordsOfSkew } from './machine.ts';
import { examinePorts } from './ports.ts';
import { examineDatabase, examineStores, examineWebhooks } from './reachable.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-doctor-'));
});
afterEach(() => {
  chmodSync(dir, 0o700);
  rmSync(dir, { recursive: true, force: true });
});

/** Settings on ports that are free, unless told otherwise. */
async function configOf(env: Record<string, string> = {}) {
  return loadConfig({
    env: {
      AIRCHECK_DATA_DIR: join(dir, 'data'),
      AIRCHECK_PORT: String(await freePort()),
      AIRCHECK_RTC_PORT: String(await freePort()),
      ...env,
    },
    cwd: dir,
  });
}
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
const levels = (found: { level: string }[]) => found.map(({ level }) => level);

describe('ports', () => {
  test('that are free are fine', async () => {
    expect(levels(await examinePorts(await configOf(), false, systemClock))).toEqual(['ok', 'ok']);
  });

  test('that another program has are a problem, and one that a server has which runs is none', async () => {
    const tcp = createServer().listen(0, '127.0.0.1');
    const udp = createSocket('udp4').bind(0, '127.0.0.1');
    await Promise.all([once(tcp, 'listening'), once(udp, 'listening')]);
    onTestFinished(() => {
      tcp.close();
      udp.close();
    });
    const [port, rtcPort] = [(tcp.address() as AddressInfo).port, udp.address().port];
    const config = await configOf({ AIRCHECK_PORT: `${port}`, AIRCHECK_RTC_PORT: `${rtcPort}` });
    const [api, media] = await examinePorts(config, false, systemClock);
    expect(api).toMatchObject({ level: 'problem', advice: expect.stringContaining(`ss -ltnp 'sport = :${port}'`) });
    expect(media).toMatchObject({ level: 'problem', advice: expect.stringContaining(`-lunp 'sport = :${rtcPort}'`) });
    expect(levels(await examinePorts(config, true, systemClock))).toEqual(['ok', 'ok']);
  });

  test('on an address that this machine does not have are a problem that names the setting', async () => {
    // Addresses for documentation (RFC 5737).
    const found = await examinePorts(await configOf({ AIRCHECK_RTC_HOST: '192.0.2.1' }), false, systemClock);
    expect(found[1]).toMatchObject({ level: 'problem', advice: expect.stringContaining('AIRCHECK_RTC_HOST') });
  });

  test('for everybody, with media on this machine alone and no TLS, deserve two warnings', async () => {
    const found = await examinePorts(await configOf({ AIRCHECK_HOST: '0.0.0.0' }), false, systemClock);
    expect(levels(found)).toEqual(['ok', 'ok', 'warning', 'warning']);
    expect(found[2]?.advice).toContain('AIRCHECK_TLS_CERT_FILE');
    expect(found[3]?.advice).toContain('AIRCHECK_RTC_HOST');
  });

  test('a certificate that ends soon is a warning, and one that has ended a problem', async () => {
    const levelAfter = async (days: number) => {
      const { cert, key } = await makeCertificates({ hosts: ['localhost'], nowMs: Date.now(), days: 30 });
      writeFileSync(join(dir, 'cert.pem'), cert);
      writeFileSync(join(dir, 'key.pem'), key);
      const config = await configOf({ AIRCHECK_TLS_CERT_FILE: 'cert.pem', AIRCHECK_TLS_KEY_FILE: 'key.pem' });
      const later: Clock = { ...systemClock, nowMs: () => Date.now() + days * 86_400_000 };
      return (await examinePorts(config, false, later))[2]?.level;
    };
    expect([await levelAfter(0), await levelAfter(20), await levelAfter(31)]).toEqual(['ok', 'warning', 'problem']);
  });

  test('the port of metrics is looked at where there is one', async () => {
    const config = await configOf({ AIRCHECK_METRICS_PORT: String(await freePort()) });
    expect((await examinePorts(config, false, systemClock))[2]?.text).toContain('metrics');
  });
});

describe('packages and clock', () => {
  test('this Node and the compiled libraries work; an older Node is a problem', async () => {
    expect(levels(await examinePackages())).toEqual(['ok', 'ok', 'ok']);
    expect(levels(await examinePackages('22.17.1'))).toEqual(['problem', 'ok', 'ok']);
    expect(levels(await examinePackages('22.18.0'))).toEqual(['ok', 'ok', 'ok']);
    expect(levels(await examinePackages('20.19.0'))[0]).toBe('problem');
  });

  test('recorders that begin from the sources are a warning', () => {
    const sources = join(import.meta.dirname, '../main.ts');
    expect(levels([...examineBundle(sources), ...examineBundle('/somewhere/child.js')])).toEqual(['warning', 'ok']);
  });

  test('the oldest Node is the one that package.json asks for', async () => {
    const { engines } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../../package.json'), 'utf8'));
    const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node) ?? [];
    expect(levels(await examinePackages(`${major}.${minor}.0`))[0]).toBe('ok');
    expect(levels(await examinePackages(`${major}.${Number(minor) - 1}.9`))[0]).toBe('problem');
  });

  test('a clock that nothing keeps right is a warning; a system that does not say is none', () => {
    expect(levels([...examineClock(() => false), ...examineClock(() => true)])).toEqual(['warning', 'ok']);
    expect(levels(examineClock(() => undefined))).toEqual(['ok']);
  });

  test('another clock may be 2 s off, and at 5 minutes it is a problem, in both directions', () => {
    expect([0, -1900, 2100, -60_000, 301_000, -301_000].map((ms) => wordsOfSkew('it', ms).level)).toEqual([
      ...['ok', 'ok', 'warning', 'warning', 'problem', 'problem'],
    ]);
  });
});

describe('the disk', () => {
  test('is fine where folders can be written, which leaves nothing behind', async () => {
    const found = await examineDisk(await configOf(), systemClock);
    expect(found.filter(({ level }) => level === 'problem')).toEqual([]);
    expect(found.map(({ text }) => text.split(' ')[0]).slice(0, 3)).toEqual([
      'dataDir',
      'localStorageDir',
      'backupDir',
    ]);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('is a problem where a folder is none, or there is less room than a recording needs', async () => {
    writeFileSync(join(dir, 'file'), '');
    const config = await configOf({
      AIRCHECK_LOCAL_STORAGE_DIR: join(dir, 'file'),
      AIRCHECK_ADMISSION_SPOOL_MB: '100000000',
    });
    const problems = (await examineDisk(config, systemClock)).filter(({ level }) => level === 'problem');
    expect(problems.map(({ advice }) => advice)).toEqual([
      expect.stringContaining('AIRCHECK_LOCAL_STORAGE_DIR'),
      expect.stringContaining('AIRCHECK_DATA_DIR'),
    ]);
  });

  test('that takes long to make a file safe is a warning', async () => {
    let us = 0;
    const slow: Clock = { ...systemClock, monoUs: () => (us += 600_000) };
    expect((await examineDisk(await configOf(), slow))[0]?.level).toBe('warning');
  });
});

describe('what lies outside', () => {
  test('an embedded database needs nothing but its folder', async () => {
    expect(levels(await examineDatabase(await configOf(), false, systemClock))).toEqual(['ok']);
  });

  test('a Postgres that does not answer is a problem; its password is not told', async () => {
    const url = `postgres://someone:hush@127.0.0.1:${await freePort()}/aircheck`;
    const [found] = await examineDatabase(await configOf({ AIRCHECK_DATABASE_URL: url }), false, systemClock);
    expect(found).toMatchObject({ level: 'problem', advice: expect.stringContaining('AIRCHECK_DATABASE_URL') });
    expect(JSON.stringify(found)).not.toContain('hush');
  });

  const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
  test.runIf(postgres)('a Postgres that answers is fine, with its clock', async () => {
    const config = await configOf({ AIRCHECK_DATABASE_URL: postgres ?? '' });
    const found = await examineDatabase(config, false, systemClock);
    expect(found.filter(({ level }) => level === 'problem')).toEqual([]);
    expect(found.at(-1)?.text).toContain('clock');
  });

  test('a backup store is tried, and nothing stays in it', async () => {
    const config = await configOf();
    expect(levels(await examineStores(config, systemClock))).toEqual(['ok']);
    expect(globSync('**/aircheck-doctor-*', { cwd: dir })).toEqual([]);
    writeFileSync(join(dir, 'file'), '');
    const broken = await configOf({ AIRCHECK_BACKUP_DIR: join(dir, 'file', 'in-a-file') });
    expect(levels(await examineStores(broken, systemClock))).toEqual(['warning']);
  });

  test('receivers of webhooks are asked for headers alone, and their clocks are compared', async () => {
    const asked: string[] = [];
    const receiver = createHttp(({ method, url, headers }, response) => {
      asked.push(`${method} ${url} ${headers.authorization ?? ''}`.trim());
      const hourAgo = new Date(Date.now() - 3_600_000).toUTCString();
      const status = url === '/moved' ? 307 : url === '/broken' ? 500 : 405;
      response.writeHead(status, url === '/late' ? { date: hourAgo } : {}).end();
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    onTestFinished(() => void receiver.close());
    const origin = `127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const look = async (path: string) => {
      const config = await configOf({
        ...{ AIRCHECK_NOTIFY_URL: `http://user:hush@${origin}${path}`, AIRCHECK_NOTIFY_SECRET: 's' },
        AIRCHECK_APP_ID: 'a'.repeat(32),
      });
      return examineWebhooks(config, systemClock);
    };
    expect(levels(await look('/ok'))).toEqual(['ok', 'ok']);
    expect(levels(await look('/late'))).toEqual(['ok', 'problem']);
    expect(levels(await look('/moved'))).toEqual(['warning']);
    expect(levels(await look('/broken'))).toEqual(['warning', 'ok']);
    expect(JSON.stringify(await look('/ok'))).not.toContain('hush');
    expect(asked[0]).toBe('HEAD /ok');
  });

  test('a receiver that is away or silent is a warning', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => void silent.close());
    const settings = (port: number) => ({
      ...{ AIRCHECK_NOTIFY_SECRET: 's', AIRCHECK_NOTIFY_TIMEOUT_S: '1', AIRCHECK_APP_ID: 'a'.repeat(32) },
      AIRCHECK_NOTIFY_URL: `http://127.0.0.1:${port}/`,
    });
    const hasty: Clock = { ...systemClock, after: (_ms, run) => systemClock.after(20, run) };
    const late = await examineWebhooks(await configOf(settings((silent.address() as AddressInfo).port)), hasty);
    expect(late).toMatchObject([{ level: 'warning', text: expect.stringContaining('no answer within 1 s') }]);
    const away = await examineWebhooks(await configOf(settings(await freePort())), systemClock);
    expect(away).toMatchObject([{ level: 'warning', text: expect.stringContaining('ECONNREFUSED') }]);
  });
});

describe('the whole', () => {
  const finding = (found: Omit<Finding, 'area'>): Finding => ({ area: 'disk', ...found });

  test('its exit code is that of the worst finding', () => {
    const [ok, warn, bad] = [finding(fine('a')), finding(warning('b', 'c')), finding(problem('d', 'e'))];
    expect([[], [ok], [ok, warn], [warn, bad, ok]].map(exitCodeOf)).toEqual([0, 0, 2, 1]);
  });

  test('it reads area by area, each thing that is wrong with what to do', () => {
    const text = reportOf([finding(fine('good')), finding(problem('bad', 'mend it'))], ['AIRCHECK_X is no setting']);
    expect(text).toMatch(/^AIRCHECK_X is no setting\npackages\nports\n/);
    expect(text).toContain('disk\n  ok      good\n  problem bad\n          → mend it\n');
    expect(text).toMatch(/\n1 problem, 0 warnings\n$/);
  });

  test('an examination that fails itself is told of, and does not keep the others from their turn', async () => {
    const broken = () => Promise.reject(new Error('no such thing'));
    expect(await examine('clock', broken)).toMatchObject([{ area: 'clock', level: 'problem', text: 'no such thing' }]);
  });

  test('it looks at every area, beside a server that runs', async () => {
    const config = await configOf();
    mkdirSync(config.dataDir, { recursive: true });
    const lock = await lockDataDir(config.dataDir);
    onTestFinished(() => lock.release());
    const findings = await examineAll(config, systemClock);
    expect([...new Set(findings.map(({ area }) => area))]).toEqual([
      ...['packages', 'ports', 'clock', 'disk', 'database', 'fleet', 'stores', 'webhooks', 'pages'],
    ]);
    expect(findings.find(({ area }) => area === 'database')?.text).toContain('the server that runs');
    expect(findings.every(({ level, advice }) => (level === 'ok') === (advice === undefined))).toBe(true);
  });
});
