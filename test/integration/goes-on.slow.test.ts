/**
 * What becomes of a recording that nobody sends to when its recorder, its server's loop and its server end in the
 * middle: the same task goes on, callers never miss it, and no event or number is lost. What is recorded meanwhile is
 * judged by test/chaos.
 */
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identityOf } from '../../src/worker/process-identity.ts';
import { recordersOf } from '../support/processes.ts';
import { RecordingClient } from '../support/rest-client.ts';
import { freeTcpPort, freeUdpPort, ServerProcess } from '../support/server-process.ts';

let dataDir: string;
let server: ServerProcess;
let client: RecordingClient;
let resourceId: string;
let sid: string;
/** The same for each start of the server. */
let env: Record<string, string>;

/** A defect that a signal brings out. */
const DEFECT = `process.on('SIGUSR2', () => setImmediate(() => { throw new Error('a defect') }))`;

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'aircheck-goes-on-'));
  env = {
    AIRCHECK_PORT: String(await freeTcpPort()),
    AIRCHECK_RTC_PORT: String(await freeUdpPort()),
    AIRCHECK_APP_ID: 'a'.repeat(32),
    AIRCHECK_CUSTOMER_ID: 'id',
    AIRCHECK_CUSTOMER_SECRET: 'secret',
    AIRCHECK_WARM_RECORDERS: '0',
    AIRCHECK_RATE_LIMIT_PER_S: '0',
    NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(DEFECT)}"`,
  };
  server = await ServerProcess.start({ dataDir, env });
  client = new RecordingClient(server);
  resourceId = String((await client.acquire('room', '9')).body['resourceId']);
  const started = await client.startMix(resourceId, {
    cname: 'room',
    uid: '9',
    token: server.token('room', '9'),
    recordingConfig: { maxIdleTime: 60, streamTypes: 2 },
    storageConfig: { vendor: 1000, region: 0, bucket: 'b', accessKey: 'k', secretKey: 's' },
  });
  sid = String(started.body['sid']);
  await until(async () => (await status()) === 4);
}, 60_000);
afterEach(async () => {
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await pause(50);
}
/** What query says; never that there is no such recording. */
async function status(): Promise<unknown> {
  const { status: code, body } = await client.query(resourceId, sid);
  expect(code).toBe(200);
  return Number((body['serverResponse'] as { status: unknown }).status);
}
/** The recording's events, in their order. */
async function told(): Promise<{ eventType: number; sequence: number }[]> {
  const { url, appid, customerId, customerSecret } = server;
  const authorization = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
  const answer = await fetch(`${url}/v1/apps/${appid}/aircheck/events?sid=${sid}`, { headers: { authorization } });
  const { events } = (await answer.json()) as {
    events: { notice: { eventType: number; payload: { sequence: number } } }[];
  };
  return events.map(({ notice }) => ({ eventType: notice.eventType, sequence: notice.payload.sequence }));
}
const runs = () => readdirSync(join(dataDir, 'spool', sid)).sort();
const recorders = () => recordersOf(server.pid);

test('a recording outlives its recorder, 12 s of a server that stands still, and its server', {
  timeout: 120_000,
}, async () => {
  process.kill(recorders()[0]!, 'SIGKILL');
  await until(async () => (await status()) === 4 && runs().includes('2') && recorders().length === 1);

  const [recorder] = recorders();
  process.kill(server.pid, 'SIGSTOP');
  await pause(12_000);
  process.kill(server.pid, 'SIGCONT');
  await pause(3_000);
  expect(recorders()).toEqual([recorder]);

  await server.kill();
  server = await ServerProcess.start({ dataDir, env });
  expect(await status()).toBe(4);
  await until(async () => runs().includes('3'));
  expect(runs()).toEqual(['1', '2', '3']);

  const stopped = await client.stop(resourceId, sid, 'room', '9');
  expect(stopped).toMatchObject({ status: 206, body: { code: 435 } });
  const events = await told();
  expect(events.map(({ eventType }) => eventType)).toEqual([40, 30, 12, 12, 41, 11]);
  expect(events.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5]);
});

test('after an error that nobody caught recorders finish, the server fails, and the next start goes on', {
  timeout: 120_000,
}, async () => {
  const recorder = identityOf(recorders()[0]!);
  process.kill(server.pid, 'SIGUSR2');
  expect(await server.exitCode()).toBe(70);
  expect(server.log).toMatch(/"level":60.*a defect/);
  expect(identityOf(recorder!.pid)).toBeUndefined();
  server = await ServerProcess.start({ dataDir, env });
  expect(await status()).toBe(4);
  await until(async () => runs().includes('2'));
});

test('a start of its server that does not get its port leaves it to the next start', { timeout: 60_000 }, async () => {
  await server.kill();
  const other = createServer((socket) => socket.destroy()).listen(Number(env['AIRCHECK_PORT']), '127.0.0.1');
  await once(other, 'listening');
  await expect(ServerProcess.start({ dataDir, env })).rejects.toThrow(
    `cannot listen on TCP 127.0.0.1:${env['AIRCHECK_PORT']}: listen EADDRINUSE`,
  );
  other.close();
  await once(other, 'close');
  server = await ServerProcess.start({ dataDir, env });
  await until(async () => (await status()) === 4);
});
