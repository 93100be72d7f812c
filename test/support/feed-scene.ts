/**
 * FeedScene: a room on a held clock, with senders of made packets, and recorders that write down in words what they are
 * given of its feeds. One of them reads all at once, and what a feed gives again is judged by it.
 */
import { expect } from 'vitest';
import { Encoding, type LogMemory } from '../../src/channel/room/encoding.ts';
import type { VideoStreamType } from '../../src/channel/room/encoding-choice.ts';
import type { Feed } from '../../src/channel/room/feed.ts';
import type { FeedReading, FeedSink } from '../../src/channel/room/feed-reading.ts';
import { Publication, type Publisher } from '../../src/channel/room/publication.ts';
import { Room } from '../../src/channel/room/room.ts';
import type { FeedEvent } from '../../src/contract/line/feed.ts';
import type { TrackFormat } from '../../src/media/track.ts';
import { encodePacket } from '../../src/stages/rtp/encode-packet.ts';
import { parsePacket } from '../../src/stages/rtp/parse-packet.ts';
import { parseCompound } from '../../src/stages/rtp/rtcp.ts';
import { memoryForTests } from './channel-memory.ts';
import { ManualClock } from './manual-clock.ts';
import { encodeSenderReport } from './rtcp.ts';

const VIDEO: TrackFormat = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' };
const AUDIO: TrackFormat = {
  ...{ kind: 'audio', codec: 'opus', payloadType: 111 },
  ...{ clockRate: 48000, channels: 2, fmtp: '' },
} as const;

/**
 * What a recorder is given: an event as JSON, or `rtp TRACK HEX` and `rtcp TRACK HEX`. `track` of events stands where
 * the event has one; `atUs` is when it came into the room, on the room's clock; `key` says that it is a key frame.
 */
type Given = { what: string; track: number | undefined; atUs: number; key: boolean };

/** Reads a feed and keeps all that it is given, in that order. While `isFull`, the feed holds back. */
export class FeedRecorder implements FeedSink {
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

  /** What it was given, in words alone. */
  get words(): string[] {
    return this.given.map(({ what }) => what);
  }
}

let ssrcs = 0;

/**
 * Someone who sends Opus, and VP8 of so many layers: made packets, each with a timestamp of the room's clock, and a
 * sequence number that wraps around early.
 */
export class FeedSender implements Publisher {
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

  /** A packet of sound. */
  sendSound(): void {
    this.#send(this.publications[0]!.encodings[0]!, Buffer.from([0xfc, 1]));
  }

  /** A picture of one packet, 320 pixels wider from layer to layer. Layers are counted around. */
  sendPicture(layer: number, key: boolean): void {
    const { encodings } = this.publications[1]!;
    const payload = Buffer.from([0x10, key ? 0 : 1, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 100, 0]);
    payload.writeUInt16LE(320 * (layer + 1), 7);
    this.#send(encodings[layer % encodings.length]!, payload);
  }

  /** A sender report of the sound, and one of a layer where there is such a layer. */
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
export class FeedScene {
  readonly clock = new ManualClock();
  readonly memory: LogMemory;
  readonly room: Room;
  readonly senders = new Map<string, FeedSender>();
  /** The whole, as a recorder that never fails hears it. It holds nothing back: all it has is safe. */
  readonly whole = new FeedRecorder();
  recorder = new FeedRecorder();
  feed!: Feed;
  /** What arrived before is safe, as the recorder said; microseconds of the room's clock. */
  safeUs = 0;
  #wholeFeed!: Feed;

  constructor(memory = memoryForTests()) {
    this.memory = memory;
    this.clock.advance(60_000);
    this.room = new Room(this.clock, this.memory.arena);
  }

  /** Opens both feeds, and has both read. */
  open(type: VideoStreamType = 0): void {
    this.#wholeFeed = this.room.addFeed('98', type, () => {}).feed;
    this.feed = this.room.addFeed('99', type, () => {}).feed;
    this.safeUs = this.clock.monoUs();
    this.#wholeFeed.read(this.whole, this.clock.monoUs());
    this.connect();
  }

  /** Another run takes over. */
  connect(): void {
    this.recorder = new FeedRecorder();
    this.recorder.reading = this.feed.read(this.recorder, this.clock.monoUs());
  }

  /** Lets a sender in, in place of the one who is there by that name. */
  join(uid: string, layers: number): FeedSender {
    const sender = new FeedSender(this.clock, this.memory, layers);
    this.senders.set(uid, sender);
    this.room.join(uid, sender);
    return sender;
  }

  /** Lets the sender of that name out, if there is one. */
  leave(uid: string): void {
    const sender = this.senders.get(uid);
    if (!sender) return;
    this.senders.delete(uid);
    this.room.leave(uid, sender);
  }

  /** Time passes. */
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

  /** The recorder has room again, and is given what was held back. */
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

/** The RTP packets of a track that a recorder was given, in words and in their order. */
export const packetsOf = (recorder: FeedRecorder, track: number) =>
  recorder.words.filter((what) => what.startsWith(`rtp ${track} `));
