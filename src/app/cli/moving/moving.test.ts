import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readTls } from '../../../http/tls.ts';
import { LIBRARIES } from './libraries.ts';
import { type MovingWords, moving } from './moving.ts';
import { planOf } from './plan.ts';

const DAY_MS = 86_400_000;

describe('the plan', () => {
  test('names the hosts of all libraries and regions, and every library has its share', () => {
    const { hosts, libraries, names } = planOf({ address: '192.0.2.7' }, '/srv/moving');
    // 8 regional names and the one of the Node library, and the plain one, in two domains.
    expect(hosts).toHaveLength(20);
    expect(hosts).toEqual([...new Set(libraries.flatMap((library) => library.hosts))].sort());
    for (const { hosts: own } of libraries) expect(own.length).toBeGreaterThan(1);
    expect(names.hostsFile).toEqual([`192.0.2.7 ${hosts.join(' ')}`]);
    for (const lines of [names.dnsmasq, names.unbound]) {
      expect(lines).toHaveLength(40);
      for (const host of hosts) expect(lines.filter((line) => line.includes(host))).toHaveLength(2);
    }
  });

  test.each([
    [
      'node',
      'cn',
      ['api-cn-north-1.agora.io', 'api-cn-north-1.sd-rtn.com', 'api-cn-east-2.agora.io', 'api-cn-east-2.sd-rtn.com'],
    ],
    [
      'go',
      'cn',
      ['api-cn-east-1.agora.io', 'api-cn-east-1.sd-rtn.com', 'api-cn-north-1.agora.io', 'api-cn-north-1.sd-rtn.com'],
    ],
    [
      'java',
      ' us',
      ['api-us-west-1.agora.io', 'api-us-west-1.sd-rtn.com', 'api-us-east-1.agora.io', 'api-us-east-1.sd-rtn.com'],
    ],
    ['http', 'eu,ap', ['api.agora.io', 'api.sd-rtn.com']],
  ])('of %s in %s', (library, region, expected) => {
    const { libraries } = planOf({ address: '127.0.0.1', library, region }, '/srv');
    expect(libraries.map(({ id, hosts }) => ({ id, hosts }))).toEqual([{ id: library, hosts: expected }]);
  });

  test('a folder with a space or a quote is quoted for the shell', () => {
    const { libraries } = planOf({ address: '127.0.0.1', library: 'node' }, "/srv/it's mine");
    expect(libraries[0]?.trust).toEqual(["export NODE_EXTRA_CA_CERTS='/srv/it'\\''s mine/ca.pem'"]);
  });

  test.each([
    [{ address: 'localhost' }, /"localhost" is not an IPv4 address/],
    [{ address: '::1' }, /not an IPv4 address/],
    [{ address: '127.0.0.1', library: 'node,rust' }, /"rust" is no library; known are node, go, python, java, http/],
    [{ address: '127.0.0.1', region: 'na' }, /"na" is no region; known are us, eu, ap, cn/],
    [{ address: '127.0.0.1', region: '' }, /"" is no region/],
  ])('%j is refused', (choice, why) => {
    expect(() => planOf(choice, '/srv')).toThrow(why);
  });
});

describe('the command', () => {
  let folder: string;
  let said: string;
  beforeEach(() => {
    folder = join(mkdtempSync(join(tmpdir(), 'aircheck-moving-')), 'new');
    said = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      said += text;
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(join(folder, '..'), { recursive: true });
  });
  const run = (words: Partial<MovingWords> = {}) => moving({ address: '127.0.0.1', days: 30, ...words });
  const read = (name: string) => readFileSync(join(folder, name), 'utf8');

  test.each([
    [{ name: 'a.example.com' }, /give --certificates/],
    [{ name: 'http://x' }, /"http:\/\/x" is not a host name/],
    [{ name: '-x', certificates: './never' }, /"-x" is not a host name/],
    [{ name: '', certificates: './never' }, /"" is not a host name/],
  ])('refuses %j', async (words, why) => {
    await expect(run(words)).rejects.toThrow(why);
    expect(said).toBe('');
  });

  test('makes a certificate that is good for every host, and for further names', async () => {
    const before = Date.now();
    await run({ certificates: folder, name: 'rec.example.com, *.example.org', json: true });
    const { hosts, certificate, settings } = JSON.parse(said);
    const { cert } = readTls({ certFile: settings.AIRCHECK_TLS_CERT_FILE, keyFile: settings.AIRCHECK_TLS_KEY_FILE });
    const server = new X509Certificate(cert);
    const authority = new X509Certificate(read('ca.pem'));
    for (const host of [...hosts, 'rec.example.com', 'a.example.org'])
      expect(server.checkHost(host), host).toBeTruthy();
    expect(server.checkHost('agora.io')).toBeUndefined();
    expect(server.verify(authority.publicKey) && server.checkIssued(authority)).toBe(true);
    expect([server.ca, authority.ca]).toEqual([false, true]);
    expect(server.checkPrivateKey(createPrivateKey(read('server-key.pem')))).toBe(true);
    const ends = Date.parse(server.validTo);
    expect(ends - before).toBeGreaterThan(29.9 * DAY_MS);
    expect(ends - before).toBeLessThan(30.1 * DAY_MS);
    expect(Math.floor(Date.parse(certificate.ends) / 1000)).toBe(ends / 1000);
  });

  test('keeps no key of the authority, and that of the server for its owner alone', async () => {
    await run({ certificates: folder });
    expect(readdirSync(folder).sort()).toEqual(['bundle.pem', 'ca.pem', 'server-key.pem', 'server.pem']);
    const key = createPrivateKey(read('server-key.pem'));
    expect(new X509Certificate(read('ca.pem')).checkPrivateKey(key)).toBe(false);
    expect(statSync(join(folder, 'server-key.pem')).mode & 0o777).toBe(0o600);
    expect(said).not.toContain('PRIVATE KEY');
    expect(read('bundle.pem')).toContain(read('ca.pem').trim());
  });

  test('replaces what is there only when it is told to, and then whole', async () => {
    await run({ certificates: folder });
    const before = read('ca.pem');
    await expect(run({ certificates: folder })).rejects.toThrow(/server-key\.pem is there already; --force/);
    expect(read('ca.pem')).toBe(before);
    // Of someone who was careless with it.
    rmSync(join(folder, 'server-key.pem'));
    writeFileSync(join(folder, 'server-key.pem'), 'x', { mode: 0o666 });
    await run({ certificates: folder, force: true });
    expect(read('ca.pem')).not.toBe(before);
    expect(new X509Certificate(read('server.pem')).verify(new X509Certificate(read('ca.pem')).publicKey)).toBe(true);
    expect(statSync(join(folder, 'server-key.pem')).mode & 0o777).toBe(0o600);
  });

  test('writes nothing when it refuses, nor when no certificate is wanted', async () => {
    for (const name of ['a b', '-x.example', 'http://x', '', 'a..b'])
      await expect(run({ certificates: folder, name }), name).rejects.toThrow(/is not a host name/);
    await expect(run({ certificates: folder, address: 'x' })).rejects.toThrow(/not an IPv4 address/);
    await run();
    expect(existsSync(folder)).toBe(false);
  });

  test('says all of it in words', async () => {
    await run({ certificates: folder, address: '192.0.2.7' });
    for (const { name, version } of LIBRARIES) expect(said).toContain(`${name}, ${version}:\n`);
    for (const line of [
      'host-record=api-us-west-1.agora.io,192.0.2.7',
      'agora-rest-client (Node) asks the name servers and does not read /etc/hosts',
      `AIRCHECK_TLS_KEY_FILE=${join(folder, 'server-key.pem')}`,
      `export NODE_EXTRA_CA_CERTS=${join(folder, 'ca.pem')}`,
      `export REQUESTS_CA_BUNDLE=${join(folder, 'bundle.pem')}`,
    ])
      expect(said).toContain(line);
  });
});
