/**
 * PGlite, a Postgres inside this process, as Database. It runs in a thread of its own (`pglite-worker.ts`) and has one
 * connection, so transactions take turns.
 */
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Database, Queryable, Row } from './database.ts';

/** A request to the thread; the answer has the same `id`. */
export type PgliteCall = { id: number } & ({ sql: string; params: unknown[] } | { script: string } | { close: true });
/** The reply with `id` 0 tells that the database is open. */
export type PgliteReply = { id: number } & (
  | { rows: Row[] }
  | { error: { message: string; code?: string; detail?: string } }
);
type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

const OPENS_TRANSACTION = /^\s*begin\b/i;

/**
 * Rejects with a Fault when the folder holds no database that can be opened.
 * @param folder where the database lies, or `memory://`
 */
export async function openPglite(folder: string): Promise<Database> {
  const description = folder === 'memory://' ? 'PGlite in memory' : `PGlite in ${folder}`;
  const thread = new PgliteThread(folder);
  try {
    await thread.opened;
  } catch (cause) {
    await thread.end();
    throw new Fault('database-unusable', `the database (${description}) cannot be opened: ${messageOf(cause)}`, {
      blame: 'self',
      cause,
    });
  }
  const inside: Queryable = { query: (sql, params = []) => thread.ask({ sql, params }) };
  const turns = new Turns();
  const transaction: Database['transaction'] = (run) =>
    turns.take(async () => {
      await thread.ask({ script: 'begin' });
      try {
        const result = await run(inside);
        await thread.ask({ script: 'commit' });
        return result;
      } catch (error) {
        // The caller wants the first error; and a thread that is gone cannot roll back.
        await thread.ask({ script: 'rollback' }).catch(() => undefined);
        throw error;
      }
    });
  return {
    description,
    exclusive: true,
    script(sql) {
      // A script that opens a transaction may fail inside it. The next user of the one connection would find that
      // failed transaction, so it is undone in the same turn. Outside a transaction `rollback` does nothing.
      return turns.take(() =>
        thread.ask({ script: sql }).catch(async (error) => {
          if (OPENS_TRANSACTION.test(sql)) await thread.ask({ script: 'rollback' }).catch(() => undefined);
          throw error;
        }),
      );
    },
    query: (sql, params) => turns.take(() => inside.query(sql, params)),
    transaction,
    connect: async () => ({
      query: (sql, params) => turns.take(() => inside.query(sql, params)),
      close: async () => {},
    }),
    close: () =>
      turns.take(async () => {
        await thread.ask({ close: true });
        await thread.end();
      }),
  };
}

/** Lets one piece of work at a time use the connection, in order of arrival. */
class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}

/** The thread, and the calls that it has not answered yet. */
class PgliteThread {
  readonly opened: Promise<Row[]>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(rows: Row[]): void; reject(error: unknown): void }>();
  #calls = 0;
  #failure: Error | undefined;

  constructor(folder: string) {
    const entry = fileURLToPath(import.meta.url);
    this.#worker = new Worker(join(entry, '..', `pglite-worker${extname(entry)}`), { workerData: folder });
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
    await this.#worker.terminate();
  }

  #wait(id: number): Promise<Row[]> {
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #answer(reply: PgliteReply): void {
    const call = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('rows' in reply) call?.resolve(reply.rows);
    else call?.reject(Object.assign(new Error(reply.error.message), reply.error));
  }

  #fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(messageOf(error));
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
