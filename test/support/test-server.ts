/**
 * A server for integration tests: starts, is killed and started again on the same data folder with the same
 * credentials, and the REST calls of one client.
 */
import { randomBytes } from 'node:crypto';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { freeTcpPort, freeUdpPort, type Host, ServerProcess } from './server-process.ts';

export type Reply = { status: number; body: Record<string, unknown>; headers: Headers };

export type TestRecording = {
  sid: string;
  resourceId: string;
  /** Wall time around the start call, Unix milliseconds. */
  calledAtMs: number;
  answeredAtMs: number;
  query(): Promise<Reply>;
  update(clientRequest: object): Promise<Reply>;
  updateLayout(clientRequest: object): Promise<Reply>;
  /** The events it told so far, in order. */
  events(): Promise<Notice[]>;
  stop(clientRequest?: object, signal?: AbortSignal): Promise<Reply>;
};

export class TestServer {
  readonly dataDir: string;
  readonly #env: Record<string, string>;
  readonly #onLog: ((line: string) => void) | undefined;
  readonly #checkout: string | undefined;
  readonly #machine: Host | undefined;
  #process: ServerProcess | undefined;

  /**
   * @param env settings besides addresses and credentials
   * @param onLog takes each line that the server says
   * @param checkout as of ServerOptions
   * @param machine as of ServerOptions
   */
  constructor(
    dataDir: string,
    env: Record<string, string> = {},
    onLog?: (line: string) => void,
    checkout?: string,
    machine?: Host,
  ) {
    this.dataDir = dataDir;
    this.#onLog = onLog;
    this.#checkout = checkout;
    this.#machine = machine;
    this.#env = {
      AIRCHECK_APP_ID: randomBytes(16).toString('hex'),
      AIRCHECK_APP_CERTIFICATE: randomBytes(16).toString('hex'),
      AIRCHECK_CUSTOMER_ID: randomBytes(16).toString('hex'),
      AIRCHECK_CUSTOMER_SECRET: randomBytes(16).toString('hex'),
      // Tests ask often.
      AIRCHECK_RATE_LIMIT_PER_S: '0',
      ...env,
    };
  }

  get running(): ServerProcess {
    if (!this.#process) throw new Error('the server does not run');
    return this.#process;
  }
  get isRunning(): boolean {
    return this.#process !== undefined;
  }
  get baseUrl(): string {
    return this.running.url;
  }
  get appid(): string {
    return this.#env['AIRCHECK_APP_ID'] as string;
  }
  /**
   * Another server with the same settings and credentials, but a data folder and ports of its own.
   * @param env settings that differ
   * @param where the checkout that it is run from, and its machine; this one's checkout and no machine where left out
   */
  another(
    dataDir: string,
    env: Record<string, string> = {},
    where: { checkout?: string; machine?: Host } = {},
  ): TestServer {
    const { AIRCHECK_PORT: _port, AIRCHECK_RTC_PORT: _rtcPort, ...shared } = this.#env;
    return new TestServer(dataDir, { ...shared, ...env }, this.#onLog, where.checkout, where.machine);
  }
  /** The UDP port of all media; known once it was started. */
  get rtcPort(): number {
    return Number(this.#env['AIRCHECK_RTC_PORT']);
  }

  /** A server that is started again has the ports that it had: its clients know no others. */
  async start(): Promise<void> {
    this.#env['AIRCHECK_PORT'] ??= String(await freeTcpPort());
    this.#env['AIRCHECK_RTC_PORT'] ??= String(await freeUdpPort());
    const onLog = this.#onLog && { onLog: this.#onLog };
    const checkout = this.#checkout === undefined ? undefined : { checkout: this.#checkout };
    const machine = this.#machine && { machine: this.#machine };
    this.#process = await ServerProcess.start({
      dataDir: this.dataDir,
      env: this.#env,
      ...onLog,
      ...checkout,
      ...machine,
    });
  }

  /** @param timeoutMs as of ServerProcess */
  async end(timeoutMs?: number): Promise<void> {
    await this.#process?.stop(timeoutMs);
    this.#process = undefined;
  }

  /** Ends the server and leaves its recordings to the next start. */
  async hangUp(): Promise<void> {
    process.kill(this.running.pid, 'SIGHUP');
    await this.running.gone();
    this.#process = undefined;
  }

  /** Ends the server as a crash would; its recorders are left to themselves. */
  async kill(): Promise<void> {
    await this.running.kill();
    this.#process = undefined;
  }

  /** Resolves once it has ended with its machine; its recorders have as well. */
  async lost(): Promise<void> {
    await this.running.gone();
    this.#process = undefined;
  }

  token(cname: string, uid: string): string {
    return this.running.token(cname, uid);
  }

  /** One REST call below `/v1/apps/{appid}`. */
  async call(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<Reply> {
    return this.ask(method, `/v1/apps/${this.appid}${path}`, body, signal);
  }

  /** One call of any path. */
  async ask(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<Reply> {
    const pair = `${this.#env['AIRCHECK_CUSTOMER_ID']}:${this.#env['AIRCHECK_CUSTOMER_SECRET']}`;
    const response = await fetch(`${this.baseUrl}${path}`, {
      method,
      headers: {
        authorization: `Basic ${Buffer.from(pair).toString('base64')}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    return {
      status: response.status,
      body: (await response.json()) as Record<string, unknown>,
      headers: response.headers,
    };
  }

  /** acquire and start. Throws an Error when either is refused. */
  async record(
    cname: string,
    uid: string,
    clientRequest: object,
    mode: 'mix' | 'individual' | 'web' = 'mix',
  ): Promise<TestRecording> {
    const acquired = await this.call('POST', '/cloud_recording/acquire', {
      ...{ cname, uid, clientRequest: mode === 'web' ? { scene: 1 } : {} },
    });
    if (acquired.status !== 200) throw new Error(`acquire: ${acquired.status} ${JSON.stringify(acquired.body)}`);
    const resourceId = String(acquired.body['resourceId']);
    const path = `/cloud_recording/resourceid/${resourceId}`;
    const calledAtMs = Date.now();
    const started = await this.call('POST', `${path}/mode/${mode}/start`, {
      cname,
      uid,
      clientRequest: { token: this.token(cname, uid), ...clientRequest },
    });
    const answeredAtMs = Date.now();
    if (started.status !== 200) throw new Error(`start: ${started.status} ${JSON.stringify(started.body)}`);
    const sid = String(started.body['sid']);
    const task = `${path}/sid/${sid}/mode/${mode}`;
    return {
      sid,
      resourceId,
      calledAtMs,
      answeredAtMs,
      query: () => this.call('GET', `${task}/query`),
      update: (request) => this.call('POST', `${task}/update`, { cname, uid, clientRequest: request }),
      updateLayout: (request) => this.call('POST', `${task}/updateLayout`, { cname, uid, clientRequest: request }),
      events: () => this.events(sid),
      stop: (request = {}, signal) => this.call('POST', `${task}/stop`, { cname, uid, clientRequest: request }, signal),
    };
  }

  async events(sid: string): Promise<Notice[]> {
    const { body } = await this.call('GET', `/aircheck/events?sid=${sid}&limit=1000`);
    return (body['events'] as { notice: Notice }[]).map(({ notice }) => notice);
  }

  async participants(cname: string): Promise<{ uid: string; tracks: { kind: string; receiving: boolean }[] }[]> {
    const { body } = await this.call('GET', `/aircheck/channels/${cname}`);
    // Recorders are in the list as well.
    return (body['participants'] as { recorder: boolean }[]).filter(({ recorder }) => !recorder) as never;
  }
}

/** Storage in the server's own folder. */
export const localStorage = (bucket: string, fileNamePrefix: string[] = []) => ({
  vendor: 1000,
  region: 0,
  bucket,
  accessKey: 'any',
  secretKey: 'any',
  fileNamePrefix,
});

/** Waits for what the world, not this process, decides. Throws an Error that says what did not come. */
export async function until<T>(
  what: string,
  holds: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs: number,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const held = await holds();
    if (held) return held;
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
