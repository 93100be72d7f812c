/**
 * Digests of what is sent, made in a thread of their own: a large part would hold up the server's thread for tens of
 * milliseconds, and that thread takes in media.
 */
import { Worker } from 'node:worker_threads';
import type { DigestAnswer, DigestTask } from './digest-worker.ts';
import { type Digests, digestsOf } from './digests-of.ts';

/** Less than this is digested sooner than told to another thread. */
const SMALL_BYTES = 64 * 1024;

class DigestThread {
  #worker: Worker | undefined;
  #waiting = new Map<number, PromiseWithResolvers<Digests>>();
  #next = 0;

  /**
   * @param data bytes of a SharedArrayBuffer that stay as they are meanwhile. Rejects with an Error when the thread
   * dies.
   */
  digest(data: Buffer<SharedArrayBuffer>): Promise<Digests> {
    const worker = this.#start();
    const answer = Promise.withResolvers<Digests>();
    const id = this.#next++;
    this.#waiting.set(id, answer);
    // It keeps the process alive while somebody waits, and no longer.
    worker.ref();
    worker.postMessage({ id, memory: data.buffer, offset: data.byteOffset, length: data.length } satisfies DigestTask);
    return answer.promise;
  }

  #start(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./digest-worker.ts', import.meta.url));
    this.#worker = worker;
    worker.on('message', ({ id, digests }: DigestAnswer) => {
      this.#waiting.get(id)?.resolve(digests);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
    });
    worker.on('error', (error) => this.#lose(error));
    worker.on('exit', (code) => this.#lose(new Error(`the thread that digests ended with ${code}`)));
    return worker;
  }

  /** Whoever asks next has a new thread. */
  #lose(error: Error): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

const thread = new DigestThread();

/** MD5 and SHA-256 of the bytes. */
export async function digest(data: Buffer): Promise<Digests> {
  return data.length > SMALL_BYTES && isShared(data) ? thread.digest(data) : digestsOf(data);
}

function isShared(data: Buffer): data is Buffer<SharedArrayBuffer> {
  return data.buffer instanceof SharedArrayBuffer;
}
