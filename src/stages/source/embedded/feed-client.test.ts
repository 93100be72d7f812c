/**
 * The recorder's end of a feed, on a real socket: what it hands over is what was sent, however the bytes were cut.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { decodeRecorderEvent, encodeFeedEvent, encodeFeedFrame, FeedReader } from '../../../contract/line/feed.ts';
import type { Fault } from '../../../kernel/fault.ts';
import { FeedClient, type FeedListener } from './feed-client.ts';

let dir: string;
let server: Server;
let channel: Promise<Socket>;
const path = () => join(dir, 'feed.sock');

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-feed-client-'));
  server = createServer();
  channel = once(server, 'connection').then(([socket]) => socket as Socket);
  server.listen(path());
  await once(server, 'listening');
});

afterEach(() => {
  server.close();
  rmSync(dir, { recursive: true });
});

async function connect(hello: { generation: number; gatherMs?: number } = { generation: 1 }) {
  const caughtUp = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<Fault | undefined>();
  const client = await FeedClient.connect(path(), {
    hello,
    onCaughtUp: () => caughtUp.resolve(),
    onEnd: (fault) => ended.resolve(fault),
  });
  return { client, caughtUp: caughtUp.promise, ended: ended.promise, socket: await channel };
}

const listenerOf = (taken: Buffer[]): FeedListener => ({
  onEvent() {},
  onRtp: (_track, datagram) => taken.push(datagram),
  onRtcp() {},
});

test('hands over every packet as it was sent, though the reads end anywhere and memory is read into anew', async () => {
  const { client, ended, socket } = await connect();
  const packets = Array.from({ length: 900 }, (_, n) => {
    const packet = Buffer.alloc(20 + ((n * 131) % 1400), n);
    packet.writeUInt32BE(n, 0);
    return packet;
  });
  const bytes = Buffer.concat(packets.map((packet, n) => encodeFeedFrame('rtp', 1, 1000 + n, packet)));
  for (let at = 0, n = 1; at < bytes.length; n++) {
    const length = (n * 7919) % 40_000;
    if (!socket.write(bytes.subarray(at, at + length))) await once(socket, 'drain');
    at += length;
  }
  socket.end();
  expect(await ended).toBeUndefined();
  const taken: Buffer[] = [];
  client.take(1000 + packets.length, listenerOf(taken));
  client.close();
  // All of them are compared only now: later reads must not have written over earlier packets.
  expect(taken.length).toBe(packets.length);
  expect(taken.every((packet, n) => packet.equals(packets[n]!))).toBe(true);
});

test('tells the channel first which run reads and for how long media may be gathered', async () => {
  const { client, socket } = await connect({ generation: 3, gatherMs: 100 });
  const [hello] = new FeedReader().push((await once(socket, 'data'))[0] as Buffer);
  expect(decodeRecorderEvent(hello!.body)).toEqual({ type: 'hello', generation: 3, gatherMs: 100 });
  client.close();
  socket.end();
});

test('what may still be gathered has not been read: its present is that much behind', async () => {
  const { client, caughtUp, ended, socket } = await connect({ generation: 1, gatherMs: 100 });
  socket.write(encodeFeedEvent({ type: 'caughtUp' }, 5));
  await caughtUp;
  expect(await client.readUntil(() => 500_000)).toBe(400_000);
  socket.end();
  await ended;
  expect(await client.readUntil(() => 600_000)).toBe(600_000);
});

test('a feed of bytes that are none ends with a Fault, and keeps what was read before', async () => {
  const { client, caughtUp, ended, socket } = await connect();
  socket.write(encodeFeedFrame('rtp', 1, 7, Buffer.from('sound')));
  socket.write(encodeFeedEvent({ type: 'caughtUp' }, 7));
  await caughtUp;
  socket.write(Buffer.from([0, 1, 99]));
  expect((await ended)?.code).toBe('feed-frame-invalid');
  const taken: Buffer[] = [];
  client.take(7, listenerOf(taken));
  expect(taken.map(String)).toEqual(['sound']);
});
