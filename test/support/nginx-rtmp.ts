/**
 * nginx with its RTMP module as a server that takes live streams: on a port of its own, in a folder of its own, where
 * it keeps what it was sent, as FLV files.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

const MODULE = '/usr/lib/nginx/modules/ngx_rtmp_module.so';

export class NginxRtmp {
  readonly #dir: string;
  readonly #port: number;
  #process: ChildProcess | undefined;

  constructor(dir: string, port: number) {
    this.#dir = dir;
    this.#port = port;
    mkdirSync(this.recordings, { recursive: true });
    writeFileSync(
      join(dir, 'nginx.conf'),
      `load_module ${MODULE};
      daemon off; master_process off; pid ${dir}/nginx.pid; error_log ${dir}/error.log info;
      events {}
      rtmp { server { listen 127.0.0.1:${port}; access_log ${dir}/access.log;
        application live { live on; record all; record_path ${this.recordings}; record_unique on; }
      } }`,
    );
  }

  get recordings(): string {
    return join(this.#dir, 'flv');
  }

  /** FLV files of a stream, oldest first. */
  files(key: string): string[] {
    const names = readdirSync(this.recordings).filter((name) => name.startsWith(`${key}-`));
    return names.sort().map((name) => join(this.recordings, name));
  }

  url(key: string): string {
    return `rtmp://127.0.0.1:${this.#port}/live/${key}`;
  }

  /** Resolves once it listens. */
  async start(): Promise<void> {
    // Its log is opened before its configuration is read.
    const args = ['-c', join(this.#dir, 'nginx.conf'), '-p', this.#dir, '-e', join(this.#dir, 'error.log')];
    const child = spawn('/usr/sbin/nginx', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = child;
    let words = '';
    child.stderr.on('data', (chunk: Buffer) => {
      words += chunk.toString();
    });
    for (let tries = 0; !(await this.#isListening()); tries++) {
      if (tries > 200 || child.exitCode !== null) throw new Error(`nginx does not listen: ${words}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  signal(name: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process?.kill(name);
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  #isListening(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.#port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
  }
}
