import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { PgliteThread } from './pglite-thread.ts';

/** A thread that opens a database and ends at the first call, in place of PGlite's. */
const shortLived = (opens: boolean) =>
  new Worker(
    `const { parentPort } = require('node:worker_threads');
     ${opens ? 'parentPort.postMessage({ id: 0, rows: [] });' : ''}
     parentPort.on('message', () => process.exit(1));`,
    { eval: true },
  );

test('a thread that ends by itself is told of once, and fails what waits and what comes', async () => {
  const lost = Promise.withResolvers<Error>();
  const thread = new PgliteThread(shortLived(true), lost.resolve);
  await thread.opened;
  const calls = [thread.ask({ script: 'select 1' }), thread.ask({ script: 'select 2' })];
  for (const call of calls) await expect(call).rejects.toThrow('the database thread has ended');
  expect((await lost.promise).message).toBe('the database thread has ended');
  await expect(thread.ask({ script: 'select 3' })).rejects.toThrow('the database thread has ended');
});

test('one that never opened, or was ended, is not told of', async () => {
  const told: Error[] = [];
  const unopened = new PgliteThread(shortLived(false), (why) => told.push(why));
  await expect(unopened.ask({ script: 'select 1' })).rejects.toThrow('the database thread has ended');
  await expect(unopened.opened).rejects.toThrow('the database thread has ended');
  const ended = new PgliteThread(shortLived(true), (why) => told.push(why));
  await ended.opened;
  await ended.end();
  expect(told).toEqual([]);
});
