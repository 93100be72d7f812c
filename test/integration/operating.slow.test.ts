/**
 * The commands that an operator of a fleet uses, run beside a server on a real Postgres: `aircheck nodes`, `aircheck
 * drain`, and what `aircheck doctor` says of the database.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodesReplySchema } from '../../src/contract/rest/nodes.ts';
import { MIGRATIONS } from '../../src/store/migrations.ts';
import { runCommand } from '../support/command.ts';
import { PostgresServer } from '../support/postgres.ts';
import { freeTcpPort, freeUdpPort } from '../support/server-process.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';

const CANVAS = { width: 320, height: 180, fps: 15 };

let folder: string;
let postgres: PostgresServer;
let server: TestServer;
let settings: Record<string, string>;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-operating-'));
  postgres = await PostgresServer.start();
  settings = {
    AIRCHECK_APP_ID: randomBytes(16).toString('hex'),
    AIRCHECK_CUSTOMER_ID: 'operator',
    AIRCHECK_CUSTOMER_SECRET: 'secret',
    AIRCHECK_DATABASE_URL: postgres.url,
    AIRCHECK_FLEET_KEY: 'a key of a fleet that is long enough',
    AIRCHECK_NODE_NAME: 'one',
    AIRCHECK_NODE_PORT: '0',
    AIRCHECK_WARM_RECORDERS: '0',
  };
  server = new TestServer(join(folder, 'data'), settings);
  await server.start();
  const { port } = new URL(server.baseUrl);
  settings = { ...settings, AIRCHECK_DATA_DIR: server.dataDir, AIRCHECK_PORT: port };
}, 60_000);
afterAll(async () => {
  await server?.end();
  await postgres?.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

/** Runs a command with the settings of the server. */
const aircheck = (...words: string[]) => runCommand(settings, ...words);

const record = (cname: string) =>
  server.record(cname, '9', {
    recordingConfig: { channelType: 1, maxIdleTime: 600, transcodingConfig: { ...CANVAS, bitrate: 200 } },
    storageConfig: localStorage('bucket'),
  });
const acquire = (cname: string) =>
  server.call('POST', '/cloud_recording/acquire', { cname, uid: '9', clientRequest: {} });

test('nodes lists the server that runs, and says by its exit code that one is gone', { timeout: 60_000 }, async () => {
  const alone = await aircheck('nodes');
  expect(alone).toMatchObject({ code: 0, stderr: '' });
  expect(alone.stdout).toMatch(/^\* one +live +\S+ +0 +0 /m);
  // As one that was killed a minute ago has left its row.
  await postgres.rows(
    `insert into owners (owner, folder, boot_id, lease_until, renewed_at, name, version, wire, node_url, public_url, cores,
         memory_bytes, load_cores, load_bytes, recordings, publishers, calls)
       select 'dead', 'elsewhere', 'boot', now() - interval '56 seconds', now() - interval '1 minute', 'two', version, wire,
         node_url, public_url, cores, memory_bytes, load_cores, load_bytes, 3, 5, calls from owners where name = 'one'`,
  );
  const both = await aircheck('nodes', '--json');
  expect(both.code).toBe(2);
  const { self, nodes } = nodesReplySchema.parse(JSON.parse(both.stdout));
  expect(nodes.map(({ name, state, recordings }) => ({ name, state, recordings }))).toEqual([
    { name: 'one', state: 'live', recordings: 0 },
    { name: 'two', state: 'gone', recordings: 3 },
  ]);
  expect(nodes.find(({ id }) => id === self)?.name).toBe('one');
  // One that is back on its data folder is not gone any more.
  await postgres.rows(`update owners set folder = (select folder from owners where name = 'one') where owner = 'dead'`);
  expect(await aircheck('nodes')).toMatchObject({ code: 0, stdout: expect.not.stringContaining('gone') });
  await postgres.rows(`delete from owners where owner = 'dead'`);
});

test('drain has nothing new taken, waits for what runs, and is undone', { timeout: 120_000 }, async () => {
  const recording = await record('runs');
  const tooSoon = await aircheck('drain', '--wait', '1');
  expect(tooSoon).toMatchObject({
    code: 2,
    stdout:
      'draining: 1 recordings are left, 0 publishers; no other node is there to take them over: they go on until they end\n',
  });
  expect((await acquire('refused')).status).not.toBe(200);
  expect((await aircheck('nodes')).stdout).toMatch(/^\* one +draining +\S+ +1 /m);
  // What runs goes on meanwhile.
  expect((await recording.query()).status).toBe(200);
  const waiting = aircheck('drain', '--wait', '60');
  await recording.stop({ async_stop: true });
  expect(await waiting).toMatchObject({ code: 0, stdout: 'draining: no recording is left, 0 publishers are\n' });
  expect(await aircheck('drain', '--undo')).toMatchObject({
    code: 0,
    stdout: 'new recordings and channels are taken again\n',
  });
  expect((await acquire('taken')).status).toBe(200);
  expect((await aircheck('nodes')).stdout).toMatch(/^\* one +live /m);
});

test('a key that is not the fleet’s is found by doctor, and by a server that starts with it', {
  timeout: 60_000,
}, async () => {
  const ofFleet = async (key: string) => {
    const { stdout } = await runCommand({ ...settings, AIRCHECK_FLEET_KEY: key }, 'doctor', '--json');
    const { findings } = JSON.parse(stdout) as { findings: { area: string; level: string; text: string }[] };
    return findings.filter(({ area }) => area === 'fleet').map(({ level, text }) => `${level} ${text}`);
  };
  const other = 'a key that no other node of it has';
  expect(await ofFleet(settings['AIRCHECK_FLEET_KEY']!)).toEqual([
    expect.stringMatching(/^ok node one at http:.* takes this key$/),
  ]);
  expect(await ofFleet(other)).toEqual([expect.stringMatching(/^problem node one at http:.* has another key$/)]);
  const stranger = { ...settings, AIRCHECK_FLEET_KEY: other, AIRCHECK_DATA_DIR: join(folder, 'stranger') };
  const [port, rtcPort] = [await freeTcpPort(), await freeUdpPort()];
  const refused = await runCommand(
    { ...stranger, AIRCHECK_PORT: `${port}`, AIRCHECK_RTC_PORT: `${rtcPort}`, AIRCHECK_NODE_NAME: 'two' },
    'serve',
  );
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/not that of the fleet: one \(http.*AIRCHECK_FLEET_KEY/),
  ]);
  expect((await aircheck('nodes')).stdout).not.toContain('two');
});

test('doctor says how the database is, beside the server that has it', { timeout: 120_000 }, async () => {
  const findings = async () => {
    const { stdout } = await aircheck('doctor', '--json');
    const { findings: all } = JSON.parse(stdout) as { findings: { area: string; level: string; text: string }[] };
    return all.filter(({ area }) => area === 'database').map(({ level, text }) => `${level} ${text}`);
  };
  const well = await findings();
  expect(well[0]).toMatch(/^ok Postgres at 127\.0\.0\.1:\d+\/postgres answers, version 1\d/);
  expect(well.join('\n')).toMatch(/it answers in [\d.]+ ms/);
  expect(well.filter((line) => line.startsWith('problem'))).toEqual([]);
  const newer = MIGRATIONS.length + 1;
  await postgres.rows(`insert into migrations (number, name) values (${newer}, 'of a later version')`);
  expect(await findings()).toContain('problem its tables are of a newer version');
  await postgres.rows(`delete from migrations where number = ${newer}`);
  await postgres.crash();
  const [gone] = await findings();
  expect(gone).toMatch(/^problem Postgres at \S+ cannot be used: /);
  expect(gone).not.toContain('secret');
  // The commands that ask the server say so, and do not wait for ever.
  const unanswered = await aircheck('nodes');
  expect(unanswered).toMatchObject({ code: 1, stderr: expect.stringContaining('aircheck doctor') });
  await postgres.resume();
  await until('the server answers again', async () => (await aircheck('nodes')).code === 0, 30_000);
});
