/**
 * Real publishers come into the embedded channel over WHIP: Chromium by the publish page, and FFmpeg's own client.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type ChannelLog, type Participant, Rooms } from '../../src/channel/room/rooms.ts';
import { WhipEndpoint } from '../../src/channel/whip/endpoint.ts';
import { openPeerHost } from '../../src/channel/whip/peer.ts';
import { buildRtcToken } from '../../src/channel/whip/token.ts';
import {
  decodeFeedEvent,
  encodeFeedEvent,
  type FeedEvent,
  type FeedFrame,
  FeedReader,
} from '../../src/contract/line/feed.ts';
import { publishPageRoutes } from '../../src/http/publish-page.ts';
import { whipRoutes } from '../../src/http/whip.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { startsKeyFrame } from '../../src/stages/rtp/key-frame.ts';
import { parsePacket } from '../../src/stages/rtp/parse-packet.ts';
import { parseCompound } from '../../src/stages/rtp/rtcp.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { RED } from '../support/media/participants.ts';
import { type Publisher, publishWithFfmpeg } from '../support/publish/publisher.ts';

const APP = { appid: 'a'.repeat(32), certificate: 'c'.repeat(32) };
const log: ChannelLog = { debug() {}, info() {}, warn() {}, child: () => log };

let folder: string;
let udpPort: number;
let rooms: Rooms;
let endpoint: WhipEndpoint;
let server: FastifyInstance;
let baseUrl: string;
let browser: Browser | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'whip-'));
  udpPort = await freeUdpPort();
  rooms = new Rooms({ clock: systemClock, log, feedDir: folder });
  endpoint = new WhipEndpoint({ clock: systemClock, log, rooms, host: '127.0.0.1', port: udpPort });
  server = Fastify();
  const apps = { find: (appid: string) => (appid === APP.appid ? APP : undefined) };
  await server.register(whipRoutes, { endpoint, apps, clock: systemClock });
  await server.register(publishPageRoutes);
  baseUrl = await server.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  await browser?.close();
  browser = undefined;
});
afterAll(async () => {
  endpoint.close();
  rooms.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

/** Waits for what the world, not this process, decides. */
async function until(what: string, holds: () => unknown, timeoutMs: number): Promise<number> {
  const start = performance.now();
  while (!(await holds())) {
    if (performance.now() - start > timeoutMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return performance.now() - start;
}

const inRoom = (cname: string) => rooms.participants(APP.appid, cname);
const trackOf = (participant: Participant | undefined, kind: 'audio' | 'video') =>
  participant?.tracks.find((track) => track.kind === kind);
const tokenFor = (cname: string, uid: string) =>
  buildRtcToken({ appId: APP.appid, certificate: APP.certificate, cname, uid, lifeS: 600 });

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
    const publisher = await browser.publish(baseUrl, {
      ...{ appid: APP.appid, cname: room, uid: '1', token: tokenFor(room, '1'), codec },
      ...{ width: 1280, height: 720, fps: 30, bitrate: 2_500_000, grain: true },
    });
    await until('both tracks arrive', () => inRoom(room)[0]?.tracks.every((t) => t.receiving), 5000);
    expect(
      inRoom(room)[0]!
        .tracks.map((t) => t.codec)
        .sort(),
    ).toEqual(['opus', codec].sort());
    const target = async () => (await publisher.stats()).video?.targetBitrateBps ?? 0;
    await until('90 % of the bitrate is granted', async () => (await target()) >= 2_250_000, 10_000);
    await until('and sent', () => (trackOf(inRoom(room)[0], 'video')?.bitrateKbps ?? 0) >= 2000, 10_000);

    const feed = await rooms.openFeed({ appid: APP.appid, cname: room, uid: '900', sid: 'f'.repeat(32) });
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
      await until('the browser was asked for a key frame', async () => (await publisher.stats()).video!.plis > 0, 3000);
    } finally {
      feed.close();
    }
    await publisher.leave();
    await until('the user left', () => inRoom(room).length === 0, 3000);
  });
});

test('the same uid from a second page takes over, without the user leaving', async () => {
  const room = 'replace';
  browser = await startBrowser();
  const params = { appid: APP.appid, cname: room, uid: '5', token: tokenFor(room, '5'), width: 320, height: 180 };
  await browser.publish(baseUrl, params);
  await until('the first is there', () => inRoom(room).length === 1, 5000);
  const [first] = inRoom(room);
  await browser.publish(baseUrl, params);
  await until('the second took over', () => inRoom(room)[0]?.sessionId !== first!.sessionId, 5000);
  expect(inRoom(room)).toMatchObject([{ uid: '5', joinedAtMs: first!.joinedAtMs }]);
  await until('its media arrives', () => inRoom(room)[0]?.tracks.every((t) => t.receiving), 5000);
});

test('a wrong token is refused with words that the page shows', async () => {
  browser = await startBrowser();
  const attempt = browser.publish(baseUrl, {
    appid: APP.appid,
    cname: 'locked',
    uid: '7',
    token: tokenFor('other', '7'),
  });
  await expect(attempt).rejects.toThrow('The token is for channel "other", not for "locked".');
});

function ffmpegIn(room: string, uid: string): Promise<Publisher> {
  const url = `${baseUrl}/whip/${APP.appid}/${room}?uid=${uid}`;
  const size = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };
  return publishWithFfmpeg({ url, token: tokenFor(room, uid), participant: RED, ...size });
}

test('FFmpeg publishes H.264 and Opus, and leaves', async ({ onTestFinished }) => {
  const room = 'ffmpeg';
  const publisher = await ffmpegIn(room, '8');
  onTestFinished(() => publisher.kill());
  await until('both tracks arrive', () => inRoom(room)[0]?.tracks.every((t) => t.receiving), 15_000);
  await until('half a second of media', () => (trackOf(inRoom(room)[0], 'audio')?.packets ?? 0) > 25, 5000);
  const feed = await rooms.openFeed({ appid: APP.appid, cname: room, uid: '900', sid: 'f'.repeat(32) });
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
  await until('the user left', () => inRoom(room).length === 0, 5000);
});

test('a media port that is taken is named at the start', async () => {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  try {
    expect(() => openPeerHost({ host: '127.0.0.1', port, log, clock: systemClock, gatherTimeoutMs: 5000 })).toThrow(
      `Cannot receive media on UDP 127.0.0.1:${port}: the port is in use`,
    );
  } finally {
    socket.close();
  }
});

// Side by side: both wait for most of a minute.
describe.concurrent('who is silent', () => {
  test('muting does not end the user, killing the browser does within a minute', async ({ onTestFinished }) => {
    const room = 'mute';
    const browser = await startBrowser();
    onTestFinished(() => browser.close());
    const publisher = await browser.publish(baseUrl, {
      ...{ appid: APP.appid, cname: room, uid: '6', token: tokenFor(room, '6'), width: 320, height: 180 },
    });
    await until('both tracks arrive', () => inRoom(room)[0]?.tracks.every((t) => t.receiving), 5000);
    const session = inRoom(room)[0]!.sessionId;
    await publisher.setMuted('audio', true);
    await publisher.setMuted('video', true);
    await publisher.page.evaluate(
      'Promise.all(window.aircheckPublisher.connection.getSenders().map((s) => s.replaceTrack(null)))',
    );
    await until('nothing arrives any more', () => inRoom(room)[0]?.tracks.every((t) => !t.receiving), 5000);
    const mutedAt = performance.now();
    await until('15 s pass', () => performance.now() - mutedAt > 15_000, 16_000);
    expect(inRoom(room)[0]?.sessionId).toBe(session);
    browser.kill();
    // Who may be silent is gone when the consent to send to him is (RFC 7675), which lasts half a minute.
    expect(await until('the vanished user is out', () => inRoom(room).length === 0, 60_000)).toBeGreaterThan(1000);
  });

  // Consent (RFC 7675) runs out 30 s after the last check that was answered, and FFmpeg answers none.
  test('FFmpeg stays for longer than consent lasts, and killing it ends the user within 15 s', async ({
    onTestFinished,
  }) => {
    const room = 'ffmpeg-long';
    const publisher = await ffmpegIn(room, '9');
    onTestFinished(() => publisher.kill());
    await until('both tracks arrive', () => inRoom(room)[0]?.tracks.every((t) => t.receiving), 15_000);
    const session = inRoom(room)[0]!.sessionId;
    const startedAt = performance.now();
    await until(
      '45 s pass, or the user left',
      () => inRoom(room).length === 0 || performance.now() - startedAt > 45_000,
      46_000,
    );
    const [there] = inRoom(room);
    expect(there?.sessionId, `gone after ${Math.round(performance.now() - startedAt)} ms`).toBe(session);
    expect(there!.tracks.map((t) => t.receiving)).toEqual([true, true]);
    expect(trackOf(there, 'audio')!.packets).toBeGreaterThan(44 * 50);
    publisher.kill();
    expect(await until('the vanished user is out', () => inRoom(room).length === 0, 15_000)).toBeGreaterThan(1000);
  });
});
