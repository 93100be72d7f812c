/**
 * OpenStack Swift with its S3 API, as Debian has it, in a process and a folder of its own: an S3-compatible store that
 * others run. It checks signatures, digests and regions, and knows neither tags nor encryption.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { StorageConfig } from '../../../src/contract/line/storage.ts';

/** The one user of the servers. */
export const SWIFT_KEYS = { accessKey: 'test:tester', secretKey: 'testing' };
/** Not the region that an S3 client takes for granted. */
export const SWIFT_REGION = 'eu-fra';
/** Debian's own Python: the libraries are in no other. */
const PYTHON = '/usr/bin/python3';

export class SwiftServer {
  readonly endpoint: string;
  #child: ChildProcess;
  #dir: string;

  private constructor(port: number, child: ChildProcess, dir: string) {
    this.endpoint = `http://127.0.0.1:${port}`;
    this.#child = child;
    this.#dir = dir;
  }

  /** Resolves once it listens. Rejects with an Error that holds its last words when it ends instead. */
  static async start(): Promise<SwiftServer> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-swift-'));
    const child = spawn(PYTHON, [join(import.meta.dirname, 'serve.py'), dir, SWIFT_REGION]);
    let words = '';
    child.stderr.on('data', (chunk) => {
      words = `${words}${chunk}`.slice(-4000);
    });
    const ended = once(child, 'exit').then(([code]) => {
      rmSync(dir, { recursive: true, force: true });
      throw new Error(`Swift ended with ${code}: ${words}`);
    });
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
    ended.catch(() => undefined);
    return new SwiftServer((JSON.parse(line as string) as { port: number }).port, child, dir);
  }

  storage(bucket: string, more: Partial<StorageConfig> = {}): StorageConfig {
    const { extensionParams, ...rest } = more;
    return {
      ...{ vendor: 11, region: 0, bucket, ...SWIFT_KEYS, fileNamePrefix: [] },
      extensionParams: { endpoint: this.endpoint, ...extensionParams },
      ...rest,
    };
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    // It ends when nobody holds its input any more.
    this.#child.stdin?.end();
    await ended;
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
