/**
 * A simulcast through the channel: which layer a recorder's feed carries.
 */
import { createConnection } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FakePeer } from '../../../test/support/fake-peer.ts';
import {
  clock,
  closeStage,
  openStage,
  RECORDER,
  ROOM,
  report,
  rooms,
  stage,
} from '../../../test/support/whip-stage.ts';
import { decodeFeedEvent, encodeFeedEvent, encodeFeedFrame, FeedReader } from '../../contract/line/feed.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { encodePictureLossIndication, parseCompound } from '../../stages/rtp/rtcp.ts';

beforeEach(() => openStage());
afterEach(closeStage);

const SSRCS = { h: 1, m: 2, l: 3 };
const WIDTHS = { h: 1280, m: 640, l: 320 };
type Rid = keyof typeof SSRCS;
const sequences = { h: 0, m: 0, l: 0 };
const send = (peer: FakePeer, key: boolean, ...rids: Rid[]) => {
  for (const rid of rids) {
    const payload = Buffer.from([0x10, key ? 0 : 1, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 100, 0]);
    payload.writeUInt16LE(WIDTHS[rid], 7);
    const datagram = encodePacket({
      ...{ payloadType: 96, ssrc: SSRCS[rid], sequence: sequences[rid]++, timestamp: clock.nowMs() * 90 },
      ...{ marker: true, payload, extensions: new Map([[10, Buffer.from(rid)]]) },
    });
    peer.options.onDatagram(datagram);
  }
};
const publish = async () => (await stage.publish('1', { offer: 'chromium-simulcast' })).peer;
/** SSRCs that key frames were asked of, from the `from`th datagram on. */
const askedOf = (peer: FakePeer, from = 0) =>
  peer.sent
    .slice(from)
    .flatMap((d) => parseCompound(d))
    .flatMap((p) => (p.type === 'pictureLossIndication' ? [p.mediaSsrc] : []));
/** SSRCs of what a feed was given, RTP and reports, each once however often it follows itself. */
const connectRuns = async (path: string, generation = 1) => {
  const reader = new FeedReader();
  const runs: string[] = [];
  let caughtUp = () => {};
  const ready = new Promise<void>((resolve) => (caughtUp = resolve));
  const socket = createConnection(path);
  socket.write(encodeFeedEvent({ type: 'hello', generation }, 0));
  socket.on('data', (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      if (frame.kind === 'event') {
        if (decodeFeedEvent(frame.body).type === 'caughtUp') caughtUp();
        continue;
      }
      const one = frame.kind === 'rtp' ? `rtp ${frame.body.readUInt32BE(8)}` : `sr ${frame.body.readUInt32BE(4)}`;
      if (runs.at(-1) !== one) runs.push(one);
    }
  });
  await ready;
  return { runs, socket };
};

test('a simulcast gives each recorder the layer that it wants, and the sender reports of that', async () => {
  const peer = await publish();
  send(peer, true, 'l', 'm', 'h');
  for (const ssrc of [1, 2, 3]) peer.options.onDatagram(report(ssrc));
  clock.advance(1);
  const high = await rooms.openFeed(RECORDER);
  const low = await rooms.openFeed({ ...RECORDER, uid: '98', videoStreamType: 1 });
  for (let n = 0; n < 5; n++) {
    clock.advance(40);
    send(peer, false, 'l', 'm', 'h');
  }
  for (const ssrc of [1, 2, 3]) peer.options.onDatagram(report(ssrc));
  expect((await connectRuns(high.path)).runs).toEqual(['sr 1', 'rtp 1', 'sr 1']);
  expect((await connectRuns(low.path)).runs).toEqual(['sr 3', 'rtp 3', 'sr 3']);
  expect(rooms.participants(ROOM.appid, ROOM.cname)[0]!.tracks[1]!.layers).toMatchObject([
    { rid: 'h', width: 1280, height: 100 },
    { rid: 'm', width: 640 },
    { rid: 'l', width: 320 },
  ]);
});

test('a simulcast changes the layer of a feed at a key frame, with its clock; key frames are then asked of that one', async () => {
  const peer = await publish();
  send(peer, true, 'l', 'm', 'h');
  for (const ssrc of [1, 2, 3]) peer.options.onDatagram(report(ssrc));
  clock.advance(1);
  const feed = await rooms.openFeed(RECORDER);
  const { runs, socket } = await connectRuns(feed.path);
  const wantOne = async () => {
    const from = peer.sent.length;
    socket.write(encodeFeedFrame('rtcp', 2, 0, encodePictureLossIndication(1, 0)));
    while (askedOf(peer, from).length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(20);
    }
    return askedOf(peer, from);
  };
  send(peer, true, 'l', 'm', 'h');
  expect(await wantOne()).toEqual([1]);
  send(peer, true, 'l', 'm', 'h');
  // The high layer falls silent; the key frame of the next is answered when it is asked for.
  const from = peer.sent.length;
  let answered = false;
  for (let n = 0; n < 40; n++) {
    clock.advance(40);
    const isAsked = askedOf(peer, from).includes(2);
    send(peer, isAsked && !answered, 'm');
    answered ||= isAsked;
    send(peer, false, 'l');
  }
  expect(answered).toBe(true);
  while (!runs.includes('rtp 2')) await new Promise((resolve) => setImmediate(resolve));
  expect(await wantOne()).toEqual([2]);
  expect(runs).toEqual(['sr 1', 'rtp 1', 'rtp 2', 'sr 2', 'rtp 2']);
  socket.destroy();
});
