/**
 * A real S3 server (s3rver) in a process of its own, for tests of uploading; and a bucket's address that takes
 * connections and never answers.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorageConfig } from '../../src/contract/line/storage.ts';

/** The one pair of keys that the server knows. */
export const S3_KEYS = { accessKey: 'S3RVER', secretKey: 'S3RVER' };

export class S3Server {
  readonly port: number;
  #child: ChildProcess;
  #dir: string;

  private constructor(port: number, child: ChildProcess, dir: string) {
    this.port = port;
    this.#child = child;
    this.#dir = dir;
  }

  /** Starts a server without buckets on a free port of the loopback address. */
  static async start(): Promise<S3Server> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-s3-'));
    const child = fork(join(import.meta.dirname, 's3-server-process.ts'), [dir], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const port = await new Promise<number>((resolve, reject) => {
      child.once('message', (message: { port: number }) => resolve(message.port));
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`the S3 server ended with ${code}`)));
    });
    return new S3Server(port, child, dir);
  }

  /** Makes a bucket, as its owner would have before recording to it. */
  addBucket(name: string): void {
    mkdirSync(join(this.#dir, name), { recursive: true });
  }

  /** The storageConfig of vendor 11 for a bucket of this server. */
  storage(bucket: string, more: Partial<StorageConfig> = {}): StorageConfig {
    const extensionParams = { endpoint: `http://127.0.0.1:${this.port}` };
    return { vendor: 11, region: 0, bucket, ...S3_KEYS, fileNamePrefix: [], extensionParams, ...more };
  }

  /** Names of the files with which the server keeps its objects, for "nothing else was stored". */
  objectFiles(bucket: string): string[] {
    return readdirSync(join(this.#dir, bucket), { recursive: true, encoding: 'utf8' }).sort();
  }

  /** What is stored under a key. Throws when nothing is. */
  read(bucket: string, key: string): Buffer {
    return readFileSync(join(this.#dir, bucket, `${key}._S3rver_object`));
  }

  /** Ends the process, so that its port refuses connections, and removes what was stored. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill();
      await ended;
    }
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Accepts connections and never answers on them. */
export class HangingServer {
  readonly port: number;
  #server: Server;
  #sockets: Set<Socket>;

  private constructor(port: number, server: Server, sockets: Set<Socket>) {
    this.port = port;
    this.#server = server;
    this.#sockets = sockets;
  }

  static async start(): Promise<HangingServer> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return new HangingServer(address.port, server, sockets);
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
