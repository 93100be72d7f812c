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
import { describe, expect, type TestContext, test } from 'vitest';
import { identityOf } from '../../src/worker/process-identity.ts';
import { recordersOf } from '../support/processes.ts';
import { RecordingClient } from '../support/rest-client.ts';
import { freeTcpPort, freeUdpPort, ServerProcess } from '../support/server-process.ts';

/** A defect that a signal brings out. */
const DEFECT = `process.on('SIGUSR2', () => setImmediate(() => { throw new Error('a defect') }))`;

/** A server that records one channel, and its client. */
class Scene {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'aircheck-goes-on-'));
  /** The same for each start of the server. */
  readonly env: Record<string, string>;
  server!: ServerProcess;
  client!: RecordingClient;
  resourceId = '';
  sid = '';

  static async open({ onTestFinished }: TestContext): Promise<Scene> {
    const scene = new Scene(await freeTcpPort(), await freeUdpPort());
    onTestFinished(() => scene.#close());
    await scene.start();
    await scene.#record();
    return scene;
  }

  private constructor(port: number, rtcPort: number) {
    this.env = {
      AIRCHECK_PORT: String(port),
      AIRCHECK_RTC_PORT: String(rtcPort),
      AIRCHECK_APP_ID: 'a'.repeat(32),
      AIRCHECK_CUSTOMER_ID: 'id',
      AIRCHECK_CUSTOMER_SECRET: 'secret',
      AIRCHECK_WARM_RECORDERS: '0',
      AIRCHECK_RATE_LIMIT_PER_S: '0',
      NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(DEFECT)}"`,
    };
  }

  async start(): Promise<void> {
    this.server = await ServerProcess.start({ dataDir: this.dataDir, env: this.env });
  }

  async #record(): Promise<void> {
    this.client = new RecordingClient(this.server);
    this.resourceId = String((await this.client.acquire('room', '9')).body['resourceId']);
    const started = await this.client.startMix(this.resourceId, {
      cname: 'room',
      uid: '9',
      token: this.server.token('room', '9'),
      recordingConfig: { maxIdleTime: 60, streamTypes: 2 },
      storageConfig: { vendor: 1000, region: 0, bucket: 'b', accessKey: 'k', secretKey: 's' },
    });
    this.sid = String(started.body['sid']);
    await until(async () => (await this.status()) === 4);
  }

  async #close(): Promise<void> {
    await this.server?.stop();
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** What query says; never that there is no such recording. */
  async status(): Promise<unknown> {
    const { status: code, body } = await this.client.query(this.resourceId, this.sid);
    expect(code).toBe(200);
    return Number((body['serverResponse'] as { status: unknown }).status);
  }

  /** The recording's events, in their order. */
  async told(): Promise<{ eventType: number; sequence: number }[]> {
    const { url, appid, customerId, customerSecret } = this.server;
    const authorization = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
    const answer = await fetch(`${url}/v1/apps/${appid}/aircheck/events?sid=${this.sid}`, {
      headers: { authorization },
    });
    const { events } = (await answer.json()) as {
      events: { notice: { eventType: number; payload: { sequence: number } } }[];
    };
    return events.map(({ notice }) => ({ eventType: notice.eventType, sequence: notice.payload.sequence }));
  }

  runs(): string[] {
    return readdirSync(join(this.dataDir, 'spool', this.sid)).sort();
  }

  recorders(): number[] {
    return recordersOf(this.server.pid);
  }
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await pause(50);
}

// Side by side: nobody sends anything, and each waits for most of its time.
describe.concurrent('a recording that nobody sends to', () => {
  test('a recording outlives its recorder, 12 s of a server that stands still, and its server', {
    timeout: 120_000,
  }, async (context) => {
    const scene = await Scene.open(context);
    process.kill(scene.recorders()[0]!, 'SIGKILL');
    await until(
      async () => (await scene.status()) === 4 && scene.runs().includes('2') && scene.recorders().length === 1,
    );

    const [recorder] = scene.recorders();
    process.kill(scene.server.pid, 'SIGSTOP');
    await pause(12_000);
    process.kill(scene.server.pid, 'SIGCONT');
    await pause(3_000);
    expect(scene.recorders()).toEqual([recorder]);

    await scene.server.kill();
    await scene.start();
    expect(await scene.status()).toBe(4);
    await until(async () => scene.runs().includes('3'));
    expect(scene.runs()).toEqual(['1', '2', '3']);

    const stopped = await scene.client.stop(scene.resourceId, scene.sid, 'room', '9');
    expect(stopped).toMatchObject({ status: 206, body: { code: 435 } });
    const events = await scene.told();
    expect(events.map(({ eventType }) => eventType)).toEqual([40, 30, 12, 12, 41, 11]);
    expect(events.map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('after an error that nobody caught recorders finish, the server fails, and the next start goes on', {
    timeout: 120_000,
  }, async (context) => {
    const scene = await Scene.open(context);
    const recorder = identityOf(scene.recorders()[0]!);
    process.kill(scene.server.pid, 'SIGUSR2');
    expect(await scene.server.exitCode()).toBe(70);
    expect(scene.server.log).toMatch(/"level":60.*a defect/);
    expect(identityOf(recorder!.pid)).toBeUndefined();
    await scene.start();
    expect(await scene.status()).toBe(4);
    await until(async () => scene.runs().includes('2'));
  });

  test('a server that is told to hang up ends in order, and the next start goes on', {
    timeout: 60_000,
  }, async (context) => {
    const scene = await Scene.open(context);
    const recorder = identityOf(scene.recorders()[0]!);
    process.kill(scene.server.pid, 'SIGHUP');
    expect(await scene.server.exitCode()).toBe(0);
    expect(identityOf(recorder!.pid)).toBeUndefined();
    await scene.start();
    expect(await scene.status()).toBe(4);
    await until(async () => scene.runs().includes('2'));
    const stopped = await scene.client.stop(scene.resourceId, scene.sid, 'room', '9');
    expect(stopped).toMatchObject({ status: 206, body: { code: 435 } });
    // Nothing told of an end before.
    expect((await scene.told()).map(({ eventType }) => eventType)).toEqual([40, 30, 12, 41, 11]);
  });

  test('a start of its server that does not get its port leaves it to the next start', {
    timeout: 60_000,
  }, async (context) => {
    const scene = await Scene.open(context);
    await scene.server.kill();
    const other = createServer((socket) => socket.destroy()).listen(Number(scene.env['AIRCHECK_PORT']), '127.0.0.1');
    await once(other, 'listening');
    await expect(scene.start()).rejects.toThrow(
      `cannot listen on TCP 127.0.0.1:${scene.env['AIRCHECK_PORT']}: listen EADDRINUSE`,
    );
    other.close();
    await once(other, 'close');
    await scene.start();
    await until(async () => (await scene.status()) === 4);
  });
});
