import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { Database } from './database.ts';
import { openPostgres } from './postgres.ts';

/** One message of the wire protocol (PostgreSQL documentation §54.7). */
function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
const READY = message('Z', Buffer.from('T'));
const WELCOME = Buffer.concat([message('R', Buffer.alloc(4)), READY]);
const DONE = Buffer.concat([message('C', Buffer.from('BEGIN\0')), READY]);

/** What a connection that an administrator ends is told last (PostgreSQL documentation, appendix A). */
const ENDED = message('E', Buffer.from('SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0'));

/** Speaks as much of the protocol as lets a client in and does whatever it asks. */
async function openFake(welcome: Buffer): Promise<{ url: string; sockets: Set<Socket>; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(welcome);
      socket.on('data', () => socket.write(DONE));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `postgres://somebody@127.0.0.1:${port}/any`,
    sockets,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function open(welcome = WELCOME) {
  const fake = await openFake(welcome);
  const database: Database = openPostgres(fake.url);
  opened.push(fake, database);
  return { fake, database };
}

/** What nobody caught while `run` went on, which would have ended a server. */
async function uncaughtDuring(run: () => Promise<void>): Promise<unknown[]> {
  const uncaught: unknown[] = [];
  const note = (error: unknown) => uncaught.push(error);
  process.on('uncaughtException', note);
  try {
    await run();
  } finally {
    process.off('uncaughtException', note);
  }
  return uncaught;
}

describe('a connection that breaks', () => {
  test('within a transaction, between two statements, fails that transaction alone', async () => {
    const { fake, database } = await open();
    const uncaught = await uncaughtDuring(async () => {
      const lost = database.transaction(async ({ query }) => {
        const broken = [...fake.sockets].map((socket) => once(socket, 'close'));
        for (const socket of fake.sockets) socket.destroy();
        await Promise.all(broken);
        return await query('select 1');
      });
      await expect(lost).rejects.toThrow(/connection|terminated|queryable/i);
    });
    expect(uncaught).toEqual([]);
    // The next one has a connection that works.
    await expect(database.transaction(async () => 'done')).resolves.toBe('done');
  });

  test('at the moment in which it is ready, fails what waited for it alone', async () => {
    const { database } = await open(Buffer.concat([WELCOME, ENDED]));
    const uncaught = await uncaughtDuring(async () => {
      await expect(database.transaction(async ({ query }) => query('select 1'))).rejects.toThrow(/queryable/);
      await expect(database.query('select 1')).rejects.toThrow(/terminating/);
    });
    expect(uncaught).toEqual([]);
  });
});
