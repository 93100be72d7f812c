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

const failed = (severity: string, code: string, words: string) =>
  message('E', Buffer.from(`S${severity}\0C${code}\0M${words}\0\0`));
/** What a connection that an administrator ends is told last (PostgreSQL documentation, appendix A). */
const ENDED = failed('FATAL', '57P01', 'terminating connection due to administrator command');

/** Speaks as much of the protocol as lets a client in and does whatever it asks, or gives these answers first. */
async function openFake(
  welcome: Buffer,
  answers: Buffer[],
): Promise<{ url: string; sockets: Set<Socket>; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(welcome);
      socket.on('data', () => socket.write(answers.shift() ?? DONE));
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

async function open(welcome = WELCOME, answers: Buffer[] = []) {
  const fake = await openFake(welcome, answers);
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

describe('a connection of its own, whose database answers', () => {
  /** What becomes of it when its first statement fails so. */
  async function after(code: string) {
    const { fake, database } = await open(WELCOME, [
      DONE, // of how it writes
      Buffer.concat([failed('ERROR', code, 'no'), READY]),
    ]);
    let lost = 0;
    const connection = await database.connect(() => void lost++);
    const [socket] = fake.sockets;
    await expect(connection.query('select 1')).rejects.toMatchObject({ code });
    return { connection, socket: socket!, lost: () => lost };
  }

  test('that a statement took too long, is kept', async () => {
    const { connection, socket, lost } = await after('57014');
    await expect(connection.query('select 1')).resolves.toEqual([]);
    expect(lost()).toBe(0);
    expect(socket.destroyed).toBe(false);
    await connection.close();
    expect(lost()).toBe(0);
  });

  test('that it takes no writes any more, is given up for another', async () => {
    const { connection, socket, lost } = await after('25006');
    expect(lost()).toBe(1);
    if (!socket.closed) await once(socket, 'close');
    await expect(connection.query('select 1')).rejects.toThrow(/closed|ended|queryable/);
    expect(lost()).toBe(1);
  });
});
