/**
 * Digests of what is sent, made in a thread of their own: a large part would hold up the server's main thread, which
 * receives media, for tens of milliseconds.
 */
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { DigestAnswer, DigestTask, FileSha256 } from './digest-worker.ts';
import { type Digests, digestsOf, type PartDigests } from './digests-of.ts';

/** Fewer bytes than this are digested sooner than another thread is told of them. */
const SMALL_BYTES = 64 * 1024;

type Answer = Digests | PartDigests | FileSha256;

function startWorker(): Worker {
  const own = fileURLToPath(import.meta.url);
  return new Worker(join(own, '..', `digest-worker${extname(own)}`));
}

export class DigestThread {
  readonly #startWorker: () => Worker;
  #worker: Worker | undefined;
  #waiting = new Map<number, PromiseWithResolvers<Answer>>();
  #next = 0;

  constructor(start = startWorker) {
    this.#startWorker = start;
  }

  /** Rejects with an Error when the thread dies, or cannot read a file. */
  ask<A extends Answer>(task: DigestTask['task']): Promise<A> {
    const worker = this.#start();
    const answer = Promise.withResolvers<Answer>();
    const id = this.#next++;
    this.#waiting.set(id, answer);
    // The thread keeps the process alive only while somebody waits.
    worker.ref();
    worker.postMessage({ id, task } satisfies DigestTask);
    return answer.promise as Promise<A>;
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = this.#startWorker();
    this.#worker = worker;
    worker.on('message', (message: DigestAnswer) => {
      const waiting = this.#waiting.get(message.id);
      if ('error' in message) waiting?.reject(new Error(message.error));
      else waiting?.resolve(message.answer);
      this.#waiting.delete(message.id);
      if (this.#waiting.size === 0) worker.unref();
    });
    worker.on('error', (error) => this.#lose(worker, error));
    worker.on('exit', (code) => this.#lose(worker, new Error(`the thread that digests ended with ${code}`)));
    return worker;
  }

  /** The next request gets a new thread, which may be at work already when the failed one exits. */
  #lose(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const ownThread = new DigestThread();
let nextFile = 0;

/**
 * The digests of a file that is read in parts. The SHA-256 of the whole is built from the parts if all were read here
 * in order; else, as when some were confirmed before a restart, the file is read again for it.
 */
export class FileDigest {
  readonly #path: string;
  readonly #bytes: number;
  readonly #thread: DigestThread;
  readonly #id = nextFile++;
  #isBegun = false;

  constructor(path: string, bytes: number, thread = ownThread) {
    this.#path = path;
    this.#bytes = bytes;
    this.#thread = thread;
  }

  /**
   * Digests the bytes that begin at `at` of the file; those of a SharedArrayBuffer must not change meanwhile. Rejects
   * with an Error when the thread dies.
   * @param signed whether a part gets its own SHA-256, which costs as much as that of the whole
   */
  async part(data: Buffer, at: number, signed = false): Promise<PartDigests> {
    const isWhole = data.length === this.#bytes;
    if (!isShared(data) || (isWhole && data.length <= SMALL_BYTES)) return digestsOf(data);
    const { buffer: memory, byteOffset: offset, length } = data;
    if (isWhole) return this.#thread.ask<Digests>({ memory, offset, length });
    this.#isBegun = true;
    return this.#thread.ask<PartDigests>({ memory, offset, length, file: { id: this.#id, at }, signed });
  }

  /** Rejects with an Error when the thread dies or the file cannot be read; undefined when the file has changed. */
  async whole(): Promise<string | undefined> {
    const running = await this.#end();
    const isComplete = running?.bytes === this.#bytes;
    const { bytes, sha256 } = isComplete ? running : await this.#thread.ask<FileSha256>({ path: this.#path });
    return bytes === this.#bytes ? sha256 : undefined;
  }

  /** Makes the thread forget the file. */
  async close(): Promise<void> {
    await this.#end();
  }

  async #end(): Promise<FileSha256 | undefined> {
    if (!this.#isBegun) return undefined;
    this.#isBegun = false;
    return this.#thread.ask<FileSha256>({ end: this.#id });
  }
}

function isShared(data: Buffer): data is Buffer<SharedArrayBuffer> {
  return data.buffer instanceof SharedArrayBuffer;
}
