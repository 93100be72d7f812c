/**
 * Real publishers come into the embedded channel over WHIP: Chromium by the publish page, and FFmpeg's own client.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, createConnection } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Participant } from '../../src/channel/room/rooms.ts';
import { openPeerHost } from '../../src/channel/whip/peer.ts';
import {
  decodeFeedEvent,
  encodeFeedEvent,
  type FeedEvent,
  type FeedFrame,
  FeedReader,
} from '../../src/contract/line/feed.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { startsKeyFrame } from '../../src/stages/rtp/key-frame.ts';
import { parsePacket } from '../../src/stages/rtp/parse-packet.ts';
import { parseCompound } from '../../src/stages/rtp/rtcp.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { until } from '../support/test-server.ts';
import { quietLog, WhipServer } from '../support/whip-server.ts';

let server: WhipServer;
let browser: Browser | undefined;

beforeAll(async () => {
  server = await WhipServer.start();
});
afterEach(async () => {
  await browser?.close();
  browser = undefined;
});
afterAll(() => server.close());

const trackOf = (participant: Participant | undefined, kind: 'audio' | 'video') =>
  participant?.tracks.find((track) => track.kind === kind);

/** What a recorder that connects late is given until it has caught up. */
async function readFeed(path: string): Promise<{ events: FeedEvent[]; frames: FeedFrame[] }> {
  const reader = new FeedReader();
  const events: FeedEvent[] = [];
  const frames: FeedFrame[] = [];
  const socket = createConnection(path);
  socket.write(encodeFeedEvent({ type: 'hello', generation: 1 }, 0));
  try {
    for await (const chunk of socket) {
      for (const frame of reader.push(chunk as Buffer)) {
        if (frame.kind !== 'event') {
          frames.push(frame);
          continue;
        }
        const event = decodeFeedEvent(frame.body);
        events.push(event);
        if (event.type === 'caughtUp') return { events, frames };
      }
    }
    throw new Error('the feed ended before the recorder had caught up');
  } finally {
    socket.destroy();
  }
}

describe.each(['vp8', 'h264'] as const)('Chromium with %s', (codec) => {
  const room = `browser-${codec}`;

  test('reaches 2.5 Mbit/s in 720p, and a late recorder gets its key frame and clock first', async () => {
    browser = await startBrowser();
    const publisher = await browser.publish(server.baseUrl, {
      ...{ appid: server.appid, cname: room, uid: '1', token: server.token(room, '1'), codec },
      ...{ width: 1280, height: 720, fps: 30, bitrate: 2_500_000, grain: true },
    });
    await until('both tracks arrive', () => server.in(room)[0]?.tracks.every((t) => t.receiving), 30_000);
    expect(
      server
        .in(room)[0]!
        .tracks.map((t) => t.codec)
        .sort(),
    ).toEqual(['opus', codec].sort());
    const target = async () => (await publisher.stats()).video?.targetBitrateBps ?? 0;
    await until('90 % of the bitrate is granted', async () => (await target()) >= 2_250_000, 30_000);
    await until('and sent', () => (trackOf(server.in(room)[0], 'video')?.bitrateKbps ?? 0) >= 2000, 30_000);

    const feed = await server.rooms.openFeed({ appid: server.appid, cname: room, uid: '900', sid: 'f'.repeat(32) });
    try {
      await until(
        'time passes before the recorder is there',
        () => systemClock.monoUs() > feed.openedMonoUs + 500_000,
        2000,
      );
      const { events, frames } = await readFeed(feed.path);
      const started = events.flatMap((e) => (e.type === 'trackStarted' ? [e.track] : []));
      const video = started.find((t) => t.format.kind === 'video')!;
      const audio = started.find((t) => t.format.kind === 'audio')!;
      const pictures = frames.filter((f) => f.kind === 'rtp' && f.track === video.track);
      const packets = pictures.map((f) => parsePacket(f.body, f.arrivalUs));
      expect(startsKeyFrame(codec, packets[0]!.payload)).toBe(true);
      for (let n = 1; n < packets.length; n++)
        expect((packets[n]!.sequence - packets[n - 1]!.sequence) & 0xffff, 'a packet is missing').toBe(1);
      const sounds = frames.filter((f) => f.kind === 'rtp' && f.track === audio.track);
      expect(sounds[0]!.arrivalUs).toBeLessThan(feed.openedMonoUs - 400_000);
      expect(sounds.at(-1)!.arrivalUs).toBeGreaterThan(feed.openedMonoUs + 400_000);
      expect(pictures.some((f) => f.arrivalUs > feed.openedMonoUs)).toBe(true);
      // Chromium's first report about sound may take 5 s; a picture's comes within 1 s.
      const clock = frames.find((f) => f.track === video.track)!;
      expect(clock.kind).toBe('rtcp');
      expect(parseCompound(clock.body)[0]!.type).toBe('senderReport');
      await until(
        'the browser was asked for a key frame',
        async () => (await publisher.stats()).video!.plis > 0,
        15_000,
      );
    } finally {
      feed.close();
    }
    await publisher.leave();
    await until('the user left', () => server.in(room).length === 0, 10_000);
  });
});

test('the same uid from a second page takes over, without the user leaving', async () => {
  const room = 'replace';
  browser = await startBrowser();
  const params = {
    appid: server.appid,
    cname: room,
    uid: '5',
    token: server.token(room, '5'),
    width: 320,
    height: 180,
  };
  await browser.publish(server.baseUrl, params);
  await until('the first is there', () => server.in(room).length === 1, 30_000);
  const [first] = server.in(room);
  await browser.publish(server.baseUrl, params);
  await until('the second took over', () => server.in(room)[0]?.sessionId !== first!.sessionId, 10_000);
  expect(server.in(room)).toMatchObject([{ uid: '5', joinedAtMs: first!.joinedAtMs }]);
  await until('its media arrives', () => server.in(room)[0]?.tracks.every((t) => t.receiving), 30_000);
});

test('a page that has lost its server leaves it out while another node answers', async ({ onTestFinished }) => {
  const room = 'lost';
  const page = { ...{ appid: server.appid, cname: room, uid: '5' }, width: 320, height: 180 };
  browser = await startBrowser();
  /** Offers that came: to the server that is lost, which answers none of them, and to the other. */
  const asked: ('lost' | 'other')[] = [];
  /** How often the other node says that it cannot take the publisher yet. */
  const REFUSALS = 22;
  const other = createServer(async (request, response) => {
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', 'authorization, content-type');
    if (request.method !== 'POST') return response.writeHead(204).end();
    asked.push('other');
    if (asked.filter((each) => each === 'other').length <= REFUSALS) return response.writeHead(503).end();
    const answer = await fetch(new URL(request.url!, server.baseUrl), {
      ...{ method: 'POST', body: await text(request) },
      headers: { 'content-type': 'application/sdp', authorization: request.headers.authorization! },
    });
    response.setHeader('access-control-expose-headers', 'location');
    return response.writeHead(answer.status, { location: answer.headers.get('location')! }).end(await answer.text());
  });
  await once(other.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(async () => {
    other.closeAllConnections();
    other.close();
  });
  const nodes = `${server.baseUrl} http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  let isLost = false;
  await browser.context.route(`${server.baseUrl}/whip/**`, async (route) => {
    const isOffer = route.request().method() === 'POST';
    if (isLost && isOffer) asked.push('lost');
    if (isLost) return;
    const response = await route.fetch();
    await route.fulfill({ response, headers: { ...response.headers(), 'aircheck-nodes': nodes } });
  });
  const publisher = await browser.publish(server.baseUrl, { ...page, token: server.token(room, '5') });
  const former = server.in(room)[0]!.sessionId;
  isLost = true;
  await publisher.page.evaluate('window.aircheckPublisher.connection.close()');
  const isBack = async () => (await publisher.page.evaluate('window.aircheckPublisher.reconnects')) === 1;
  await until('it publishes again', isBack, 60_000);
  expect(asked.filter((each) => each === 'other')).toHaveLength(REFUSALS + 1);
  expect(asked.indexOf('lost')).toBe(20);
  expect(asked.filter((each) => each === 'lost')).toHaveLength(1);
  expect(server.in(room)).toMatchObject([{ uid: '5' }]);
  expect(server.in(room)[0]!.sessionId).not.toBe(former);
});

test('a wrong token is refused with words that the page shows', async () => {
  browser = await startBrowser();
  const attempt = browser.publish(server.baseUrl, {
    appid: server.appid,
    cname: 'locked',
    uid: '7',
    token: server.token('other', '7'),
  });
  await expect(attempt).rejects.toThrow('The token is for channel "other", not for "locked".');
});

test('FFmpeg publishes H.264 and Opus, and leaves', async ({ onTestFinished }) => {
  const room = 'ffmpeg';
  const publisher = await server.publishWithFfmpeg(room, '8');
  onTestFinished(() => publisher.kill());
  await until('both tracks arrive', () => server.in(room)[0]?.tracks.every((t) => t.receiving), 30_000);
  await until('half a second of media', () => (trackOf(server.in(room)[0], 'audio')?.packets ?? 0) > 25, 30_000);
  const feed = await server.rooms.openFeed({ appid: server.appid, cname: room, uid: '900', sid: 'f'.repeat(32) });
  try {
    const { events, frames } = await readFeed(feed.path);
    const video = events.flatMap((e) =>
      e.type === 'trackStarted' && e.track.format.kind === 'video' ? [e.track] : [],
    )[0]!;
    const first = frames.find((f) => f.kind === 'rtp' && f.track === video.track)!;
    expect(video.format.codec).toBe('h264');
    expect(startsKeyFrame('h264', parsePacket(first.body, first.arrivalUs).payload)).toBe(true);
  } finally {
    feed.close();
  }
  await publisher.stop();
  await until('the user left', () => server.in(room).length === 0, 10_000);
});

test('a media port that is taken is named at the start', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  try {
    expect(() =>
      openPeerHost({ host: '127.0.0.1', port, log: quietLog, clock: systemClock, gatherTimeoutMs: 5000 }),
    ).toThrow(`Cannot receive media on UDP 127.0.0.1:${port}: the port is in use`);
  } finally {
    socket.close();
  }
});
