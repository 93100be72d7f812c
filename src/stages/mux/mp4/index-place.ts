/**
 * Where an MP4 keeps its index (`moov`, ISO/IEC 14496-12 §8.2.1): in front of the media, so that the file plays before
 * it is loaded completely. Room is left for it when the file is begun; else a file of gigabytes would be written twice.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { Fault } from '../../../kernel/fault.ts';
import type { FileLimit } from '../cut.ts';
import type { Streams } from '../stream.ts';

/** The most blocks of AAC, or packets of Opus, in a second of sound. */
const SOUNDS_PER_S = 50;
/** Bytes of the index for each sample (its size), and for each chunk (its place and its number of samples). */
const SAMPLE_BYTES = 4;
const STRETCH_BYTES = 4 + 12;
/** Bytes of the index before any sample is described. */
const HEAD_BYTES = 64_000;
/** A file with a limit beyond this one ends where its input ends, so no room is left for its index. */
const MAX_S = 86_400;
/** Room that is left over stays in the file when it is at most this share of it; else the media is moved. */
const MAX_ROOM_SHARE = 0.02;
const MOVE_BYTES = 1 << 20;

/**
 * How many bytes to leave for the index of a file that ends at `limit`; 0 when its length or a rate is unknown. Every
 * picture counts as a chunk, and so does the sound between two pictures.
 */
export function indexRoom({ video, audio }: Streams, limit: FileLimit): number {
  const fps = video ? video.fps : 1;
  if (fps === undefined || limit.durationMs > MAX_S * 1000) return 0;
  const perS = fps * (SAMPLE_BYTES + 2 * STRETCH_BYTES) + (audio ? SOUNDS_PER_S * SAMPLE_BYTES : 0);
  return HEAD_BYTES + Math.ceil((perS * limit.durationMs) / 1000);
}

type Box = { type: string; at: number; bytes: number };

/**
 * Moves the index of the file at `path` from its end to its front; the file begins with `room` empty bytes, followed by
 * its boxes. The time it takes grows with the index; when too much room is left over, or too little was left, with the
 * whole file. Throws a Fault when the file has another form or cannot be written.
 */
export async function placeIndex(path: string, room: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const boxes = await boxesOf(file, room);
    const [type, body] = boxes;
    const moov = boxes.at(-1);
    if (type?.type !== 'ftyp' || !body || moov?.type !== 'moov')
      throw new Fault('mux-failed', 'an MP4 was not written as it should be', { blame: 'self' });
    const index = await readBytes(file, moov);
    const left = body.at - type.bytes - index.length;
    const isLittle = left === 0 || (left >= 8 && left <= (moov.at - body.at) * MAX_ROOM_SHARE);
    const bySize = isLittle ? 0 : -left;
    if (!moveChunks(index, bySize)) {
      // No 32-bit field could hold the media's new place, so the index stays where it is.
      await write(file, 0, [await readBytes(file, type), freeBox(body.at - type.bytes)]);
      return;
    }
    const head = await readBytes(file, type);
    if (bySize !== 0) await moveBytes(file, body.at, moov.at, bySize);
    await write(file, 0, [head, index, freeBox(isLittle ? left : 0)]);
    await file.truncate(moov.at + bySize);
  } finally {
    await file.close();
  }
}

async function boxesOf(file: FileHandle, from: number): Promise<Box[]> {
  const { size } = await file.stat();
  const boxes: Box[] = [];
  for (let at = from; at < size; ) {
    const head = await readBytes(file, { at, bytes: Math.min(16, size - at) });
    const short = head.length >= 8 ? head.readUInt32BE(0) : 0;
    const bytes = short === 1 && head.length >= 16 ? Number(head.readBigUInt64BE(8)) : short;
    if (bytes < 8 || at + bytes > size)
      throw new Fault('mux-failed', `an MP4 is cut off at byte ${at}`, { blame: 'self' });
    boxes.push({ type: head.toString('latin1', 4, 8), at, bytes });
    at += bytes;
  }
  return boxes;
}

async function readBytes(
  file: FileHandle,
  { at, bytes }: Pick<Box, 'at' | 'bytes'>,
  buffer = Buffer.alloc(bytes),
): Promise<Buffer> {
  for (let got = 0; got < bytes; ) {
    const { bytesRead } = await file.read(buffer, got, bytes - got, at + got);
    if (bytesRead === 0) throw new Fault('mux-failed', 'an MP4 ends too soon', { blame: 'self' });
    got += bytesRead;
  }
  return buffer;
}

async function write(file: FileHandle, at: number, parts: readonly Buffer[]): Promise<void> {
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  for (let put = 0; put < bytes.length; )
    put += (await file.write(bytes, put, bytes.length - put, at + put)).bytesWritten;
}

/** The head of a free-space box (§8.1.2) of `bytes` bytes; its content is ignored. */
function freeBox(bytes: number): Buffer {
  if (bytes === 0) return Buffer.alloc(0);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(bytes, 0);
  head.write('free', 4, 'latin1');
  return head;
}

/**
 * Moves bytes `[from, to)` of the file by `by` bytes. Where the target lies wholly before the source, it is moved from
 * its end, and the file is cut bit by bit: the room before it takes no space on disk until something is written there,
 * and a full disk has none.
 */
async function moveBytes(file: FileHandle, from: number, to: number, by: number): Promise<void> {
  const shrinks = by < 0 && to + by <= from;
  const forward = by < 0 && !shrinks;
  const buffer = Buffer.alloc(Math.min(MOVE_BYTES, to - from));
  for (let done = 0; done < to - from; ) {
    const bytes = Math.min(MOVE_BYTES, to - from - done);
    const at = forward ? from + done : to - done - bytes;
    await write(file, at + by, [await readBytes(file, { at, bytes }, buffer.subarray(0, bytes))]);
    if (shrinks) await file.truncate(at);
    done += bytes;
  }
}

/** Boxes that lead from the index to the tables of places. */
const CONTAINERS = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl']);

/**
 * Adds `by` to every place of media in `index` (`stco`, `co64`, §8.7.5). Returns false and changes nothing when a place
 * would no longer fit its table.
 */
function moveChunks(index: Buffer, by: number): boolean {
  for (const at of placesOf(index, 'stco')) if (index.readUInt32BE(at) + by > 0xffff_ffff) return false;
  for (const at of placesOf(index, 'stco')) index.writeUInt32BE(index.readUInt32BE(at) + by, at);
  for (const at of placesOf(index, 'co64')) index.writeBigUInt64BE(index.readBigUInt64BE(at) + BigInt(by), at);
  return true;
}

/** Where the entries of all tables of a type are in `index`; those of `co64` are twice as long. */
function* placesOf(
  index: Buffer,
  table: 'stco' | 'co64',
  [from, to]: readonly [number, number] = [0, index.length],
): Generator<number> {
  for (let at = from; at + 8 <= to; at += index.readUInt32BE(at)) {
    const type = index.toString('latin1', at + 4, at + 8);
    if (CONTAINERS.has(type)) yield* placesOf(index, table, [at + 8, at + index.readUInt32BE(at)]);
    if (type !== table) continue;
    const entries = index.readUInt32BE(at + 12);
    for (let n = 0; n < entries; n++) yield at + 16 + n * (table === 'stco' ? 4 : 8);
  }
}
