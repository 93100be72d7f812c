/** Reads files of MPEG-TS, also while they grow, for the segments that they are divided into. */
import { type FileHandle, open } from 'node:fs/promises';
import type { EntryPoint } from '../../../media/segment.ts';
import type { MediaKind } from '../../../media/track.ts';
import { partRule, TsParts } from './ts-parts.ts';

/** So much of a file is read at once, whole packets: recorders of many users have little memory to spare. */
const READ_BYTES = 340 * 188;

/**
 * All are read into the same memory, one after another: the slices of all users of a recording end at once, and memory
 * outside of the heap is freed late.
 */
let buffer: Buffer | undefined;
let before: Promise<unknown> = Promise.resolve();

/** Has `scan` take what the file has grown by. */
export function readGrown(file: FileHandle, scan: TsParts): Promise<void> {
  const done = before.then(() => read(file, scan));
  before = done.catch(() => {});
  return done;
}

async function read(file: FileHandle, scan: TsParts): Promise<void> {
  buffer ??= Buffer.allocUnsafeSlow(READ_BYTES);
  for (let bytes = READ_BYTES; bytes === READ_BYTES; ) {
    bytes = (await file.read(buffer, 0, READ_BYTES, scan.bytes)).bytesRead;
    if (bytes > 0) scan.push(buffer.subarray(0, bytes));
  }
}

/**
 * Where a player may begin inside of a finished slice, its beginning left out.
 * @param kind picture, where the slice has any
 */
export async function readEntryPoints(path: string, kind: MediaKind): Promise<EntryPoint[]> {
  const file = await open(path, 'r');
  try {
    const scan = new TsParts(partRule(kind));
    await readGrown(file, scan);
    return scan.segments.slice(1).map(({ from, beginUs }) => ({ atByte: from, atUs: Math.round(beginUs) }));
  } finally {
    await file.close();
  }
}
