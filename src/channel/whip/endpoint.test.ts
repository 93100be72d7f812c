import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakePeer } from '../../../test/support/fake-peer.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { capturedOffer } from '../../../test/support/offers/read-offer.ts';
import { encodeSenderReport } from '../../../test/support/rtcp.ts';
import { decodeFeedEvent, encodeFeedEvent, encodeFeedFrame, FeedReader } from '../../contract/line/feed.ts';
import { Fault } from '../../kernel/fault.ts';
import { encodePictureLossIndication } from '../../stages/rtp/rtcp.ts';
import { type ChannelLog, DEFAULT_LIMITS, type PublisherLimits, Rooms } from '../room/rooms.ts';
import { WhipEndpoint } from './endpoint.ts';
import type { PeerHost } from './peer.ts';

const AUDIO_SSRC = 524960147;
const VIDEO_SSRC = 715482575;
const ROOM = { appid: 'a'.repeat(32), cname: 'room' };
const RECORDER = { ...ROOM, uid: '99', sid: 'f'.repeat(32) };
const silent: ChannelLog = { debug() {}, info() {}, warn() {}, child: () => silent };
let clock: ManualClock;
let folder: string;
let peers: FakePeer[];
let rooms: Rooms;
let whip: WhipEndpoint;

beforeEach(() => {
  clock = new ManualClock();
  clock.advance(5000);
  folder = mkdtempSync(join(tmpdir(), 'feeds-'));
  peers = [];
  const host: PeerHost = {
    async open(options) {
      const peer = new FakePeer(options);
      peers.push(peer);
      return peer;
    },
    close() {},
  };
  rooms = new Rooms({ clock, log: silent, feedDir: folder });
  whip = new WhipEndpoint({ clock, log: silent, rooms, host: '127.0.0.1', port: 1, peers: host });
});
afterEach(() => {
  whip.close();
  rooms.close();
  rmSync(folder, { recursive: true, force: true });
});

async function publish(uid: string, connect = true) {
  const published = await whip.publish({ ...ROOM, uid, offer: capturedOffer('chromium') });
  const peer = peers.at(-1)!;
  if (connect) peer.options.onState('connected');
  return { ...published, peer };
}

function rtp(payloadType: number, ssrc: number, sequence: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head[0] = 0x80;
  head[1] = payloadType;
  head.writeUInt16BE(sequence, 2);
  head.writeUInt32BE(sequence * 3000, 4);
  head.writeUInt32BE(ssrc, 8);
  return Buffer.concat([head, payload]);
}
const picture = (sequence: number, key: boolean) =>
  rtp(96, VIDEO_SSRC, sequence, Buffer.from([0x10, key ? 0x00 : 0x01, 1]));
const sound = (sequence: number) => rtp(111, AUDIO_SSRC, sequence, Buffer.from([0xfc, 1]));
const report = (ssrc: number) =>
  encodeSenderReport({ ssrc, ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 });

/** A recorder: reads everything, in words. @param generation of its run; 0 says none */
async function connectRecorder(path: string, generation = 1) {
  const reader = new FeedReader();
  const lines: string[] = [];
  let wake = () => {};
  let ended = false;
  let closed = false;
  const socket: Socket = createConnection(path);
  if (generation > 0) socket.write(encodeFeedEvent({ type: 'hello', generation }, 0));
  socket.on('data', (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      if (frame.kind === 'event') {
        const event = decodeFeedEvent(frame.body);
        if (event.type === 'trackStarted')
          lines.push(`trackStarted ${event.track.uid} ${event.track.track} ${event.track.format.kind}`);
        else if (event.type === 'userJoined' || event.type === 'userLeft') lines.push(`${event.type} ${event.uid}`);
        else if (event.type === 'trackEnded') lines.push(`trackEnded ${event.track}`);
        else lines.push(event.type);
      } else if (frame.kind === 'rtp')
        lines.push(`rtp ${frame.track} #${frame.body.readUInt16BE(2)} @${frame.arrivalUs / 1000}`);
      else lines.push(`rtcp ${frame.track} @${frame.arrivalUs / 1000}`);
    }
    wake();
  });
  socket.on('end', () => {
    ended = true;
    wake();
  });
  socket.on('error', () => {});
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  };
  socket.on('close', () => {
    closed = true;
    wake();
  });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return {
    lines,
    socket,
    untilLine: (line: string) => until(() => lines.includes(line)),
    untilEnd: () => until(() => ended),
    untilClosed: () => until(() => closed),
  };
}

const codeOf = (attempt: Promise<unknown>) =>
  attempt.then(
    () => 'done',
    (error: unknown) => (error instanceof Fault ? error.code : Promise.reject(error)),
  );

describe('a feed', () => {
  test('begins with who is there and what a decoder needs, loses nothing before the recorder comes, and goes on', async () => {
    const one = await publish('1');
    clock.advance(10);
    const two = await publish('2');
    one.peer.options.onDatagram(picture(1, true));
    clock.advance(10);
    one.peer.options.onDatagram(picture(2, false));
    two.peer.options.onDatagram(sound(7));
    one.peer.options.onDatagram(report(VIDEO_SSRC));
    clock.advance(10);
    one.peer.options.onDatagram(picture(3, false));
    const feed = await rooms.openFeed(RECORDER);
    expect(feed.openedMonoUs).toBe(5_030_000);
    clock.advance(200);
    one.peer.options.onDatagram(picture(4, false));
    two.peer.options.onState('disconnected');
    clock.advance(300);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    one.peer.options.onDatagram(picture(5, false));
    // Media is gathered for some milliseconds; a recorder waits 30 ms for what was sent before a stop.
    clock.advance(10);
    await recorder.untilLine('rtp 2 #5 @5530');
    expect(recorder.lines).toEqual([
      'hello',
      'userJoined 1',
      'userJoined 2',
      'trackStarted 1 1 audio',
      'trackStarted 1 2 video',
      'trackStarted 2 3 audio',
      'trackStarted 2 4 video',
      'rtcp 2 @5020',
      'rtp 2 #1 @5010',
      'rtp 2 #2 @5020',
      'rtp 3 #7 @5020',
      'rtp 2 #3 @5030',
      'rtp 2 #4 @5230',
      'trackEnded 3',
      'trackEnded 4',
      'userLeft 2',
      'caughtUp',
      'rtp 2 #5 @5530',
    ]);
    feed.close();
    await recorder.untilEnd();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('of an empty channel hears of those who come, in order', async () => {
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const { peer } = await publish('1');
    peer.options.onDatagram(report(AUDIO_SSRC));
    peer.options.onDatagram(sound(1));
    clock.advance(10);
    await recorder.untilLine('rtp 1 #1 @5000');
    expect(recorder.lines.slice(2)).toEqual([
      'userJoined 1',
      'trackStarted 1 1 audio',
      'trackStarted 1 2 video',
      'rtcp 1 @5000',
      'rtp 1 #1 @5000',
    ]);
  });

  test('asks all senders for a key frame at once, and a sender again when the recorder does', async () => {
    const { peer } = await publish('1');
    const feed = await rooms.openFeed(RECORDER);
    expect(peer.keyFrameRequests).toBe(1);
    peer.options.onDatagram(picture(1, true));
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    clock.advance(1000);
    expect(peer.keyFrameRequests).toBe(1);
    const wanted = new Promise<void>((resolve) => {
      const send = peer.send.bind(peer);
      peer.send = (datagram) => {
        send(datagram);
        if (peer.keyFrameRequests === 2) resolve();
      };
    });
    recorder.socket.write(encodeFeedFrame('rtcp', 2, 0, encodePictureLossIndication(1, 0)));
    // Of a track that is not there, and no RTCP at all: neither may do harm.
    recorder.socket.write(encodeFeedFrame('rtcp', 77, 0, encodePictureLossIndication(1, 0)));
    recorder.socket.write(encodeFeedFrame('rtcp', 2, 0, Buffer.from('x')));
    await wanted;
  });

  test('is for one user of the machine, and for the newest run that says who it is', async () => {
    const feed = await rooms.openFeed(RECORDER);
    expect(statSync(feed.path).mode & 0o777).toBe(0o600);
    const first = await connectRecorder(feed.path, 1);
    await first.untilLine('caughtUp');
    const second = await connectRecorder(feed.path, 3);
    await second.untilLine('caughtUp');
    await first.untilClosed();
    for (const generation of [2, 3]) {
      const late = await connectRecorder(feed.path, generation);
      await late.untilClosed();
      expect(late.lines).toEqual([]);
    }
    const { peer } = await publish('1');
    peer.options.onDatagram(sound(1));
    clock.advance(10);
    await second.untilLine('rtp 1 #1 @5000');
  });

  test('gives nothing to who does not say which run it is, and cuts it off', async () => {
    const feed = await rooms.openFeed(RECORDER);
    const nameless = await connectRecorder(feed.path, 0);
    while (!nameless.socket.closed) {
      clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(nameless.lines).toEqual([]);
  });

  test('is read again by the next run from what is safe on, with the same numbers and times', async () => {
    const { peer } = await publish('1');
    const feed = await rooms.openFeed(RECORDER);
    const first = await connectRecorder(feed.path, 1);
    await first.untilLine('caughtUp');
    for (let n = 1; n <= 20; n++) {
      clock.advance(100);
      peer.options.onDatagram(picture(n, n % 5 === 1));
      peer.options.onDatagram(sound(n));
    }
    const other = await publish('2');
    other.peer.options.onDatagram(sound(1));
    clock.advance(10);
    await first.untilLine('rtp 3 #1 @7000');
    first.socket.write(encodeFeedEvent({ type: 'safe', arrivalUs: 6_700_000 }, 0));
    // Read by the channel before the connection ends.
    first.socket.end();
    await first.untilClosed();
    clock.advance(90);
    peer.options.onDatagram(picture(21, true));
    const second = await connectRecorder(feed.path, 2);
    await second.untilLine('caughtUp');
    expect(second.lines.slice(0, 4)).toEqual([
      'hello',
      'userJoined 1',
      'trackStarted 1 1 audio',
      'trackStarted 1 2 video',
    ]);
    const again = second.lines.slice(4, -1);
    // Pictures from the key frame before 6.7 s on, which is #16, and sound from half a second before.
    expect(again.filter((line) => line.startsWith('rtp 2')).map((line) => line.split(' ')[2])).toEqual([
      '#16',
      '#17',
      '#18',
      '#19',
      '#20',
      '#21',
    ]);
    expect(again.filter((line) => line.startsWith('rtp 1'))[0]).toBe('rtp 1 #12 @6200');
    expect(again.at(-1)).toBe('rtp 2 #21 @7100');
    const toldTwice = first.lines.filter((line) => again.includes(line));
    expect(again.slice(0, -1)).toEqual(toldTwice);
  });

  test('that ended frees the uid; closing it twice does nothing', async () => {
    const feed = await rooms.openFeed(RECORDER);
    expect(await codeOf(rooms.openFeed(RECORDER))).toBe('uid-taken');
    expect(await codeOf(publish('99'))).toBe('uid-taken');
    feed.close();
    feed.close();
    const next = await rooms.openFeed(RECORDER);
    feed.close();
    expect(await codeOf(rooms.openFeed(RECORDER))).toBe('uid-taken');
    next.close();
    expect(await codeOf(publish('99'))).toBe('done');
    expect(await codeOf(rooms.openFeed(RECORDER))).toBe('uid-taken');
  });

  test('of a recorder that vanished holds up nobody', async () => {
    const { peer } = await publish('1');
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const gone = new Promise((resolve) => recorder.socket.once('close', resolve));
    recorder.socket.destroy();
    await gone;
    for (let n = 0; n < 1000; n++) peer.options.onDatagram(sound(n));
    feed.close();
    expect(rooms.participants(ROOM.appid, ROOM.cname)[0]!.tracks[0]!.packets).toBe(1000);
  });
});

describe('presence', () => {
  test('begins with the connection and ends with leaving', async () => {
    const { sessionId, peer } = await publish('1', false);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toEqual([]);
    peer.options.onState('connected');
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([
      { uid: '1', sessionId, remoteAddress: '192.0.2.1:5000', joinedAtMs: clock.nowMs() },
    ]);
    expect(rooms.participants(ROOM.appid, 'other')).toEqual([]);
    whip.leave(sessionId);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toEqual([]);
    expect(peer.closed).toBe(true);
    expect(() => whip.leave(sessionId)).toThrow(Fault);
  });

  test('the same uid again takes over without the user having left', async () => {
    const first = await publish('1');
    await publish('2');
    const joinedAtMs = rooms.participants(ROOM.appid, ROOM.cname)[0]!.joinedAtMs;
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const before = recorder.lines.length;
    clock.advance(1000);
    const second = await publish('1', false);
    expect(first.peer.closed).toBe(false);
    second.peer.options.onState('connected');
    expect(first.peer.closed).toBe(true);
    expect(() => whip.leave(first.sessionId)).toThrow(Fault);
    await recorder.untilLine('trackStarted 1 6 video');
    expect(recorder.lines.slice(before)).toEqual([
      'trackEnded 1',
      'trackEnded 2',
      'trackStarted 1 5 audio',
      'trackStarted 1 6 video',
    ]);
    expect(rooms.participants(ROOM.appid, ROOM.cname).map((p) => [p.uid, p.sessionId])).toEqual([
      ['1', second.sessionId],
      ['2', expect.any(String)],
      ['99', undefined],
    ]);
    expect(rooms.participants(ROOM.appid, ROOM.cname)[0]!.joinedAtMs).toBe(joinedAtMs);
    // What the former connection still says is of no account.
    first.peer.options.onState('closed');
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(3);
  });

  test('an attempt that never connects is given up after 30 s, and leaves the session that works alone', async () => {
    const first = await publish('1');
    const attempt = await publish('1', false);
    for (let s = 0; s < 31; s++) {
      clock.advance(1000);
      first.peer.options.onDatagram(sound(s));
    }
    expect(attempt.peer.closed).toBe(true);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([{ sessionId: first.sessionId }]);
  });

  test('lasts through silence for as long as the connection does', async () => {
    const { peer } = await publish('1');
    peer.options.onDatagram(sound(1));
    clock.advance(600_000);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(1);
    peer.options.onState('disconnected');
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(0);
  });

  test('of a recorder is told too, until it leaves', async () => {
    await publish('1');
    const feed = await rooms.openFeed(RECORDER);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([
      { uid: '1', recorder: false },
      { uid: '99', recorder: true, joinedAtMs: clock.nowMs(), tracks: [] },
    ]);
    feed.close();
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([{ uid: '1' }]);
  });

  test('of ten thousand who came and went costs nothing in the end', async () => {
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    for (let n = 1; n <= 10_000; n++) {
      const { sessionId, peer } = await publish(String(n + 100));
      peer.options.onDatagram(picture(1, true));
      peer.options.onDatagram(sound(1));
      clock.advance(20);
      whip.leave(sessionId);
      peers.length = 0;
      if (n % 100 === 0) {
        recorder.socket.write(encodeFeedEvent({ type: 'safe', arrivalUs: clock.monoUs() }, 0));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await recorder.untilLine('userLeft 10100');
    clock.advance(1000);
    recorder.socket.write(encodeFeedEvent({ type: 'safe', arrivalUs: clock.monoUs() }, 0));
    while (rooms.memory.arena.users > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(rooms.memory.arena.bytes).toBe(0);
    const again = await connectRecorder(feed.path, 2);
    await again.untilLine('caughtUp');
    expect(again.lines).toEqual(['hello', 'caughtUp']);
    feed.close();
    expect(rooms.held).toEqual({ rooms: 0, places: 0, feeds: 0, bytes: 0 });
  });

  test('of FFmpeg, which answers no consent checks, ends after 10 s of silence', async () => {
    await whip.publish({ ...ROOM, uid: '1', offer: capturedOffer('ffmpeg') });
    const peer = peers.at(-1)!;
    peer.options.onState('connected');
    peer.options.onDatagram(sound(1));
    clock.advance(9900);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(1);
    clock.advance(200);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(0);
    expect(peer.closed).toBe(true);
  });
});

describe('trickled candidates', () => {
  const line = 'candidate:1 1 udp 2113937151 192.0.2.7 50000 typ host';
  const fragment = (ufrag = '/3xl') =>
    `a=ice-ufrag:${ufrag}\r\na=ice-pwd:S/bI/YEd3gM38KRDq9AqZxtP\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=${line}\r\n`;
  const refusal = (run: () => void) => {
    try {
      run();
      return 'done';
    } catch (error) {
      return error instanceof Fault ? error.code : String(error);
    }
  };

  test('reach the peer, under the right ETag only', async () => {
    const { sessionId, etag, peer } = await publish('1', false);
    whip.trickle(sessionId, etag, fragment());
    expect(peer.candidates).toEqual([line.slice('candidate:'.length)]);
    expect(refusal(() => whip.trickle(sessionId, undefined, fragment()))).toBe('etag-missing');
    expect(refusal(() => whip.trickle(sessionId, '"other"', fragment()))).toBe('etag-mismatch');
    expect(refusal(() => whip.trickle(sessionId, '*', fragment('new1')))).toBe('ice-restart-unsupported');
    expect(refusal(() => whip.trickle(sessionId, etag, fragment('new1')))).toBe('ice-restart-unsupported');
    expect(refusal(() => whip.trickle(sessionId, etag, 'nonsense'))).toBe('sdp-invalid');
    expect(refusal(() => whip.trickle('unknown', etag, fragment()))).toBe('session-unknown');
    expect(peer.candidates).toHaveLength(1);
  });
});

test('consent checks are answered for FFmpeg, and for nobody else', async () => {
  await whip.publish({ ...ROOM, uid: '1', offer: capturedOffer('chromium') });
  await whip.publish({ ...ROOM, uid: '2', offer: capturedOffer('ffmpeg') });
  expect(peers.map((peer) => peer.options.consentOf?.icePwd)).toEqual([undefined, 'a6d16ab978e1fea53b905de86692367b']);
});

test('a folder whose path no socket can have is refused at the start, in words', () => {
  const feedDir = join(folder, 'x'.repeat(90));
  expect(() => new Rooms({ clock, log: silent, feedDir })).toThrow(/too long/);
});

test('sockets of a killed run are cleared away', () => {
  writeFileSync(join(folder, 'old.sock'), '');
  new Rooms({ clock, log: silent, feedDir: folder }).close();
  expect(readdirSync(folder)).toEqual([]);
});

test('a closed channel takes nobody', async () => {
  const { peer } = await publish('1');
  whip.close();
  rooms.close();
  expect(peer.closed).toBe(true);
  expect(await codeOf(publish('2'))).toBe('channel-closed');
  expect(await codeOf(rooms.openFeed(RECORDER))).toBe('channel-closed');
});

describe('limits', () => {
  const create = (limits: Partial<PublisherLimits>) => {
    whip.close();
    rooms.close();
    rooms = new Rooms({ clock, log: silent, feedDir: folder, limits: { ...DEFAULT_LIMITS, ...limits } });
    const host: PeerHost = {
      async open(options) {
        peers.push(new FakePeer(options));
        return peers.at(-1)!;
      },
      close() {},
    };
    whip = new WhipEndpoint({ clock, log: silent, rooms, host: '127.0.0.1', port: 1, peers: host });
  };
  const offer = capturedOffer('chromium');

  test('of publishers in all count those who are connecting, and what ended makes room', async () => {
    create({ total: 2 });
    const first = await publish('1');
    await publish('2', false);
    expect(await codeOf(publish('3'))).toBe('server-full');
    expect(await codeOf(whip.publish({ appid: 'b'.repeat(32), cname: 'room', uid: '1', offer }))).toBe('server-full');
    // Whose connection broke comes again all the same.
    expect(await codeOf(publish('1'))).toBe('done');
    expect(first.peer.closed).toBe(true);
    for (const uid of ['1', '2'])
      peers.findLast(({ options }) => options.name === `room/${uid}`)!.options.onState('failed');
    expect(await codeOf(publish('3'))).toBe('done');
  });

  test('of an app leave others alone', async () => {
    create({ perApp: 1 });
    await publish('1');
    expect(await codeOf(publish('2'))).toBe('app-full');
    expect(await codeOf(whip.publish({ appid: 'b'.repeat(32), cname: 'room', uid: '1', offer }))).toBe('done');
  });

  test('of a channel are of tracks', async () => {
    create({ tracksPerChannel: 3 });
    await publish('1');
    expect(await codeOf(publish('2'))).toBe('channel-full');
    expect(await codeOf(whip.publish({ ...ROOM, cname: 'other', uid: '2', offer }))).toBe('done');
  });
});
