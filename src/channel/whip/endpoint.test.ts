import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakePeer } from '../../../test/support/fake-peer.ts';
import { capturedOffer } from '../../../test/support/offers/read-offer.ts';
import { decodeFeedEvent, encodeFeedFrame, FeedReader } from '../../contract/line/feed.ts';
import { Fault } from '../../kernel/fault.ts';
import { ManualClock } from '../../kernel/manual-clock.ts';
import { encodePictureLossIndication, encodeSenderReport } from '../../stages/rtp/rtcp.ts';
import { FeedSocket } from '../room/feed-socket.ts';
import { type ChannelLog, Rooms } from '../room/rooms.ts';
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

/** A recorder: reads everything, in words. */
async function connectRecorder(path: string) {
  const reader = new FeedReader();
  const lines: string[] = [];
  let wake = () => {};
  let ended = false;
  const socket: Socket = createConnection(path);
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
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return {
    lines,
    socket,
    untilLine: (line: string) => until(() => lines.includes(line)),
    untilEnd: () => until(() => ended),
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
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(1);
  });

  test('lets in one recorder, and nobody else on the machine', async () => {
    const feed = await rooms.openFeed(RECORDER);
    expect(statSync(feed.path).mode & 0o777).toBe(0o600);
    await connectRecorder(feed.path);
    await expect(connectRecorder(feed.path)).rejects.toThrow();
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

  test('drops media beyond its bound, counts it, says so once a second, and keeps the events', async () => {
    const warnings: object[] = [];
    const out = new FeedSocket({
      clock,
      log: { info() {}, warn: (fields) => warnings.push(fields) },
      path: join(folder, 'slow.sock'),
      onKeyFrameWanted() {},
      maxBufferedBytes: 10_000,
    });
    for (let n = 0; n < 100; n++) out.writeMedia('rtp', 1, Buffer.alloc(1000), n);
    out.writeEvent({ type: 'userJoined', uid: '5' }, 0);
    expect(out.dropped).toBe(91);
    clock.advance(1000);
    out.writeMedia('rtp', 1, Buffer.alloc(10_000), 0);
    expect(warnings).toEqual([{ count: 91, total: 91 }]);
    clock.advance(1000);
    expect(warnings).toEqual([
      { count: 91, total: 91 },
      { count: 1, total: 92 },
    ]);
    await out.listen();
    const recorder = await connectRecorder(out.path);
    await recorder.untilLine('caughtUp');
    expect(recorder.lines).toHaveLength(9 + 2);
    expect(recorder.lines.at(-2)).toBe('userJoined 5');
    out.close();
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
    ]);
    expect(rooms.participants(ROOM.appid, ROOM.cname)[0]!.joinedAtMs).toBe(joinedAtMs);
    // What the former connection still says is of no account.
    first.peer.options.onState('closed');
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(2);
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

  test('who vanished is out after 10 s of silence', async () => {
    const { peer } = await publish('1');
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
