/**
 * The feed: how a channel hands RTP to a recorder over a stream socket. RFC 4571 framing (a 16-bit length before each
 * datagram), with a kind, a track number and the arrival time before the datagram, so that nothing is lost between
 * processes, the receive time stays exact however late the reader is, and the same bytes cross nodes (ADR 0032), where
 * each node is told moments by its own clock.
 *
 *   length:u16  kind:u8  track:u16  arrivalUs:u48  body          (big endian; length counts all that follows it)
 *
 * Down (channel to recorder): `rtp`, `rtcp` (the sender's reports) and `event` (one JSON FeedEvent, track 0).
 * Up (recorder to channel): `rtcp`, of which a PLI asks the track's sender for a key frame, and `event` (one JSON
 * RecorderEvent).
 *
 * A feed outlives its recorder. A later run of the recording connects to the same socket and is given everything again
 * from the last key frame before what was said to be safe: `hello` as it was first sent (a feed is known by its
 * `monoUs`), who was there then, their tracks under the same numbers, packets. What stood before them comes with the
 * times that it had.
 */

import { z } from 'zod';
import { Fault } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { Track } from '../../media/track.ts';

export const FEED_HEADER_BYTES = 11;
/**
 * How often a channel says that it is there. A channel that does not say so stands still, and will hand over later what
 * waits for it.
 */
export const FEED_ALIVE_MS = 250;
/** How long a channel gathers media before it hands it over together, for a recorder that wants nothing else. */
export const FEED_GATHER_MS = 10;
/** The longest time that a recorder can have media gathered for. */
const MAX_GATHER_MS = 500;
/** The largest body a 16-bit length leaves room for. */
const FEED_MAX_BODY = 0xffff - (FEED_HEADER_BYTES - 2);

const KINDS = ['rtp', 'rtcp', 'event'] as const;
export type FeedKind = (typeof KINDS)[number];
export type FeedFrame = { kind: FeedKind; track: number; arrivalUs: HostUs; body: Buffer };

export const videoFormatSchema = z.object({
  kind: z.literal('video'),
  codec: z.enum(['h264', 'vp8', 'vp9', 'av1']),
  payloadType: z.int().min(0).max(127),
  clockRate: z.literal(90000),
  fmtp: z.string(),
  colorExtension: z.int().min(1).max(255).optional(),
  orientationExtension: z.int().min(1).max(255).optional(),
});
const formatSchema = z.discriminatedUnion('codec', [
  z.object({
    kind: z.literal('audio'),
    codec: z.literal('opus'),
    payloadType: z.int().min(0).max(127),
    clockRate: z.literal(48000),
    channels: z.union([z.literal(1), z.literal(2)]),
    fmtp: z.string(),
  }),
  z.object({
    kind: z.literal('audio'),
    codec: z.enum(['pcmu', 'pcma']),
    payloadType: z.int().min(0).max(127),
    clockRate: z.literal(8000),
    channels: z.literal(1),
    fmtp: z.string(),
  }),
  videoFormatSchema,
]);
const trackSchema: z.ZodType<Track> = z.object({
  track: z.int().min(1).max(0xffff),
  uid: z.string(),
  format: formatSchema,
});

/** Presence in the channel, in order with the media. The first events describe who is there already. */
const feedEventSchema = z.discriminatedUnion('type', [
  /**
   * Sent first. The clocks of the channel's host at one instant, so that a recorder elsewhere can relate `arrivalUs` to
   * its own.
   */
  z.object({ type: z.literal('hello'), version: z.literal(1), monoUs: z.number(), utcMs: z.number() }),
  /** Everything after this happened after the recorder joined. */
  z.object({ type: z.literal('caughtUp') }),
  /**
   * Everything that came before has been told. Sent every `FEED_ALIVE_MS` from `caughtUp` on, even while nobody sends.
   */
  z.object({ type: z.literal('alive') }),
  z.object({ type: z.literal('userJoined'), uid: z.string() }),
  z.object({ type: z.literal('userLeft'), uid: z.string() }),
  z.object({ type: z.literal('trackStarted'), track: trackSchema }),
  z.object({ type: z.literal('trackEnded'), track: z.int() }),
  /**
   * Packets that were given up because a bound of what the channel keeps was reached: when they arrived, and how many.
   */
  z.object({
    type: z.literal('dropped'),
    track: z.int(),
    packets: z.int().min(1),
    fromUs: z.number(),
    untilUs: z.number(),
  }),
]);
export type FeedEvent = z.infer<typeof feedEventSchema>;

/** What a recorder tells its channel. */
const recorderEventSchema = z.discriminatedUnion('type', [
  /**
   * Sent first. A run that is not newer than the last one is turned away; a newer run takes the feed over. It says how
   * long media may be gathered (`FEED_GATHER_MS` when left out), and of which kinds of track it wants the media; of
   * both when left out. It is told of all tracks either way.
   */
  z.object({
    type: z.literal('hello'),
    generation: z.int().min(1),
    gatherMs: z.int().min(0).max(MAX_GATHER_MS).optional(),
    kinds: z.array(z.enum(['audio', 'video'])).optional(),
  }),
  /** What arrived before `arrivalUs` is on disk; the channel may forget it. The value never falls. */
  z.object({ type: z.literal('safe'), arrivalUs: z.number() }),
]);
export type RecorderEvent = z.infer<typeof recorderEventSchema>;
export type RecorderHello = Extract<RecorderEvent, { type: 'hello' }>;

/** One frame as bytes. */
export function encodeFeedFrame(kind: FeedKind, track: number, arrivalUs: HostUs, body: Buffer): Buffer {
  const out = Buffer.allocUnsafe(FEED_HEADER_BYTES + body.length);
  writeFeedFrame(out, 0, kind, track, arrivalUs, body);
  return out;
}

/**
 * Writes one frame into `out` from `at` on; returns where it ends. Throws a RangeError where there is no room for it.
 */
export function writeFeedFrame(
  out: Buffer,
  at: number,
  kind: FeedKind,
  track: number,
  arrivalUs: HostUs,
  body: Buffer,
): number {
  if (body.length > FEED_MAX_BODY)
    throw new RangeError(`a feed frame holds at most ${FEED_MAX_BODY} bytes, got ${body.length}`);
  out.writeUInt16BE(FEED_HEADER_BYTES - 2 + body.length, at);
  out.writeUInt8(KINDS.indexOf(kind), at + 2);
  out.writeUInt16BE(track, at + 3);
  out.writeUIntBE(arrivalUs, at + 5, 6);
  out.set(body, at + FEED_HEADER_BYTES);
  return at + FEED_HEADER_BYTES + body.length;
}

export function encodeFeedEvent(event: FeedEvent | RecorderEvent, arrivalUs: HostUs): Buffer {
  return encodeFeedFrame('event', 0, arrivalUs, Buffer.from(JSON.stringify(event)));
}

/** Reads the JSON of an `event` frame from the channel. Throws a Fault when it is not a FeedEvent. */
export function decodeFeedEvent(body: Buffer): FeedEvent {
  return decodeEvent(feedEventSchema, body);
}

/** Reads the JSON of an `event` frame from a recorder. Throws a Fault when it is not a RecorderEvent. */
export function decodeRecorderEvent(body: Buffer): RecorderEvent {
  return decodeEvent(recorderEventSchema, body);
}

function decodeEvent<T>(schema: z.ZodType<T>, body: Buffer): T {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new Fault('feed-event-invalid', 'a feed event is not JSON', { blame: 'self', cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success)
    throw new Fault('feed-event-invalid', `a feed event is malformed: ${parsed.error.message}`, { blame: 'self' });
  return parsed.data;
}

/** Both as one; without a copy where they lie side by side in memory. */
function joined(first: Buffer, second: Buffer): Buffer {
  if (first.length === 0) return second;
  const { buffer, byteOffset, length } = first;
  if (buffer !== second.buffer || byteOffset + length !== second.byteOffset) return Buffer.concat([first, second]);
  return Buffer.from(buffer, byteOffset, length + second.length);
}

/** Cuts a byte stream into feed frames, however the stream was chunked. */
export class FeedReader {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * Takes the next bytes and returns the frames that they complete. Bodies are views of memory that this reader no
   * longer writes to. Throws a Fault for a frame that no version of this format has; the stream cannot be read on after
   * it.
   */
  push(chunk: Buffer): FeedFrame[] {
    const bytes = joined(this.#rest, chunk);
    const frames: FeedFrame[] = [];
    let at = 0;
    while (bytes.length - at >= 2) {
      const length = bytes.readUInt16BE(at);
      if (bytes.length - at < 2 + length) break;
      const kind = length >= FEED_HEADER_BYTES - 2 ? KINDS[bytes.readUInt8(at + 2)] : undefined;
      if (!kind) throw new Fault('feed-frame-invalid', 'the feed sent a frame of unknown shape', { blame: 'self' });
      frames.push({
        kind,
        track: bytes.readUInt16BE(at + 3),
        arrivalUs: bytes.readUIntBE(at + 5, 6),
        body: bytes.subarray(at + FEED_HEADER_BYTES, at + 2 + length),
      });
      at += 2 + length;
    }
    this.#rest = bytes.subarray(at);
    return frames;
  }
}
