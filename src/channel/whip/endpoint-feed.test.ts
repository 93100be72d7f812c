/**
 * A recorder's feed of users who publish over WHIP.
 */
import { readdirSync, statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AUDIO_SSRC, opus, VIDEO_SSRC, vp8 } from '../../../test/support/chromium-packets.ts';
import {
  clock,
  closeStage,
  codeOf,
  connectRecorder,
  openStage,
  RECORDER,
  ROOM,
  report,
  rooms,
  stage,
} from '../../../test/support/whip-stage.ts';
import { encodeFeedEvent, encodeFeedFrame } from '../../contract/line/feed.ts';
import { encodePictureLossIndication } from '../../stages/rtp/rtcp.ts';

beforeEach(() => openStage());
afterEach(closeStage);

describe('a feed', () => {
  test('begins with who is there and what a decoder needs, loses nothing before the recorder comes, and goes on', async () => {
    const one = await stage.publish('1');
    clock.advance(10);
    const two = await stage.publish('2');
    one.peer.options.onDatagram(vp8(1, true));
    clock.advance(10);
    one.peer.options.onDatagram(vp8(2, false));
    two.peer.options.onDatagram(opus(7));
    one.peer.options.onDatagram(report(VIDEO_SSRC));
    clock.advance(10);
    one.peer.options.onDatagram(vp8(3, false));
    const feed = await rooms.openFeed(RECORDER);
    expect(feed.openedMonoUs).toBe(5_030_000);
    clock.advance(200);
    one.peer.options.onDatagram(vp8(4, false));
    two.peer.options.onState('disconnected');
    clock.advance(300);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    one.peer.options.onDatagram(vp8(5, false));
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
    expect(readdirSync(stage.folder)).toEqual([]);
  });

  test('of an empty channel hears of those who come, in order', async () => {
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const { peer } = await stage.publish('1');
    peer.options.onDatagram(report(AUDIO_SSRC));
    peer.options.onDatagram(opus(1));
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
    const { peer } = await stage.publish('1');
    const feed = await rooms.openFeed(RECORDER);
    expect(peer.keyFrameRequests).toBe(1);
    peer.options.onDatagram(vp8(1, true));
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
    const { peer } = await stage.publish('1');
    peer.options.onDatagram(opus(1));
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
    const { peer } = await stage.publish('1');
    const feed = await rooms.openFeed(RECORDER);
    const first = await connectRecorder(feed.path, 1);
    await first.untilLine('caughtUp');
    for (let n = 1; n <= 20; n++) {
      clock.advance(100);
      peer.options.onDatagram(vp8(n, n % 5 === 1));
      peer.options.onDatagram(opus(n));
    }
    const other = await stage.publish('2');
    other.peer.options.onDatagram(opus(1));
    clock.advance(10);
    await first.untilLine('rtp 3 #1 @7000');
    first.socket.write(encodeFeedEvent({ type: 'safe', arrivalUs: 6_700_000 }, 0));
    // Read by the channel before the connection ends.
    first.socket.end();
    await first.untilClosed();
    clock.advance(90);
    peer.options.onDatagram(vp8(21, true));
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
    expect(await codeOf(stage.publish('99'))).toBe('uid-taken');
    feed.close();
    feed.close();
    const next = await rooms.openFeed(RECORDER);
    feed.close();
    expect(await codeOf(rooms.openFeed(RECORDER))).toBe('uid-taken');
    next.close();
    expect(await codeOf(stage.publish('99'))).toBe('done');
    expect(await codeOf(rooms.openFeed(RECORDER))).toBe('uid-taken');
  });

  test('of a recorder that vanished holds up nobody', async () => {
    const { peer } = await stage.publish('1');
    const feed = await rooms.openFeed(RECORDER);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const gone = new Promise((resolve) => recorder.socket.once('close', resolve));
    recorder.socket.destroy();
    await gone;
    for (let n = 0; n < 1000; n++) peer.options.onDatagram(opus(n));
    feed.close();
    expect(rooms.participants(ROOM.appid, ROOM.cname)[0]!.tracks[0]!.packets).toBe(1000);
  });
});
