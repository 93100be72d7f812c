/** Reads files of MPEG-TS, also while they grow, for the segments that they are divided into. */
import { type FileHandle, open } from 'node:fs/promises';
import type { EntryPoint } from '../../../media/segment.ts';
import type { MediaKind } from '../../../media/track.ts';
import { partRule, TsParts } from './ts-parts.ts';

/** So much of a file is read at once, whole packets: recorders of many users have little memory to spare. */
const READ_BYTES = 340 * 188;

/** Nobody reads into these: memory outside of the heap is freed late, and each user has a slice that ends. */
const spare: Buffer[] = [];

/** Has `scan` take what the file has grown by. */
export async function readGrown(file: FileHandle, scan: TsParts): Promise<void> {
  const buffer = spare.pop() ?? Buffer.allocUnsafe(READ_BYTES);
  try {
    for (let read = READ_BYTES; read === READ_BYTES; ) {
      read = (await file.read(buffer, 0, READ_BYTES, scan.bytes)).bytesRead;
      if (read > 0) scan.push(buffer.subarray(0, read));
    }
  } finally {
    spare.push(buffer);
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
