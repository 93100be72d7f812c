/**
 * Parameter sets and sequence headers that a sender sent once, and that a recorder needs which comes later.
 */
import { describe, expect, test } from 'vitest';
import { memoryForTests } from '../../../test/support/channel-memory.ts';
import { FeedRecorder } from '../../../test/support/feed-scene.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { Encoding } from './encoding.ts';
import { Publication, type Publisher } from './publication.ts';
import { Room } from './room.ts';

describe('what decoding needs and was sent once', () => {
  const SPS = Buffer.from([0x67, 0x42, 0xc0, 0x1f, 0xda]);
  const PPS = Buffer.from([0x68, 0xce, 0x3c, 0x80]);
  const IDR = Buffer.from([0x65, 0x88, 0x84, 0x00]);
  const SLICE = Buffer.from([0x41, 0x9a, 0x00]);
  const stapOf = (...nals: Buffer[]) =>
    Buffer.concat([Buffer.of(24), ...nals.flatMap((nal) => [Buffer.of(0, nal.length), nal])]);
  const HEADER = Buffer.from([0x08, 0x00, 0x01, 0x02]);
  const AV1_KEY = Buffer.from([0x30, 0x10, 0x01]);
  const AV1_INTER = Buffer.from([0x30, 0x30, 0x01]);
  const unitsOf = (...obus: Buffer[]) =>
    Buffer.concat([
      Buffer.of(obus.length << 4),
      ...obus.flatMap((obu, n) => (n < obus.length - 1 ? [Buffer.of(obu.length), obu] : [obu])),
    ]);

  /** Packets of the track that a recorder is given that comes now. */
  const givenAfter = (
    codec: 'h264' | 'av1',
    sent: { payload: Buffer; timestamp: number }[],
    firstSequence = 65_533,
  ) => {
    const memory = memoryForTests();
    const clock = new ManualClock();
    clock.advance(60_000);
    const format = { kind: 'video', codec, payloadType: 96, clockRate: 90000, fmtp: '' } as const;
    const encoding = new Encoding({ format, memory, onKeyFrameWanted() {} });
    const room = new Room(clock, memory.arena);
    const publisher = {
      sessionId: 's',
      publications: [new Publication(format, [encoding])],
      remoteAddress() {},
      onReplaced() {},
    };
    room.join('1', publisher as Publisher);
    sent.forEach(({ payload, timestamp }, n) => {
      clock.advance(400);
      const sequence = (firstSequence + n) & 0xffff;
      const datagram = encodePacket({ payloadType: 96, ssrc: 7, sequence, timestamp, marker: true, payload });
      encoding.take(parsePacket(datagram, clock.monoUs()), datagram);
    });
    clock.advance(1);
    const recorder = new FeedRecorder();
    room.addFeed('99', 0, () => {}).feed.read(recorder, clock.monoUs());
    return recorder.words
      .filter((what) => what.startsWith('rtp'))
      .map((what) => parsePacket(Buffer.from(what.split(' ')[2]!, 'hex'), 0));
  };

  test('of H.264 is put before the first key frame, in its picture, with the newest version of each set', () => {
    const sets = [stapOf(Buffer.from([0x67, 0x42, 0xc0, 0x1f, 0xff]), PPS), SPS];
    const given = givenAfter('h264', [
      ...sets.map((payload) => ({ payload, timestamp: 1 })),
      { payload: IDR, timestamp: 1 },
      { payload: SLICE, timestamp: 2 },
      { payload: IDR, timestamp: 3 },
      { payload: SLICE, timestamp: 4 },
    ]);
    expect(given.map(({ sequence, timestamp }) => [sequence, timestamp])).toEqual([
      [65_535, 3],
      [0, 3],
      [1, 3],
      [2, 4],
    ]);
    expect(
      given
        .slice(0, 2)
        .map(({ payload }) => payload.toString('hex'))
        .sort(),
    ).toEqual([SPS, PPS].map((set) => set.toString('hex')).sort());
    expect(new Set(given.map(({ ssrc }) => ssrc))).toEqual(new Set([7]));
  });

  test('of H.264 is not given twice when the key frame brings it', () => {
    const given = givenAfter('h264', [
      { payload: stapOf(SPS, PPS), timestamp: 1 },
      { payload: IDR, timestamp: 1 },
      { payload: stapOf(SPS, PPS), timestamp: 3 },
      { payload: IDR, timestamp: 3 },
    ]);
    expect(given.map(({ timestamp }) => timestamp)).toEqual([3, 3]);
  });

  test('of AV1 is the sequence header, and a key frame without one is a place to begin', () => {
    const given = givenAfter('av1', [
      { payload: unitsOf(HEADER, AV1_KEY), timestamp: 1 },
      { payload: unitsOf(AV1_INTER), timestamp: 2 },
      { payload: unitsOf(AV1_KEY), timestamp: 3 },
      { payload: unitsOf(AV1_INTER), timestamp: 4 },
    ]);
    expect(given.map(({ timestamp }) => timestamp)).toEqual([3, 3, 4]);
    expect(given[0]!.payload).toEqual(Buffer.concat([Buffer.of(0x18), HEADER]));
  });
});
