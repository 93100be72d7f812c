/**
 * PGlite, a Postgres inside this process, as Database. It runs in a thread of its own (`pglite-worker.ts`) and has one
 * connection, so transactions take turns.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Database, Queryable } from './database.ts';
import { PgliteThread, startPglite } from './pglite-thread.ts';

/** In place of a folder: a database that is gone when it is closed. */
export const MEMORY = 'memory://';
/** The file that makes a folder a database, for PGlite as for us. Whoever copies a database writes it last. */
export const SEAL = 'PG_VERSION';
/**
 * Lies in the folder of a database from before its first file until it has been opened once: what is there meanwhile
 * holds nothing of anybody, whatever state it is in.
 */
export const UNUSED = 'aircheck-unused';
const OPENS_TRANSACTION = /^\s*begin\b/i;

export function isDatabase(folder: string): boolean {
  return existsSync(join(folder, SEAL));
}

/** Whether nothing can have been written to the database in the folder yet, so that it may be made anew. */
export function isUnused(folder: string): boolean {
  return existsSync(join(folder, UNUSED));
}

/**
 * Opens a database, which PGlite makes where there is none. Rejects with a Fault when it cannot be opened.
 * @param folder where the database lies, or `MEMORY`
 */
export async function openPglite(folder: string): Promise<Database> {
  const description = folder === MEMORY ? 'PGlite in memory' : `PGlite in ${folder}`;
  // Nothing can be stored any more, and only a new process has another database: it is for whoever ends this one after
  // an error that nobody caught.
  const thread = new PgliteThread(startPglite(folder), (why) => {
    throw new Fault('database-lost', `the database (${description}) is gone: ${why.message}`, {
      blame: 'self',
      cause: why,
    });
  });
  try {
    await thread.opened;
  } catch (cause) {
    await thread.end();
    throw new Fault('database-unusable', `the database (${description}) cannot be opened: ${messageOf(cause)}`, {
      blame: 'self',
      cause,
    });
  }
  const ask: Queryable['query'] = (sql, params = []) => thread.ask({ sql, params });
  const inside = { query: ask, repeated: ask };
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
    query: (sql, params) => turns.take(() => ask(sql, params)),
    repeated: (sql, params) => turns.take(() => ask(sql, params)),
    transaction,
    connect: async () => ({
      query: (sql, params) => turns.take(() => ask(sql, params)),
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
