/**
 * The set-up of `aircheck moving`, carried out as it is printed, on a network that has nothing but this machine:
 * clients that know the vendor's hosts and nothing else record with this server.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { Moving } from '../../src/app/cli/moving/plan.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'src/app/cli/main.ts');
const CLIENT = join(ROOT, 'test/support/moved-client.ts');
const APP = 'a'.repeat(32);

/** As `serve` is told to by the plan, with a folder and credentials of its own. */
const SERVER = {
  AIRCHECK_APP_ID: APP,
  AIRCHECK_CUSTOMER_ID: 'customer',
  AIRCHECK_CUSTOMER_SECRET: 'secret',
  // The clients come one right after the other.
  AIRCHECK_RATE_LIMIT_PER_S: '0',
};

let dir: string;
let plan: Moving;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-moving-'));
  const { stdout } = await run(process.execPath, [MAIN, 'moving', '--certificates', join(dir, 'tls'), '--json']);
  plan = JSON.parse(stdout);
  const put = (name: string, lines: string[]) => writeFileSync(join(dir, name), `${lines.join('\n')}\n`);
  put('resolv.conf', ['nameserver 127.0.0.1']);
  put('dnsmasq.conf', ['no-resolv', 'no-hosts', 'user=root', 'bind-interfaces', 'interface=lo', ...plan.names.dnsmasq]);
  put('hosts', ['127.0.0.1 localhost']);
  put('moved-hosts', ['127.0.0.1 localhost', ...plan.names.hostsFile]);
  put('run.sh', script());
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Each client in a shell of its own, with the lines that make its library trust the certificate. */
function script(): string[] {
  const settings = Object.entries({ ...SERVER, ...plan.settings, AIRCHECK_DATA_DIR: join(dir, 'data') });
  const client = (library: string, region: string, flags = '') => {
    const trust = plan.libraries.find(({ id }) => id === library)?.trust ?? [];
    return `( ${[...trust, `exec ${process.execPath} ${flags} ${CLIENT} ${library} ${region} ${APP}`].join('; ')} )`;
  };
  return [
    'set -e',
    `cd ${dir}`,
    'ip link set lo up',
    'mount --bind resolv.conf /etc/resolv.conf',
    'mount --bind hosts /etc/hosts',
    `/usr/sbin/dnsmasq --conf-file=${join(dir, 'dnsmasq.conf')} --pid-file=${join(dir, 'dnsmasq.pid')}`,
    `env ${settings.map(([name, value]) => `${name}=${value}`).join(' ')} ${process.execPath} ${MAIN} serve > server.log 2>&1 &`,
    'n=0; until grep -q https:// server.log; do n=$((n+1)); [ $n -lt 300 ] || { cat server.log >&2; exit 1; }; sleep 0.2; done',
    client('node', 'us'),
    client('node', 'cn'),
    // What stands in for Go reads authorities as Go does: from SSL_CERT_FILE.
    client('go', 'eu', '--use-openssl-ca'),
    // Without a name server, and the names in /etc/hosts.
    'kill $(cat dnsmasq.pid)',
    'mount --bind moved-hosts /etc/hosts',
    client('go', 'ap', '--use-openssl-ca'),
    client('node', 'ap'),
    // Who was not told of the authority does not trust the server.
    `${process.execPath} ${CLIENT} go us ${APP}`,
  ];
}

describe('clients that know the vendor’s hosts only', { timeout: 150_000 }, () => {
  test('record with this server, by the names and the certificate they are given', async () => {
    onTestFailed(() => console.error(readFileSync(join(dir, 'server.log'), 'utf8')));
    const namespace = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
    const { stdout } = await run('unshare', [...namespace, 'sh', 'run.sh'], { cwd: dir, timeout: 120_000 });
    const lines = stdout.trim().split('\n');
    const [us, cn, eu, hostsGo, hostsNode, stranger] = lines.map((line) => JSON.parse(line));
    const calls = ['success', 'success', 'success', 'success'];
    expect(us).toEqual({ host: expect.stringMatching(/^api-us-west-1\.(agora\.io|sd-rtn\.com)$/), calls });
    expect(cn).toEqual({ host: expect.stringMatching(/^api-cn-north-1\./), calls });
    expect(eu).toEqual({ host: expect.stringMatching(/^api-eu-west-1\./), calls });
    expect(hostsGo).toEqual({ host: expect.stringMatching(/^api-ap-southeast-1\./), calls });
    // The Node library never reads /etc/hosts, as the guide says.
    expect(hostsNode.why).toHaveLength(2);
    expect(stranger.why[0]).toMatch(/certificate/);
  });
});
