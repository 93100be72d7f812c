import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { opus, vp8 } from '../../../test/support/chromium-packets.ts';
import { capturedOffer } from '../../../test/support/offers/read-offer.ts';
import {
  clock,
  closeStage,
  codeOf,
  connectRecorder,
  openStage,
  peers,
  RECORDER,
  ROOM,
  rooms,
  silent,
  stage,
  whip,
} from '../../../test/support/whip-stage.ts';
import { encodeFeedEvent } from '../../contract/line/feed.ts';
import { Fault } from '../../kernel/fault.ts';
import { type PublisherLimits, Rooms } from '../room/rooms.ts';

beforeEach(() => openStage());
afterEach(closeStage);

describe('a publisher who comes again', () => {
  test('takes the place of a session of its own, and of nobody else', async () => {
    const first = await stage.publish('1');
    const again = (after: string[]) => whip.publish({ ...ROOM, uid: '1', offer: capturedOffer('chromium'), after });
    expect(await codeOf(again(['other']))).toBe('uid-taken');
    expect(await codeOf(again(['other', first.sessionId]))).toBe('done');
    peers.at(-1)!.options.onState('connected');
    expect(first.peer.closed).toBe(true);
    expect(await codeOf(again([first.sessionId]))).toBe('uid-taken');
  });

  test('finds its place free when nobody is there any more', async () => {
    const again = whip.publish({ ...ROOM, uid: '1', offer: capturedOffer('chromium'), after: ['gone'] });
    expect(await codeOf(again)).toBe('done');
  });
});

test('those of a channel can be sent away, and no others', async () => {
  expect(await whip.sendAway(ROOM.appid, ROOM.cname, 5_000)).toBeUndefined();
  const [asks, stays] = [await stage.publish('1'), await stage.publish('2', { connect: false })];
  const gone = [asks, stays];
  const other = await whip.publish({ ...ROOM, cname: 'other', uid: '1', offer: capturedOffer('chromium') });
  expect(rooms.occupied()).toEqual([ROOM, { ...ROOM, cname: 'other' }]);
  let left = false;
  const leaving = whip.sendAway(ROOM.appid, ROOM.cname, 5_000).then(() => {
    left = true;
  });
  // Who asks knows at once; who does not is heard for a while.
  expect([asks, other].map(({ sessionId }) => whip.isSentAway(sessionId))).toEqual([true, false]);
  whip.leave(asks.sessionId);
  clock.advance(4_999);
  await Promise.resolve();
  expect([left, stays.peer.closed]).toEqual([false, false]);
  // A second reason to leave does not prolong it.
  void whip.sendAway(ROOM.appid, ROOM.cname, 5_000);
  clock.advance(1);
  await leaving;
  expect(gone.map(({ peer }) => peer.closed)).toEqual([true, true]);
  expect(rooms.occupied()).toEqual([{ ...ROOM, cname: 'other' }]);
  whip.leave(other.sessionId);
});

test('of those who are sent away nobody waits for one who sends nothing any more', async () => {
  const [sends, silent] = [await stage.publish('1'), await stage.publish('2')];
  clock.advance(60_000);
  silent.peer.options.onDatagram(vp8(1, true));
  const leaving = whip.sendAway(ROOM.appid, ROOM.cname, 5_000);
  for (let number = 0; number < 20; number++) {
    sends.peer.options.onDatagram(opus(number));
    clock.advance(100);
  }
  expect([sends.peer.closed, silent.peer.closed]).toEqual([false, false]);
  clock.advance(100);
  expect([sends.peer.closed, silent.peer.closed]).toEqual([false, true]);
  whip.leave(sends.sessionId);
  await leaving;
});

describe('presence', () => {
  test('begins with the connection and ends with leaving', async () => {
    const { sessionId, peer } = await stage.publish('1', { connect: false });
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
    const first = await stage.publish('1');
    await stage.publish('2');
    const joinedAtMs = rooms.participants(ROOM.appid, ROOM.cname)[0]!.joinedAtMs;
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const before = recorder.lines.length;
    clock.advance(1000);
    const second = await stage.publish('1', { connect: false });
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
    const first = await stage.publish('1');
    const attempt = await stage.publish('1', { connect: false });
    for (let s = 0; s < 31; s++) {
      clock.advance(1000);
      first.peer.options.onDatagram(opus(s));
    }
    expect(attempt.peer.closed).toBe(true);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([{ sessionId: first.sessionId }]);
  });

  test('lasts through silence for as long as the connection does', async () => {
    const { peer } = await stage.publish('1');
    peer.options.onDatagram(opus(1));
    clock.advance(600_000);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(1);
    peer.options.onState('disconnected');
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toHaveLength(0);
  });

  test('of a recorder is told too, until it leaves', async () => {
    await stage.publish('1');
    const feed = await rooms.openFeed(RECORDER);
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([
      { uid: '1', recorder: false },
      { uid: '99', recorder: true, joinedAtMs: clock.nowMs(), tracks: [] },
    ]);
    feed.close();
    expect(rooms.participants(ROOM.appid, ROOM.cname)).toMatchObject([{ uid: '1' }]);
  });

  test('of ten thousand who came and went costs nothing in the end', { timeout: 120_000 }, async () => {
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    for (let n = 1; n <= 10_000; n++) {
      const { sessionId, peer } = await stage.publish(String(n + 100));
      peer.options.onDatagram(vp8(1, true));
      peer.options.onDatagram(opus(1));
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
    peer.options.onDatagram(opus(1));
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
    const { sessionId, etag, peer } = await stage.publish('1', { connect: false });
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
  const feedDir = join(stage.folder, 'x'.repeat(90));
  expect(() => new Rooms({ clock, log: silent, feedDir })).toThrow(/too long/);
});

test('sockets of a killed run are cleared away', () => {
  writeFileSync(join(stage.folder, 'old.sock'), '');
  new Rooms({ clock, log: silent, feedDir: stage.folder }).close();
  expect(readdirSync(stage.folder)).toEqual([]);
});

test('a closed channel takes nobody', async () => {
  const { peer } = await stage.publish('1');
  whip.close();
  rooms.close();
  expect(peer.closed).toBe(true);
  expect(await codeOf(stage.publish('2'))).toBe('channel-closed');
  expect(await codeOf(rooms.openFeed(RECORDER))).toBe('channel-closed');
});

describe('limits', () => {
  const create = (limits: Partial<PublisherLimits>) => {
    closeStage();
    openStage(limits);
  };
  const offer = capturedOffer('chromium');

  test('of publishers in all count those who are connecting, and what ended makes room', async () => {
    create({ total: 2 });
    const first = await stage.publish('1');
    await stage.publish('2', { connect: false });
    expect(await codeOf(stage.publish('3'))).toBe('server-full');
    expect(await codeOf(whip.publish({ appid: 'b'.repeat(32), cname: 'room', uid: '1', offer }))).toBe('server-full');
    // Whose connection broke comes again all the same.
    expect(await codeOf(stage.publish('1'))).toBe('done');
    expect(first.peer.closed).toBe(true);
    for (const uid of ['1', '2'])
      peers.findLast(({ options }) => options.name === `room/${uid}`)!.options.onState('failed');
    expect(await codeOf(stage.publish('3'))).toBe('done');
  });

  test('of an app leave others alone', async () => {
    create({ perApp: 1 });
    await stage.publish('1');
    expect(await codeOf(stage.publish('2'))).toBe('app-full');
    expect(await codeOf(whip.publish({ appid: 'b'.repeat(32), cname: 'room', uid: '1', offer }))).toBe('done');
  });

  test('of a channel are of tracks', async () => {
    create({ tracksPerChannel: 3 });
    await stage.publish('1');
    expect(await codeOf(stage.publish('2'))).toBe('channel-full');
    expect(await codeOf(whip.publish({ ...ROOM, cname: 'other', uid: '2', offer }))).toBe('done');
  });
});
