import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import {
  decodeFeedEvent,
  encodeFeedEvent,
  FEED_ALIVE_MS,
  type FeedEvent,
  FeedReader,
} from '../../contract/line/feed.ts';
import { Feed } from './feed.ts';
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
