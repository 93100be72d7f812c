import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig, unknownVariables } from './load.ts';
import { environmentName } from './settings.ts';

const APP = '0123456789abcdef0123456789abcdef';
const folder = (yaml?: string) => {
  const cwd = mkdtempSync(join(tmpdir(), 'aircheck-config-'));
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
  if (yaml !== undefined) writeFileSync(join(cwd, 'aircheck.yaml'), yaml);
  return cwd;
};

test('without anything set, the documented defaults hold', () => {
  const cwd = folder();
  expect(loadConfig({ env: {}, cwd })).toMatchObject({
    host: '127.0.0.1',
    port: 7300,
    rtcHost: '127.0.0.1',
    rtcPort: 7301,
    dataDir: join(cwd, 'data'),
    localStorageDir: join(cwd, 'data/recordings'),
    databaseUrl: '',
    logLevel: 'info',
    sliceStartTimeUnit: 's',
    forceExtinfComma: false,
    syncStopTimeoutS: 20,
    resourceLifeS: 300,
    apps: [],
    customers: [],
  });
});

test('the environment wins over the file, and an empty variable counts as unset', () => {
  const cwd = folder('port: 8000\nhost: 10.0.0.1\n');
  expect(loadConfig({ env: { AIRCHECK_PORT: '9000', AIRCHECK_HOST: '' }, cwd })).toMatchObject({
    port: 9000,
    host: '10.0.0.1',
  });
});

test('an app without a certificate needs no tokens', () => {
  expect(loadConfig({ env: { AIRCHECK_APP_ID: APP }, cwd: folder() }).apps).toEqual([
    { appid: APP, certificate: undefined, recording: true, notifications: undefined },
  ]);
});

test('each app has notifications of its own, and so has the one that the first start makes', () => {
  const env = {
    AIRCHECK_NOTIFY_URL: 'https://example.com/a',
    AIRCHECK_NOTIFY_SECRET: 's',
    AIRCHECK_NOTIFY_EVENTS: ' 31, 11,',
  };
  const first = { url: 'https://example.com/a', secret: 's', events: [31, 11] };
  expect(loadConfig({ env, cwd: folder() }).defaultNotifications).toEqual(first);
  const yaml = `apps:\n  - {id: ${'f'.repeat(32)}, recording: false, notifications: {url: 'http://b', secret: t}}\n`;
  const { apps } = loadConfig({ env: { ...env, AIRCHECK_APP_ID: APP }, cwd: folder(yaml) });
  expect(apps).toMatchObject([
    { appid: APP, recording: true, notifications: first },
    { recording: false, notifications: { url: 'http://b', secret: 't', events: [] } },
  ]);
});

test('days to keep are those of the app, or else those of all', () => {
  const other = 'f'.repeat(32);
  const config = loadConfig({
    env: { AIRCHECK_APP_ID: APP, AIRCHECK_RETENTION_DAYS: '365' },
    cwd: folder(`apps:\n  - {id: ${other}, retentionDays: 30}\n`),
  });
  expect([config.retentionDays, ...config.apps.map(({ retentionDays }) => retentionDays)]).toEqual([
    365,
    undefined,
    30,
  ]);
});

test('apps and customers of the file join those of the environment', () => {
  const other = 'f'.repeat(32);
  const config = loadConfig({
    env: { AIRCHECK_APP_ID: APP, AIRCHECK_CUSTOMER_ID: 'a', AIRCHECK_CUSTOMER_SECRET: 'b' },
    cwd: folder(
      `apps:\n  - id: ${other}\n    certificate: ${APP}\ncustomers:\n  - {id: c, secret: d, apps: [${other}]}\n`,
    ),
  });
  expect(config.apps.map((app) => app.appid)).toEqual([APP, other]);
  expect(config.customers).toEqual([
    { id: 'a', secret: 'b', apps: undefined },
    { id: 'c', secret: 'd', apps: [other] },
  ]);
});

test.each([
  [{ AIRCHECK_PORT: '70000' }, /AIRCHECK_PORT is "70000".*0 to 65535/],
  [{ AIRCHECK_PORT: 'eighty' }, /AIRCHECK_PORT is "eighty"/],
  [{ AIRCHECK_APP_ID: 'xyz' }, /AIRCHECK_APP_ID is "xyz".*32 hexadecimal/],
  [{ AIRCHECK_LOG_LEVEL: 'loud' }, /AIRCHECK_LOG_LEVEL.*trace, debug/],
  [{ AIRCHECK_FORCE_EXTINF_COMMA: 'maybe' }, /AIRCHECK_FORCE_EXTINF_COMMA.*true or false/],
  [{ AIRCHECK_DATABASE_URL: 'mysql://x' }, /AIRCHECK_DATABASE_URL.*postgres/],
  [{ AIRCHECK_APP_CERTIFICATE: APP }, /without AIRCHECK_APP_ID/],
  [{ AIRCHECK_CUSTOMER_ID: 'a' }, /go together/],
  [{ AIRCHECK_NOTIFY_URL: 'https://example.com/hook' }, /AIRCHECK_NOTIFY_URL needs AIRCHECK_NOTIFY_SECRET/],
  [{ AIRCHECK_NOTIFY_URL: 'example.com', AIRCHECK_NOTIFY_SECRET: 's' }, /AIRCHECK_NOTIFY_URL is "example.com".*https/],
  [{ AIRCHECK_NOTIFY_EVENTS: '11,stop' }, /AIRCHECK_NOTIFY_EVENTS.*separated by commas/],
  [{ AIRCHECK_NOTIFY_SOURCE_IPS: '10.0.0.1, example.com' }, /AIRCHECK_NOTIFY_SOURCE_IPS.*IP addresses/],
  [{ AIRCHECK_TLS_CERT_FILE: 'c.pem' }, /AIRCHECK_TLS_CERT_FILE and AIRCHECK_TLS_KEY_FILE/],
  [{ AIRCHECK_CONFIG: 'nowhere.yaml' }, /nowhere.yaml.*cannot be read/],
])('%o is refused in words', (env, words) => {
  expect(() => loadConfig({ env, cwd: folder() })).toThrow(words);
});

test.each([
  ['prot: 1', /prot is no setting/],
  ['rtc_port: 1', /did you mean rtcPort/],
  ['- a', /name: value/],
  ['a: [', /not YAML/],
  [`apps:\n  - {id: ${APP}, notifications: {url: 'https://example.com'}}`, /apps has a value that is not/],
  [`notifyUrl: https://example.com\nnotifySecret: s\napps:\n  - {id: ${APP}}`, /is for the app of AIRCHECK_APP_ID/],
  [`customers:\n  - {id: c, secret: d, apps: [${APP}]}`, /names app/],
  [`apps:\n  - {id: ${APP}, certifcate: ${APP}}`, /apps has a value .* \(0: Unrecognized key: "certifcate"\)/],
  [`apps:\n  - {id: ${APP}, notifications: {url: 'http://b', secret: t, event: [31]}}`, /0.notifications: .*"event"/],
  [`customers:\n  - {id: c, secret: d, app: [${APP}]}`, /customers has a value .* \(0: Unrecognized key: "app"\)/],
  ['customerId: a\ncustomerSecret: 12345', /customerSecret has a value .* any text: .*quotes/],
  ['nodeName: 12', /nodeName is 12, .*quotes/],
  ['backupStorage: {vendor: 1}', /backupStorage has a value.*bucket: .*expected string/],
  ['backupStorage: {vendor: 1, bucket: b, accessKey: a}', /speaks S3 \(secretKey must not be empty\)/],
  [
    'backupStorage: {vendor: 11, bucket: b, accessKey: a, secretKey: s, extensionParams: {endpoint: "a b"}}',
    /\(extensionParams.endpoint must be a host/,
  ],
])('the file %j is refused in words', (yaml, words) => {
  expect(() => loadConfig({ env: {}, cwd: folder(yaml) })).toThrow(words);
});

describe('a fleet', () => {
  const FLEET = {
    AIRCHECK_FLEET_KEY: `${'o'.repeat(32)}, ${'n'.repeat(32)}`,
    AIRCHECK_DATABASE_URL: 'postgres://db/aircheck',
    AIRCHECK_APP_ID: APP,
    AIRCHECK_CUSTOMER_ID: 'id',
    AIRCHECK_CUSTOMER_SECRET: 's',
  };

  test('has a key, or several while it is changed, and addresses of its own', () => {
    const config = loadConfig({
      env: { ...FLEET, AIRCHECK_NODE_URL: 'http://10.0.0.1:7302/', AIRCHECK_PUBLIC_URL: 'https://node.example.com' },
      cwd: folder(),
    });
    expect(config).toMatchObject({
      fleetKey: ['o'.repeat(32), 'n'.repeat(32)],
      ...{ nodeName: hostname(), nodeHost: '127.0.0.1', nodePort: 7302 },
      ...{ nodeUrl: 'http://10.0.0.1:7302', publicUrl: 'https://node.example.com', whipElsewhere: 'redirect' },
    });
  });

  const tls = { AIRCHECK_NODE_TLS_CERT_FILE: 'c', AIRCHECK_NODE_TLS_KEY_FILE: 'k', AIRCHECK_NODE_TLS_CA_FILE: 'a' };
  test.each([
    [{ AIRCHECK_FLEET_KEY: 'short' }, /AIRCHECK_FLEET_KEY has a value that is not texts of at least 32/],
    [{ AIRCHECK_DATABASE_URL: '' }, /AIRCHECK_FLEET_KEY is set without AIRCHECK_DATABASE_URL: .* share a Postgres/],
    [{ AIRCHECK_APP_ID: '' }, /a fleet needs apps that all its nodes have/],
    [{ AIRCHECK_CUSTOMER_ID: '', AIRCHECK_CUSTOMER_SECRET: '' }, /a fleet needs customers that all its nodes have/],
    [{ AIRCHECK_NODE_HOST: '0.0.0.0' }, /AIRCHECK_NODE_HOST is every address.*AIRCHECK_NODE_URL must say/],
    [{ AIRCHECK_HOST: '::' }, /AIRCHECK_HOST is every address.*AIRCHECK_PUBLIC_URL must say/],
    [{ ...tls, AIRCHECK_NODE_TLS_CA_FILE: '' }, /AIRCHECK_NODE_TLS_CA_FILE are needed all, or none/],
    [{ ...tls, AIRCHECK_NODE_URL: 'http://n' }, /AIRCHECK_NODE_URL must begin with https:/],
    [{ AIRCHECK_NODE_URL: 'https://n' }, /AIRCHECK_NODE_URL must begin with https:/],
    [{ AIRCHECK_PUBLIC_URL: 'https://n/path' }, /AIRCHECK_PUBLIC_URL is "https:..n.path".*without a path/],
    [{ AIRCHECK_WHIP_ELSEWHERE: 'carry' }, /AIRCHECK_WHIP_ELSEWHERE.*redirect or proxy/],
    [{ AIRCHECK_NODE_NAME: 'a b' }, /AIRCHECK_NODE_NAME is "a b"/],
    [
      { AIRCHECK_FLEET_KEY: '', AIRCHECK_PUBLIC_URL: 'https://n' },
      /AIRCHECK_PUBLIC_URL is set, but AIRCHECK_FLEET_KEY/,
    ],
    [{ ...tls, AIRCHECK_FLEET_KEY: '' }, /AIRCHECK_NODE_TLS_CERT_FILE is set, but AIRCHECK_FLEET_KEY/],
  ])('with %o is refused in words', (env, words) => {
    expect(() => loadConfig({ env: { ...FLEET, ...env }, cwd: folder() })).toThrow(words);
  });
});

test('variables that set nothing are told of', () => {
  const env = {
    AIRCHECK_PORT: '1',
    AIRCHECK_PROT: '1',
    AIRCHECK_RTCPORT: '1',
    AIRCHECK_APPS: '[]',
    AIRCHECK_CONFIG: 'x',
  };
  expect(unknownVariables({ ...env, PATH: '/bin', AIRCHECK_CUSTOMERID: 's3cret' })).toEqual([
    'AIRCHECK_PROT is no setting',
    'AIRCHECK_RTCPORT is no setting; did you mean AIRCHECK_RTC_PORT?',
    'AIRCHECK_APPS sets nothing; apps is set in aircheck.yaml',
    'AIRCHECK_CUSTOMERID is no setting; did you mean AIRCHECK_CUSTOMER_ID?',
  ]);
});

test("a secret's value is never repeated", () => {
  const secret = 'not-hexadecimal-but-secret';
  expect(() => loadConfig({ env: { AIRCHECK_APP_ID: APP, AIRCHECK_APP_CERTIFICATE: secret }, cwd: folder() })).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining(secret) }),
  );
  const yaml = `backupStorage: {vendor: 1, region: 99, bucket: "", accessKey: ${secret}, secretKey: [${secret}]}`;
  expect(() => loadConfig({ env: {}, cwd: folder(yaml) })).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining(secret) }),
  );
});

test('every bad setting is told at once', () => {
  const load = () => loadConfig({ env: { AIRCHECK_PORT: 'a', AIRCHECK_RTC_PORT: 'b' }, cwd: folder() });
  expect(load).toThrow(/AIRCHECK_PORT.*\n.*AIRCHECK_RTC_PORT/);
});

test('variables are named after their keys', () => {
  expect(environmentName('syncStopTimeoutS')).toBe('AIRCHECK_SYNC_STOP_TIMEOUT_S');
});
