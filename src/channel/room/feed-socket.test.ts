import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import {
  decodeFeedEvent,
  encodeFeedEvent,
  FEED_ALIVE_MS,
  FEED_GATHER_MS,
  FEED_HEADER_BYTES,
  type FeedEvent,
  FeedReader,
} from '../../contract/line/feed.ts';
import { Feed } from './feed.ts';
import { FeedConnection } from './feed-connection.ts';
import { FeedSocket } from './feed-socket.ts';

const log = { info() {}, warn() {} };

test('a recorder is told that the channel is there, from when it has caught up until it leaves', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-feed-socket-'));
  const clock = new ManualClock();
  let order = 0;
  const feed = new Feed({
    ...{ videoStreamType: 0, openedUs: clock.monoUs(), utcMs: clock.nowMs(), present: [] },
    ...{ nextOrder: () => ++order, onDropped() {} },
  });
  const socket = new FeedSocket({ clock, log, path: join(dir, 'feed.sock'), feed });
  await socket.listen();
  try {
    // Nobody is there to be told.
    clock.advance(3 * FEED_ALIVE_MS);
    const recorder = createConnection(socket.path);
    await once(recorder, 'connect');
    recorder.write(encodeFeedEvent({ type: 'hello', generation: 1 }, 0));
    const reader = new FeedReader();
    const told: { type: FeedEvent['type']; atUs: number }[] = [];
    const hear = async (count: number) => {
      while (told.length < count)
        for (const frame of reader.push((await once(recorder, 'data'))[0]))
          told.push({ type: decodeFeedEvent(frame.body).type, atUs: frame.arrivalUs });
    };
    await hear(2);
    expect(told.map(({ type }) => type)).toEqual(['hello', 'caughtUp']);
    for (const count of [3, 4]) {
      clock.advance(FEED_ALIVE_MS);
      await hear(count);
      expect(told.at(-1)).toEqual({ type: 'alive', atUs: clock.monoUs() });
    }
    socket.close();
    await once(recorder, 'end');
    clock.advance(5 * FEED_ALIVE_MS);
    expect(told).toHaveLength(4);
  } finally {
    socket.close();
    rmSync(dir, { recursive: true });
  }
});

test('media is gathered for as long as the recorder wants, and comes with the next event at the latest', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-feed-socket-'));
  const clock = new ManualClock();
  const connected = Promise.withResolvers<void>();
  const written: number[] = [];
  const server = createServer((socket) => {
    const connection = new FeedConnection(socket, {
      ...{ clock, log, onEvent() {}, onKeyFrameWanted() {}, onDrained() {}, onClose() {} },
    });
    connection.writeMedia('rtp', 1, Buffer.from('a'), 0);
    clock.advance(FEED_GATHER_MS);
    written.push(socket.bytesWritten);
    connection.gatherFor(100);
    connection.writeMedia('rtp', 1, Buffer.from('b'), 0);
    clock.advance(99);
    written.push(socket.bytesWritten);
    clock.advance(1);
    written.push(socket.bytesWritten);
    connection.writeMedia('rtp', 1, Buffer.from('c'), 0);
    connection.writeEvent({ type: 'alive' }, 0);
    connection.end();
    connected.resolve();
  });
  try {
    server.listen(join(dir, 'feed.sock'));
    await once(server, 'listening');
    const recorder = createConnection(join(dir, 'feed.sock'));
    const reader = new FeedReader();
    const kinds: string[] = [];
    recorder.on('data', (chunk: Buffer) =>
      kinds.push(...reader.push(chunk).map(({ kind, body }) => kind + body.length)),
    );
    await connected.promise;
    await once(recorder, 'end');
    const one = FEED_HEADER_BYTES + 1;
    expect(written).toEqual([one, one, 2 * one]);
    expect(kinds.slice(0, 3)).toEqual(['rtp1', 'rtp1', 'rtp1']);
    expect(kinds).toHaveLength(4);
  } finally {
    server.close();
    rmSync(dir, { recursive: true });
  }
});
