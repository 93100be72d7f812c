/**
 * PgliteThread: the thread that runs PGlite (`pglite-worker.ts`), and the calls that it has not answered yet.
 */
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { messageOf } from '../kernel/fault.ts';
import type { Row } from './database.ts';

/** A request to the thread; the answer has the same `id`. */
export type PgliteCall = { id: number } & ({ sql: string; params: unknown[] } | { script: string } | { close: true });
/** The reply with `id` 0 tells that the database is open. */
export type PgliteReply = { id: number } & (
  | { rows: Row[] }
  | { error: { message: string; code?: string; detail?: string } }
);
type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

/** @param folder where the database lies, or is to lie; or `MEMORY` */
export function startPglite(folder: string): Worker {
  const entry = fileURLToPath(import.meta.url);
  return new Worker(join(entry, '..', `pglite-worker${extname(entry)}`), { workerData: folder });
}

export class PgliteThread {
  readonly opened: Promise<Row[]>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(rows: Row[]): void; reject(error: unknown): void }>();
  #calls = 0;
  #failure: Error | undefined;
  #isOpen = false;
  #isEnding = false;
  readonly #onLost: (why: Error) => void;

  /**
   * @param worker as of `startPglite`
   * @param onLost called once when the thread ends that has opened the database, and was not told to
   */
  constructor(worker: Worker, onLost: (why: Error) => void) {
    this.#worker = worker;
    this.#onLost = onLost;
    this.#worker.on('message', (reply: PgliteReply) => this.#answer(reply));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#worker.on('exit', () => this.#fail(new Error('the database thread has ended')));
    this.opened = this.#wait(0);
  }

  /** Returns the rows of all results. Rejects with an Error whose `code` is the SQLSTATE. */
  ask(call: Unnumbered<PgliteCall>): Promise<Row[]> {
    if (this.#failure) return Promise.reject(this.#failure);
    const id = ++this.#calls;
    const answer = this.#wait(id);
    this.#worker.postMessage({ ...call, id });
    return answer;
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#worker.terminate();
  }

  #wait(id: number): Promise<Row[]> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #answer(reply: PgliteReply): void {
    const call = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    this.#isOpen ||= reply.id === 0 && 'rows' in reply;
    if ('rows' in reply) call?.resolve(reply.rows);
    else call?.reject(Object.assign(new Error(reply.error.message), reply.error));
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    const failure = error instanceof Error ? error : new Error(messageOf(error));
    this.#failure = failure;
    for (const { reject } of this.#waiting.values()) reject(failure);
    this.#waiting.clear();
    if (this.#isOpen && !this.#isEnding) this.#onLost(failure);
  }
}
