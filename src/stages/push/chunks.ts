/**
 * RTMP's chunks (Adobe's "Real-Time Messaging Protocol", 1.0, §5.3): messages cut into pieces, and put together again.
 * Pure.
 */
import { Fault } from '../../kernel/fault.ts';

/** Message types (§5.4, §7.1). */
export const MESSAGE = {
  chunkSize: 1,
  abort: 2,
  acknowledgement: 3,
  userControl: 4,
  windowAckSize: 5,
  peerBandwidth: 6,
  audio: 8,
  video: 9,
  data: 18,
  commandAmf3: 17,
  command: 20,
} as const;

export type Message = {
  type: number;
  /** Milliseconds, counted modulo 2³². */
  timestamp: number;
  /** The message stream; 0 is the connection itself. */
  stream: number;
  payload: Buffer;
};

export const FIRST_CHUNK_SIZE = 128;
/** Size limit of a message from a server: no answer to a publisher comes near it. */
const MAX_MESSAGE = 1024 * 1024;
const MAX_CHUNK_STREAMS = 64;
const EXTENDED = 0xffffff;

/** Each kind of message has a chunk stream of its own, so that a picture does not hold up a command. */
function chunkStreamOf(type: number): number {
  switch (type) {
    case MESSAGE.audio:
      return 4;
    case MESSAGE.video:
      return 6;
    case MESSAGE.data:
      return 5;
    case MESSAGE.command:
      return 3;
    default:
      return 2;
  }
}

/** A message as chunks of at most `chunkSize` bytes of payload, each message with its whole header. */
export function toChunks({ type, timestamp, stream, payload }: Message, chunkSize: number): Buffer {
  const time = timestamp >>> 0;
  const isExtended = time >= EXTENDED;
  const chunkStream = chunkStreamOf(type);
  const extended = Buffer.alloc(isExtended ? 4 : 0);
  if (isExtended) extended.writeUInt32BE(time);
  const header = Buffer.alloc(12);
  header.writeUInt8(chunkStream);
  header.writeUIntBE(isExtended ? EXTENDED : time, 1, 3);
  header.writeUIntBE(payload.length, 4, 3);
  header.writeUInt8(type, 7);
  // The one number of RTMP that is little endian.
  header.writeUInt32LE(stream, 8);
  const parts = [header, extended, payload.subarray(0, chunkSize)];
  for (let at = chunkSize; at < payload.length; at += chunkSize)
    parts.push(Buffer.of(0xc0 | chunkStream), extended, payload.subarray(at, at + chunkSize));
  return Buffer.concat(parts);
}

type ChunkStream = {
  timestamp: number;
  delta: number;
  length: number;
  type: number;
  stream: number;
  isExtended: boolean;
  parts: Buffer[];
  bytes: number;
};

/** Puts incoming chunks together to messages. It follows changes of the chunk size itself, and returns them too. */
export class ChunkReader {
  #chunkSize = FIRST_CHUNK_SIZE;
  #streams = new Map<number, ChunkStream>();
  #rest: Buffer = Buffer.alloc(0);

  /** The messages that are complete now. Throws a Fault for bytes that no server may send. */
  read(bytes: Buffer): Message[] {
    this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes;
    const messages: Message[] = [];
    for (;;) {
      const read = this.#readChunk(this.#rest);
      if (!read) return messages;
      this.#rest = this.#rest.subarray(read.bytes);
      if (!read.message) continue;
      this.#obey(read.message);
      messages.push(read.message);
    }
  }

  #obey({ type, payload }: Message): void {
    if (type === MESSAGE.chunkSize && payload.length >= 4) this.#chunkSize = payload.readUInt32BE() & 0x7fffffff || 1;
    if (type === MESSAGE.abort && payload.length >= 4) {
      const stream = this.#streams.get(payload.readUInt32BE());
      if (stream) Object.assign(stream, { parts: [], bytes: 0 });
    }
  }

  /** The first chunk of `from`, and the message that it completes; undefined when the chunk is incomplete. */
  #readChunk(from: Buffer): { bytes: number; message: Message | undefined } | undefined {
    const basic = basicHeader(from);
    if (!basic) return undefined;
    const { format, id } = basic;
    let at = basic.bytes;
    const headerBytes = [11, 7, 3, 0][format]!;
    if (from.length < at + headerBytes) return undefined;
    const known = this.#streams.get(id);
    if (!known && format !== 0) throw malformed('a chunk goes on with a message that was never begun');
    const next: ChunkStream = known
      ? { ...known }
      : { timestamp: 0, delta: 0, length: 0, type: 0, stream: 0, isExtended: false, parts: [], bytes: 0 };
    let time = format < 3 ? from.readUIntBE(at, 3) : 0;
    if (format < 3) next.isExtended = time === EXTENDED;
    if (format < 2) {
      next.length = from.readUIntBE(at + 3, 3);
      next.type = from.readUInt8(at + 6);
    }
    if (format === 0) next.stream = from.readUInt32LE(at + 7);
    at += headerBytes;
    if (next.isExtended) {
      if (from.length < at + 4) return undefined;
      if (format < 3) time = from.readUInt32BE(at);
      at += 4;
    }
    if (next.length > MAX_MESSAGE) throw malformed(`a message of ${next.length} bytes`);
    if (format < 3 && next.bytes > 0) throw malformed('a message was begun within another one');
    const size = Math.min(this.#chunkSize, next.length - next.bytes);
    if (from.length < at + size) return undefined;
    if (next.bytes === 0) {
      if (format === 0) next.delta = 0;
      else if (format < 3) next.delta = time;
      next.timestamp = format === 0 ? time : (next.timestamp + next.delta) >>> 0;
    }
    next.parts = [...next.parts, Buffer.from(from.subarray(at, at + size))];
    next.bytes += size;
    const isWhole = next.bytes >= next.length;
    const { type, timestamp, stream } = next;
    const message = isWhole ? { type, timestamp, stream, payload: Buffer.concat(next.parts) } : undefined;
    if (isWhole) Object.assign(next, { parts: [], bytes: 0 });
    this.#streams.set(id, next);
    if (this.#streams.size > MAX_CHUNK_STREAMS) throw malformed('more chunk streams than any server needs');
    return { bytes: at + size, message };
  }
}

/** Format and chunk stream (§5.3.1.1); undefined when the header is incomplete. */
function basicHeader(from: Buffer): { format: number; id: number; bytes: number } | undefined {
  const first = from[0];
  if (first === undefined) return undefined;
  const format = first >> 6;
  const low = first & 63;
  if (low > 1) return { format, id: low, bytes: 1 };
  if (from.length < 2 + low) return undefined;
  const id = low === 0 ? 64 + from[1]! : 64 + from.readUInt16LE(1);
  return { format, id, bytes: 2 + low };
}

function malformed(what: string): Fault {
  return new Fault('rtmp-malformed', `the server does not speak RTMP: ${what}`, { blame: 'destination' });
}
