/**
 * A real server as a child process on free ports, with credentials of its own and a data folder of the caller's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { buildRtcToken } from '../../src/channel/whip/token.ts';
import { STARTED_FOR } from './processes.ts';

/** A machine of a test's own (machines.ts), as whoever starts something there sees it. */
export type Host = {
  readonly name: string;
  readonly address: string;
  /** What stands before a program and its arguments so that it runs there, in the same process. */
  readonly enter: readonly [string, ...string[]];
};

export type ServerOptions = {
  dataDir: string;
  /** Further AIRCHECK_… variables; ports that are not among them are free ones. */
  env?: Record<string, string>;
  /** Another checkout of this repository, with its packages, whose server is run instead of this one's. */
  checkout?: string;
  /** Where it runs; its ports are reached at that machine's address. */
  machine?: Host;
  /** Takes each line of the server's log; by default they are kept for error messages only. */
  onLog?: (line: string) => void;
};

const CHECKOUT = join(import.meta.dirname, '../..');
const MAIN = 'src/app/cli/main.ts';

export class ServerProcess {
  readonly url: string;
  readonly appid: string;
  readonly certificate: string;
  readonly customerId: string;
  readonly customerSecret: string;
  readonly dataDir: string;
  #child: ChildProcess;
  #log = '';

  /** Resolves once the server answers. Rejects with an Error that holds its last words when it does not. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const { AIRCHECK_PORT: port, AIRCHECK_RTC_PORT: rtcPort } = options.env ?? {};
    const server = new ServerProcess(
      options,
      port === undefined ? await freeTcpPort() : Number(port),
      rtcPort === undefined ? await freeUdpPort() : Number(rtcPort),
    );
    try {
      await server.#untilHealthy();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  private constructor(options: ServerOptions, port: number, rtcPort: number) {
    const { dataDir, env, checkout = CHECKOUT, machine, onLog } = options;
    this.dataDir = dataDir;
    this.url = `http://${machine?.address ?? '127.0.0.1'}:${port}`;
    this.appid = env?.['AIRCHECK_APP_ID'] ?? randomBytes(16).toString('hex');
    this.certificate = env?.['AIRCHECK_APP_CERTIFICATE'] ?? randomBytes(16).toString('hex');
    this.customerId = env?.['AIRCHECK_CUSTOMER_ID'] ?? randomBytes(8).toString('hex');
    this.customerSecret = env?.['AIRCHECK_CUSTOMER_SECRET'] ?? randomBytes(16).toString('hex');
    // Settings of whoever runs this must not reach a server that is to be like any other.
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_')));
    const [program, ...args] = [...(machine?.enter ?? []), process.execPath, join(checkout, MAIN), 'serve'];
    this.#child = spawn(program as string, args, {
      cwd: import.meta.dirname,
      env: {
        ...clean,
        AIRCHECK_PORT: String(port),
        AIRCHECK_RTC_PORT: String(rtcPort),
        AIRCHECK_DATA_DIR: dataDir,
        [STARTED_FOR]: dataDir,
        AIRCHECK_APP_ID: this.appid,
        AIRCHECK_APP_CERTIFICATE: this.certificate,
        AIRCHECK_CUSTOMER_ID: this.customerId,
        AIRCHECK_CUSTOMER_SECRET: this.customerSecret,
        ...(machine && addressesOf(machine)),
        ...env,
      },
      // A group of its own: Ctrl-C reaches the parent alone, which then stops the server in order.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#log = (this.#log + chunk.toString()).slice(-20_000);
        if (onLog) for (const line of chunk.toString().split('\n').filter(Boolean)) onLog(line);
      });
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }
  /** The last 20,000 characters of what the server said. */
  get log(): string {
    return this.#log;
  }
  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** The WHIP endpoint of a user, and a token that opens it. */
  whip(cname: string, uid: string): { url: string; token: string } {
    return { url: `${this.url}/whip/${this.appid}/${cname}?uid=${uid}`, token: this.token(cname, uid) };
  }

  token(cname: string, uid: string): string {
    return buildRtcToken({ appId: this.appid, certificate: this.certificate, cname, uid, lifeS: 86_400 });
  }

  /** Ends the server in order; kills it when it takes longer than `timeoutMs`. */
  async stop(timeoutMs = 30_000): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), timeoutMs);
    await exited;
    clearTimeout(timer);
  }

  /** Ends the server as a crash would. Resolves once it is gone. */
  async kill(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
  }

  /** Resolves once it has ended, whoever ended it. */
  async gone(): Promise<void> {
    if (!this.#ended) await once(this.#child, 'exit');
  }

  /** The code it ends with, once it has ended by itself; undefined when a signal ended it. */
  async exitCode(): Promise<number | undefined> {
    await this.gone();
    return this.#child.exitCode ?? undefined;
  }

  async #untilHealthy(): Promise<void> {
    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      if (this.#ended) throw new Error(`the server ended at its start:\n${this.#log}`);
      const healthy = await fetch(`${this.url}/healthz`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (healthy) return;
      await pause(100);
    }
    throw new Error(`the server does not answer within a minute:\n${this.#log}`);
  }
}

/** Settings of a server on a machine of its own. */
function addressesOf({ name, address }: Host): Record<string, string> {
  return {
    AIRCHECK_HOST: address,
    AIRCHECK_RTC_HOST: address,
    AIRCHECK_NODE_HOST: address,
    AIRCHECK_NODE_NAME: name,
  };
}

/** A port that was free a moment ago. */
export async function freeTcpPort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
