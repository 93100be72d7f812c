/**
 * Source: what is put into a store. A file is opened once and read part by part into buffers that are used again and
 * again; only failures to open or read it are the spool's fault, whatever happens to the connection meanwhile.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { FileDigest } from './digests.ts';
import { type Digests, digestsOf, type PartDigests } from './digests-of.ts';

/** What to store: a file on the spool (of this size), or bytes in memory. */
export type Source = { path: string; bytes: number } | { data: Buffer };

export type Part = { data: Buffer } & PartDigests;

/** An open source. Close it. */
export interface OpenSource {
  readonly bytes: number;
  /**
   * Reads `length` bytes at `offset` into `buffer`, and digests them. Throws a Fault blaming `self`.
   * @param signed whether a part of a larger file gets a SHA-256 of its own
   */
  read(offset: number, length: number, buffer: Buffer, signed?: boolean): Promise<Part>;
  /** SHA-256 of the whole, hex; undefined when it cannot be computed, which is no reason to send a file again. */
  sha256(): Promise<string | undefined>;
  close(): Promise<void>;
}

/**
 * Throws a Fault `source-missing` or `source-changed` when the spool file is gone or differs from what was noted, and
 * `source-unreadable`, which may pass, when it cannot be read.
 */
export async function openSource(source: Source): Promise<OpenSource> {
  if ('data' in source) {
    const { data } = source;
    return {
      bytes: data.length,
      read: async (offset, length) => digested(data.subarray(offset, offset + length)),
      sha256: async () => digestsOf(data).sha256,
      close: async () => undefined,
    };
  }
  const { path, bytes } = source;
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw unreadable(cause);
  });
  try {
    const { size } = await file.stat();
    if (size !== bytes) throw sourceChanged(path, size, bytes);
  } catch (cause) {
    await file.close();
    throw cause instanceof Fault ? cause : unreadable(cause);
  }
  const whole = new FileDigest(path, bytes);
  let turn: Promise<unknown> = Promise.resolve();
  return {
    bytes,
    async read(offset, length, buffer, signed) {
      // One after the other, so that the digest of the whole gets the parts in order.
      const reading = turn.then(() => readPart(file, { path, offset, length, buffer }));
      const digesting = reading.then((data) => ({ data, digests: whole.part(data, offset, signed) }));
      turn = digesting.catch(() => undefined);
      const { data, digests } = await digesting;
      return { data, ...(await digests) };
    },
    sha256: () => whole.whole().catch(() => undefined),
    async close() {
      await whole.close().catch(() => undefined);
      await file.close();
    },
  };
}

/** Bytes in memory with their digests. */
export function digested(data: Buffer): { data: Buffer } & Digests {
  return { data, ...digestsOf(data) };
}

type Place = { path: string; offset: number; length: number; buffer: Buffer };

async function readPart(file: FileHandle, { path, offset, length, buffer }: Place): Promise<Buffer> {
  const data = buffer.subarray(0, length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(data, at, length - at, offset + at).catch((cause: unknown) => {
      throw unreadable(cause);
    });
    if (bytesRead === 0) throw sourceChanged(path, offset + at, offset + length);
    at += bytesRead;
  }
  return data;
}

/** A file that is gone will not come back. A disk that fails, or a process with too many open files, may recover. */
function unreadable(cause: unknown): Fault {
  const isGone = (cause as NodeJS.ErrnoException).code === 'ENOENT';
  const code = isGone ? 'source-missing' : 'source-unreadable';
  const message = `cannot read a spool file: ${messageOf(cause)}`;
  return new Fault(code, message, { blame: 'self', retryable: !isGone, cause });
}

function sourceChanged(path: string, has: number, noted: number): Fault {
  return new Fault('source-changed', `${path} has ${has} bytes instead of ${noted}`, { blame: 'self' });
}
