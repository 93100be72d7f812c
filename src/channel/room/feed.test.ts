/**
 * A feed that is read again gives what it gave before, whatever happened in between.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryForTests } from '../../../test/support/channel-memory.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { encodeSenderReport } from '../../../test/support/rtcp.ts';
import type { FeedEvent } from '../../contract/line/feed.ts';
import type { TrackFormat } from '../../media/track.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { parseCompound } from '../../stages/rtp/rtcp.ts';
import { Encoding, type LogMemory } from './encoding.ts';
import type { VideoStreamType } from './encoding-choice.ts';
import type { Feed } from './feed.ts';
import type { FeedReading, FeedSink } from './feed-reading.ts';
import { PacketArena } from './packet-arena.ts';
import { Publication, type Publisher } from './publication.ts';
import { Room } from './room.ts';

const VIDEO: TrackFormat = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' };
const AUDIO: TrackFormat = {
  ...{ kind: 'audio', codec: 'opus', payloadType: 111 },
  ...{ clockRate: 48000, channels: 2, fmtp: '' },
} as const;

/** What a recorder is given, as it would be told of it. */
type Given = { what: string; track: number | undefined; atUs: number; key: boolean };

class Recorder implements FeedSink {
  readonly given: Given[] = [];
  isFull = false;
  reading: FeedReading | undefined;

  writeEvent(event: FeedEvent, atUs: number): void {
    const track = event.type === 'trackEnded' || event.type === 'dropped' ? event.track : undefined;
    this.given.push({ what: JSON.stringify(event), track, atUs, key: false });
  }

  writeMedia(kind: 'rtp' | 'rtcp', track: number, datagram: Buffer, arrivalUs: number): void {
    const key = kind === 'rtp' && datagram[1] === 0xe0 && datagram[13] === 0;
    this.given.push({ what: `${kind} ${track} ${datagram.toString('hex')}`, track, atUs: arrivalUs, key });
  }

  get words(): string[] {
    return this.given.map(({ what }) => what);
  }
}

let ssrcs = 0;

/** Someone who sends sound, and pictures of so many layers. */
class Sender implements Publisher {
  readonly publications: Publication[];
  readonly sessionId = 's';
  readonly #clock: ManualClock;
  readonly #sequences = new Map<Encoding, number>();
  readonly #ssrcs = new Map<Encoding, number>();

  constructor(clock: ManualClock, memory: LogMemory, layers: number) {
    this.#clock = clock;
    const create = (format: TrackFormat, count: number) =>
      new Publication(
        format,
        Array.from({ length: count }, (_, n) => {
          const encoding = new Encoding({ format, rid: `${n}`, memory, isLayer: count > 1, onKeyFrameWanted() {} });
          this.#ssrcs.set(encoding, ++ssrcs);
          return encoding;
        }),
      );
    this.publications = [create(AUDIO, 1), create(VIDEO, layers)];
  }

  remoteAddress(): undefined {}
  onReplaced(): void {}

  sendSound(): void {
    this.#send(this.publications[0]!.encodings[0]!, Buffer.from([0xfc, 1]));
  }

  /** A picture of one packet. */
  sendPicture(layer: number, key: boolean): void {
    const { encodings } = this.publications[1]!;
    const payload = Buffer.from([0x10, key ? 0 : 1, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 100, 0]);
    payload.writeUInt16LE(320 * (layer + 1), 7);
    this.#send(encodings[layer % encodings.length]!, payload);
  }

  sendReport(layer: number): void {
    for (const encoding of [this.publications[0]!.encodings[0]!, this.publications[1]!.encodings[layer]]) {
      if (!encoding) continue;
      const ntpUs = 4e15 + this.#clock.monoUs();
      const ssrc = this.#ssrcs.get(encoding)!;
      const datagram = encodeSenderReport({ ssrc, ntpUs, rtpTimestamp: 1, packetCount: 1, octetCount: 1 });
      const [report] = parseCompound(datagram);
      if (report?.type === 'senderReport') encoding.takeRtcp(datagram, report, this.#clock.monoUs());
    }
  }

  #send(encoding: Encoding, payload: Buffer): void {
    const { payloadType, clockRate } = encoding.format;
    const sequence = this.#sequences.get(encoding) ?? 65_530;
    this.#sequences.set(encoding, sequence + 1);
    const timestamp = Math.floor((this.#clock.nowMs() * clockRate) / 1000) % 2 ** 32;
    const ssrc = this.#ssrcs.get(encoding)!;
    const fields = { payloadType, ssrc, sequence: sequence & 0xffff, timestamp, marker: true, payload };
    const datagram = encodePacket(fields);
    encoding.take(parsePacket(datagram, this.#clock.monoUs()), datagram);
  }
}

/**
 * A room with two feeds that were opened at the same moment: one that reads all at once, and one that is read again.
 */
class Scene {
  readonly clock = new ManualClock();
  readonly memory: LogMemory;
  readonly room: Room;
  readonly senders = new Map<string, Sender>();
  /** The whole, as a recorder that never fails hears it. It holds nothing back: all it has is safe. */
  readonly whole = new Recorder();
  recorder = new Recorder();
  feed!: Feed;
  safeUs = 0;
  #wholeFeed!: Feed;

  constructor(memory = memoryForTests()) {
    this.memory = memory;
    this.clock.advance(60_000);
    this.room = new Room(this.clock, this.memory.arena);
  }

  open(type: VideoStreamType = 0): void {
    this.#wholeFeed = this.room.addFeed('98', type, () => {}).feed;
    this.feed = this.room.addFeed('99', type, () => {}).feed;
    this.safeUs = this.clock.monoUs();
    this.#wholeFeed.read(this.whole, this.clock.monoUs());
    this.connect();
  }

  /** Another run takes over. */
  connect(): void {
    this.recorder = new Recorder();
    this.recorder.reading = this.feed.read(this.recorder, this.clock.monoUs());
  }

  join(uid: string, layers: number): Sender {
    const sender = new Sender(this.clock, this.memory, layers);
    this.senders.set(uid, sender);
    this.room.join(uid, sender);
    return sender;
  }

  leave(uid: string): void {
    const sender = this.senders.get(uid);
    if (!sender) return;
    this.senders.delete(uid);
    this.room.leave(uid, sender);
  }

  advance(ms: number): void {
    this.clock.advance(ms);
    this.#wholeFeed?.release(this.clock.monoUs(), this.clock.monoUs());
  }

  /** What arrived so long ago is safe. */
  release(agoMs: number): void {
    // No recorder says so of what it was not given.
    const first = this.recorder.reading!.isLive ? this.clock.monoUs() : this.safeUs;
    this.safeUs = Math.max(this.safeUs, Math.min(first, this.clock.monoUs() - agoMs * 1000));
    this.feed.release(this.safeUs, this.clock.monoUs());
  }

  drain(): void {
    this.recorder.isFull = false;
    this.recorder.reading!.onDrained();
  }

  /** Whether the present reading is what was given before, from the safe point that it began at. */
  expectAgain(fromUs: number): void {
    this.drain();
    const { given } = this.recorder;
    const caughtUp = (one: Given) => one.what.includes('caughtUp');
    // Who was there, what they sent, and their newest reports come first.
    const isStart = (one: Given) => /"(hello|userJoined|trackStarted)"/.test(one.what) && one.atUs < fromUs;
    const whole = this.whole.given.filter((one) => !caughtUp(one));
    const rest = given.filter((one) => !caughtUp(one) && !isStart(one));
    // Not one thing in another order, and nothing twice.
    let at = 0;
    for (const one of rest) {
      if (one.what.startsWith('rtcp') && one.atUs < fromUs) continue;
      const found = whole.findIndex((other, n) => n >= at && other.what === one.what && other.atUs === one.atUs);
      expect(found, `in its place: ${one.what}`).toBeGreaterThanOrEqual(0);
      at = found + 1;
    }
    // Nothing left out.
    const had = new Set(given.map(({ what, atUs }) => `${what} ${atUs}`));
    for (const one of whole)
      if (one.atUs >= fromUs) expect(had.has(`${one.what} ${one.atUs}`), `is there: ${one.what}`).toBe(true);
  }
}

/** Of each track, the words of its packets. */
const packetsOf = (recorder: Recorder, track: number) =>
  recorder.words.filter((what) => what.startsWith(`rtp ${track} `));

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 700 }) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('picture' as const),
      user: fc.integer({ min: 0, max: 2 }),
      layer: fc.integer({ min: 0, max: 2 }),
      key: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('sound' as const), user: fc.integer({ min: 0, max: 2 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      user: fc.integer({ min: 0, max: 2 }),
      layer: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      user: fc.integer({ min: 0, max: 2 }),
      layers: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), user: fc.integer({ min: 0, max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('safe' as const), agoMs: fc.integer({ min: 0, max: 2000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('connect' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('full' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function perform(scene: Scene, one: Step): void {
  const sender = 'user' in one ? scene.senders.get(String(one.user)) : undefined;
  if (one.do === 'advance') scene.advance(one.ms);
  else if (one.do === 'picture') sender?.sendPicture(one.layer, one.key);
  else if (one.do === 'sound') sender?.sendSound();
  else if (one.do === 'report') sender?.sendReport(one.layer);
  else if (one.do === 'join') scene.join(String(one.user), one.layers);
  else if (one.do === 'leave') scene.leave(String(one.user));
  else if (one.do === 'safe') scene.release(one.agoMs);
  else if (one.do === 'connect') scene.connect();
  else if (one.do === 'full') scene.recorder.isFull = true;
  else scene.drain();
}

describe('a feed that is read again', () => {
  test('gives the same packets, numbers, events and times in the same order, whatever happened', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 150 }), (before, after) => {
        const scene = new Scene();
        for (const one of before)
          if (one.do !== 'safe' && one.do !== 'connect' && one.do !== 'full' && one.do !== 'drain') perform(scene, one);
        scene.advance(1);
        scene.open();
        let fromUs = scene.safeUs;
        for (const one of after) {
          if (one.do === 'connect') {
            scene.expectAgain(fromUs);
            fromUs = scene.safeUs;
          }
          perform(scene, one);
          // Things of one instant have an order too, but a safe point cannot stand between them.
          scene.advance(1);
        }
        scene.expectAgain(fromUs);
      }),
      { numRuns: 300 },
    );
  });

  test('of a simulcast begins with the key frame that its first layer is chosen by', () => {
    const scene = new Scene();
    const sender = scene.join('1', 2);
    scene.open();
    sender.sendPicture(0, false);
    scene.advance(40);
    sender.sendPicture(0, true);
    expect(packetsOf(scene.whole, 2)).toHaveLength(1);
    expect(scene.whole.given.at(-1)!.key).toBe(true);
  });

  test('begins with the last key frame before what is safe, however old', () => {
    const scene = new Scene();
    const sender = scene.join('1', 1);
    sender.sendPicture(0, true);
    scene.open();
    for (let n = 0; n < 60; n++) {
      scene.advance(1000);
      sender.sendPicture(0, false);
      sender.sendSound();
      scene.release(400);
    }
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toEqual(packetsOf(scene.whole, 2));
    expect(packetsOf(scene.recorder, 1)).toHaveLength(1);
  });

  test('gives the last picture of a track that ended, for as long as nothing newer of the user is seen', () => {
    const scene = new Scene();
    const camera = scene.join('1', 1);
    scene.open();
    camera.sendPicture(0, true);
    scene.advance(40);
    camera.sendPicture(0, false);
    const screen = scene.join('1', 1);
    for (let n = 0; n < 10; n++) {
      scene.advance(1000);
      screen.sendSound();
      scene.release(0);
    }
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toHaveLength(2);
    const [ended] = scene.recorder.given.filter(({ what }) => what === '{"type":"trackEnded","track":2}');
    expect(scene.whole.given).toContainEqual(ended);
    scene.advance(1000);
    screen.sendPicture(0, true);
    scene.advance(1000);
    scene.release(0);
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toEqual([]);
    expect(packetsOf(scene.recorder, 4)).toHaveLength(1);
    expect(scene.recorder.words.filter((what) => what.includes('trackStarted'))).toHaveLength(2);
  });

  test('of a user who left gives nothing any more, and keeps nothing', () => {
    const scene = new Scene();
    const sender = scene.join('1', 1);
    scene.open();
    sender.sendPicture(0, true);
    scene.leave('1');
    scene.advance(1000);
    expect(scene.memory.arena.bytes).toBeGreaterThan(0);
    scene.release(0);
    expect([scene.memory.arena.bytes, scene.memory.arena.users]).toEqual([0, 0]);
    scene.connect();
    expect(scene.recorder.words.map((what) => JSON.parse(what).type)).toEqual(['hello', 'caughtUp']);
  });

  test('keeps all for a recorder that takes a minute to come', () => {
    const scene = new Scene();
    scene.open();
    scene.feed.stopReading();
    const sender = scene.join('1', 1);
    for (let n = 0; n < 600; n++) {
      scene.advance(100);
      sender.sendPicture(0, n % 10 === 0);
      sender.sendSound();
    }
    scene.connect();
    expect(packetsOf(scene.recorder, 1)).toHaveLength(600);
    expect(packetsOf(scene.recorder, 2)).toHaveLength(600);
  });
});

describe('at its bounds a feed', () => {
  const run = (scene: Scene, sender: Sender, count: number, gop: number) => {
    for (let n = 0; n < count; n++) {
      scene.advance(100);
      sender.sendPicture(0, n % gop === 0);
      sender.sendSound();
    }
  };
  const droppedOf = (recorder: Recorder) =>
    recorder.given.flatMap(({ what }) => (what.includes('"dropped"') ? [JSON.parse(what)] : []));

  test('gives up whole groups of pictures after some time, the oldest first, and sound; and says so', () => {
    const memory = { ...memoryForTests(), bounds: { maxBytes: 1e9, maxUs: 10_000_000 } };
    const scene = new Scene(memory);
    const sender = scene.join('1', 1);
    scene.open();
    run(scene, sender, 300, 10);
    // The recorder read all this and did not say that any of it is safe.
    expect(droppedOf(scene.recorder)).toEqual([]);
    scene.connect();
    const [sound, pictures] = [packetsOf(scene.recorder, 1), packetsOf(scene.recorder, 2)];
    expect(scene.recorder.given.find(({ what }) => what.startsWith('rtp 2 '))?.key).toBe(true);
    expect(pictures).toEqual(packetsOf(scene.whole, 2).slice(-pictures.length));
    expect(pictures.length).toBeGreaterThanOrEqual(100);
    expect(pictures.length).toBeLessThanOrEqual(115);
    expect(sound.length).toBeGreaterThanOrEqual(100);
    const dropped = droppedOf(scene.recorder);
    expect(dropped.map(({ track, packets }) => [track, packets]).sort()).toEqual([
      [1, 300 - sound.length],
      [2, 300 - pictures.length],
    ]);
    for (const { fromUs, untilUs } of dropped) {
      expect(fromUs).toBe(60_100_000);
      expect(untilUs).toBeLessThan(scene.clock.monoUs() - 9_000_000);
    }
  });

  test('gives up what a recorder that does not read has not come to', () => {
    const memory = { ...memoryForTests(), bounds: { maxBytes: 1e9, maxUs: 10_000_000 } };
    const scene = new Scene(memory);
    const sender = scene.join('1', 1);
    scene.open();
    scene.recorder.isFull = true;
    run(scene, sender, 300, 10);
    scene.drain();
    const given = packetsOf(scene.recorder, 2);
    const dropped = droppedOf(scene.recorder).find(({ track }) => track === 2);
    expect(given.length + dropped.packets).toBe(300);
    expect(given.slice(1)).toEqual(packetsOf(scene.whole, 2).slice(1 - given.length));
  });

  test('keeps a group longer than the time, and gives up one that is larger than the bytes', () => {
    const memory = { ...memoryForTests(), bounds: { maxBytes: 64 * 1024, maxUs: 10_000_000 } };
    const scene = new Scene(memory);
    const sender = scene.join('1', 1);
    scene.open();
    run(scene, sender, 500, 1000);
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toHaveLength(500);
    run(scene, sender, 2500, 10_000);
    scene.connect();
    expect(packetsOf(scene.recorder, 2).length).toBeLessThan(2500);
    expect(droppedOf(scene.recorder).map(({ track }) => track)).toContain(2);
  });

  test('of all together gives up the oldest of anyone', () => {
    const scene = new Scene({ ...memoryForTests(), arena: new PacketArena(128 * 1024) });
    const senders = ['1', '2', '3'].map((uid) => scene.join(uid, 1));
    scene.open();
    for (let n = 0; n < 3000; n++) {
      scene.advance(10);
      for (const sender of senders) sender.sendPicture(0, n % 10 === 0);
      expect(scene.memory.arena.bytes).toBeLessThanOrEqual(128 * 1024);
    }
    scene.connect();
    for (const track of [2, 4, 6]) expect(packetsOf(scene.recorder, track).length).toBeGreaterThan(500);
    expect(droppedOf(scene.recorder)).toHaveLength(3);
  });
});

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
    const recorder = new Recorder();
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
