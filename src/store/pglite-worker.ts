/**
 * The thread that runs PGlite: it takes one statement after the other from `pglite-thread.ts`. PGlite's WebAssembly
 * works for milliseconds at a time, and packets must not wait for it.
 */
import { setFlagsFromString } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { PgliteParts } from './pglite-parts.ts';
import type { PgliteCall, PgliteReply } from './pglite-thread.ts';

// V8 would compile Postgres a second time, optimised, which takes 500 MB and a core for seconds. The result of the
// first compilation is fast enough. The flag applies from here on, and only to what is loaded later.
setFlagsFromString('--no-wasm-tier-up');
setFlagsFromString('--no-wasm-dynamic-tiering');
const { PGlite } = await import('@electric-sql/pglite');

/** Sizes for one connection and some thousand rows; Postgres's defaults are meant for many of both. */
const SMALL = {
  shared_buffers: '1MB',
  max_connections: '5',
  wal_buffers: '64kB',
  work_mem: '1MB',
  maintenance_work_mem: '1MB',
  min_wal_size: '32MB',
  max_wal_size: '32MB',
};

/** What a driver's error holds besides its message; an Error loses it on the way to another thread. */
function told(error: unknown): Extract<PgliteReply, { error: unknown }>['error'] {
  const { message, code, detail } = error as { message?: unknown; code?: unknown; detail?: unknown };
  return {
    message: String(message ?? error),
    ...(typeof code === 'string' && { code }),
    ...(typeof detail === 'string' && { detail }),
  };
}

const port = parentPort;
if (!port) throw new Error('pglite-worker.ts runs in a worker thread');
const reply = (answer: PgliteReply) => port.postMessage(answer);
const settings = Object.entries(SMALL).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
const startParams = [...PGlite.defaultStartParams, ...settings];
/** Why Postgres would not start, in its own words: PGlite says only that it did not. */
const reasons: string[] = [];
const onStderr = (line: string) => {
  const [, reason] = /(?:FATAL|PANIC): +(.+)/.exec(line) ?? [];
  if (reason !== undefined) reasons.push(reason);
  return true;
};
const opening = open();
async function open() {
  const parts = await PgliteParts.load();
  const database = await PGlite.create(workerData as string, { ...parts.options, startParams, onStderr });
  parts.thin(database);
  return database;
}
opening.then(
  () => reply({ id: 0, rows: [] }),
  (error) => {
    const { message, ...rest } = told(error);
    reply({ id: 0, error: { ...rest, message: [message, ...reasons].join(': ') } });
  },
);

port.on('message', async ({ id, ...call }: PgliteCall) => {
  try {
    const db = await opening;
    if ('close' in call) await db.close();
    const results = 'script' in call ? await db.exec(call.script) : [];
    if ('sql' in call) results.push(await db.query(call.sql, call.params));
    reply({ id, rows: results.flatMap(({ rows }) => rows as Record<string, unknown>[]) });
  } catch (error) {
    reply({ id, error: told(error) });
    // After an abort WebAssembly answers nothing any more, and neither would this thread.
    if (error instanceof Error && error.name === 'RuntimeError') throw error;
  }
});
