/**
 * A whole server whose customer's store is away for the whole of a recording, and back only after a restart of the
 * server; and what of the customer's secrets all that leaves behind (contract §3.4, ADR 0013).
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDatabase } from '../../src/store/open-database.ts';
import { RED } from '../support/media/participants.ts';
import { Publisher } from '../support/publish/publisher.ts';
import { refuse, S3Stub, STUB_KEYS } from '../support/s3-stub.ts';
import { TestServer, until } from '../support/test-server.ts';

const OLD_SECRET = 'an-old-secret-key-of-the-customer';
const STS_TOKEN = 'sts-token-that-nobody-may-see';
const WEBHOOK_SECRET = 'webhook-secret-that-nobody-may-see';

let folder: string;
let server: TestServer;
let stub: S3Stub;
let publisher: Publisher | undefined;
let log = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-backup-'));
  const env = {
    AIRCHECK_BACKUP_AFTER_S: '1',
    AIRCHECK_NOTIFY_URL: 'http://127.0.0.1:9/',
    AIRCHECK_NOTIFY_SECRET: WEBHOOK_SECRET,
    AIRCHECK_LOG_LEVEL: 'trace',
  };
  server = new TestServer(join(folder, 'data'), env, (line) => {
    log += `${line}\n`;
  });
  stub = await S3Stub.start();
  await server.start();
});
afterAll(async () => {
  await publisher?.stop();
  await server.kill().catch(() => {});
  await stub.close().catch(() => {});
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

/** Arguments and environment of all processes whose command line names the data folder's recorders. */
function recorderProcesses(): string {
  let found = '';
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      if (environment.includes(folder) && /\brecorder\b/.test(command)) found += `${command}\n${environment}\n`;
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** Which of the secrets a text holds. */
function secretsIn(text: string, secrets: Record<string, string>): string[] {
  return Object.entries(secrets).flatMap(([what, secret]) => (text.includes(secret) ? [what] : []));
}

function filesOf(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test('files of a store that is away go to the backup, and home again; secrets stay nowhere', {
  timeout: 120_000,
}, async () => {
  const picture = { width: 320, height: 180, fps: 15, bitrateKbps: 200 };
  const who = { ...server.running.whip('backup', '11'), participant: RED, codec: 'h264' as const };
  publisher = await Publisher.start({ client: 'rtc', options: { ...who, ...picture } });
  await until('somebody is there', async () => (await server.participants('backup')).length === 1, 30_000);
  stub.interfere = (_request, response) => {
    refuse(response, 503, 'ServiceUnavailable', 'The store is away.');
    return true;
  };
  const tokens = { rtc: server.token('backup', '9000'), second: server.token('backup', '9001') };
  const start = { recordingConfig: { channelType: 1, maxIdleTime: 60 } };
  // Keys that the store will not take when it is back.
  const storageConfig = { ...stub.storage(), secretKey: OLD_SECRET, stsToken: STS_TOKEN };
  const first = await server.record('backup', '9000', { ...start, storageConfig, token: tokens.rtc });
  const second = await server.record('backup', '9001', { ...start, storageConfig, token: tokens.second });
  const types = async (recording: typeof first) => (await recording.events()).map(({ eventType }) => eventType);
  await until(
    'both record',
    async () => (await types(second)).includes(42) && (await types(first)).includes(42),
    30_000,
  );
  const processes = recorderProcesses();
  // There is nothing to wait for but that it has some seconds of media.
  await new Promise((resolve) => setTimeout(resolve, 2_000));

  expect(await first.stop()).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'backuped' } } });
  await until('event 11', async () => (await types(first)).includes(11), 30_000);
  expect((await types(first)).slice(-2)).toEqual([32, 11]);
  expect(stub.objects.size).toBe(0);

  await server.kill();
  stub.interfere = undefined;
  await server.start();
  const home = `/aircheck/backlog`;
  const backlog = async () => (await server.call('GET', home)).body['backlog'] as { sid: string; lastError: string }[];
  const waiting = async () => (await backlog()).find(({ sid }) => sid === first.sid);
  await until('the old key is refused', async () => /Signature/.test((await waiting())?.lastError ?? ''), 30_000);
  // The keys come with an update of the other recording, for the same bucket.
  const { accessKey, secretKey } = STUB_KEYS;
  const renewed = { ...stub.storage(), accessKey, secretKey };
  expect(await second.update({ storageConfig: renewed })).toMatchObject({ status: 200 });
  await until('event 31', async () => (await types(first)).at(-1) === 31, 30_000);
  expect(await waiting()).toBeUndefined();
  const report = await server.call('GET', `/aircheck/recordings/${first.sid}`);
  expect(await second.stop()).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });

  for (const { sid } of [first, second]) {
    const names = [...stub.objects.keys()].filter((key) => key.startsWith(sid));
    const playlist = stub.read(`${sid}_backup.m3u8`).toString();
    const slices = playlist.match(/^[^#].*\.ts$/gm) ?? [];
    expect(slices.length).toBeGreaterThan(0);
    expect(names.sort()).toEqual([`${sid}_backup.m3u8`, ...slices].sort());
    for (const slice of slices) expect(stub.read(slice)[0]).toBe(0x47);
  }

  const events = JSON.stringify([await first.events(), await second.events()]);
  await server.end();
  const secrets = {
    'the old key': OLD_SECRET,
    'the new key': secretKey,
    'the session token': STS_TOKEN,
    'the secret of webhooks': WEBHOOK_SECRET,
    'a token of the channel': tokens.rtc,
    'another token of the channel': tokens.second,
  };
  expect(processes).not.toBe('');
  expect(secretsIn(processes, secrets), 'processes').toEqual([]);
  expect(secretsIn(log, secrets), 'log').toEqual([]);
  expect(secretsIn(events, secrets), 'events').toEqual([]);
  expect(secretsIn(JSON.stringify(report.body), secrets), 'report').toEqual([]);
  for (const path of filesOf(join(folder, 'data')))
    expect(secretsIn(readFileSync(path, 'latin1'), secrets), path).toEqual([]);
  // Long values are packed in the files; rows are read as they are.
  const database = await openDatabase({ url: '', pgliteDir: join(folder, 'data', 'db') });
  try {
    const tables = await database.query(
      `select table_schema as schema, table_name as name from information_schema.tables
       where table_schema not in ('pg_catalog', 'information_schema')`,
    );
    for (const { schema, name } of tables) {
      const rows = await database.query(`select t::text as row from "${schema}"."${name}" t`);
      expect(secretsIn(JSON.stringify(rows), secrets), String(name)).toEqual([]);
    }
    // Nothing is left to open, not even sealed.
    const [left] = await database.query(
      `select count(*) as n from tasks where document ? 'storage' or document ? 'token'
       union all select count(*) from moves`,
    );
    expect(Number(left?.['n'])).toBe(0);
    expect(await database.query('select * from moves')).toEqual([]);
  } finally {
    await database.close();
  }
});
