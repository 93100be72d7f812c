/**
 * The thread that PGlite runs in: one statement after the other for `pglite.ts`. Its WebAssembly works for milliseconds
 * at a time, and packets must not wait for it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { PGlite } from '@electric-sql/pglite';
import type { PgliteCall, PgliteReply } from './pglite.ts';

/** What a driver's error tells beside its words; an Error loses it on its way to another thread. */
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
const opening = PGlite.create(workerData as string);
opening.then(
  () => reply({ id: 0, rows: [] }),
  (error) => reply({ id: 0, error: told(error) }),
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
  }
});
