/**
 * Target: one store that a recording's files go to. A put is whole and checked, or it throws a Fault.
 */
import type { Evidence, PartsSoFar } from '../../../contract/line/objects.ts';
import type { Source } from './source.ts';

export type PutOptions = {
  signal?: AbortSignal | undefined;
  /** What an earlier put of the same file came to. One that the store has forgotten is begun anew. */
  resume?: PartsSoFar | undefined;
  /**
   * Tells each time the store has confirmed one more part, and `undefined` when it has forgotten them. A put that tells
   * nobody leaves no parts in the store when it fails.
   */
  onParts?: (parts: PartsSoFar | undefined) => void;
};

/** What a store has, as it said itself. */
export type Receipt = {
  key: string;
  bytes: number;
  etag?: string | undefined;
  /** Of what was sent; hex. Absent where the source was linked, or sent in parts. */
  md5?: string | undefined;
  /** Of what was sent; hex. Absent only where the file was gone when its digest was wanted. */
  sha256?: string | undefined;
  evidence: Evidence;
  /** Whether it was asked for once before, in the same put, without the store's final word. */
  repeated?: boolean;
  /** Whether the store may hold parts of the file that nobody knows of: it was asked twice to begin them. */
  unnoted?: boolean;
};

export interface Target {
  /** The store in words for logs; holds no secret. */
  readonly description: string;
  /**
   * Stores `source` under `key`, replacing what is there, and resolves when the store has it whole.
   * Throws a Fault blaming `destination` when the store refuses or fails (`retryable` says which), `self` when the
   * source cannot be read, and the signal's reason when `signal` aborts.
   */
  put(key: string, source: Source, contentType: string, options?: PutOptions): Promise<Receipt>;
  /**
   * Has the store forget parts of a put that nobody will go on with: they cost their owner money, and no listing of
   * objects shows them. Parts that are gone already are fine. Throws a Fault when the store refuses or fails.
   */
  abandon(key: string, parts: PartsSoFar): Promise<void>;
  /**
   * Has the store forget all that was begun under exactly this key and was not put together, noted or not: a server
   * that is killed just as it begins, or whose store's answer is lost, does not know of it. Nothing may be under way
   * under the key. Does nothing where a file of so many bytes does not go in parts, and where the store does not tell
   * what was begun. Throws a Fault when the store refuses or fails.
   */
  sweep(key: string, bytes: number): Promise<void>;
  /** Removes an object. One that is gone already is fine. Throws a Fault when the store refuses or fails. */
  remove(key: string): Promise<void>;
  /** Gives connections back. */
  close(): void;
}

/** A store that what was put into it can be had back from. */
export interface StoreWithFetch extends Target {
  /**
   * Brings an object to `path`, which must not be there yet. Throws a Fault, `object-missing` when there is no such
   * object.
   */
  fetch(key: string, path: string, signal?: AbortSignal): Promise<void>;
}

const CONTENT_TYPES: readonly [extension: string, type: string][] = [
  ['.m3u8', 'application/vnd.apple.mpegurl'],
  ['.ts', 'video/mp2t'],
  ['.mp4', 'video/mp4'],
  ['.webm', 'video/webm'],
  ['.mka', 'audio/x-matroska'],
  ['.m4s', 'audio/mp4'],
  ['.mpd', 'application/dash+xml'],
  ['.jpg', 'image/jpeg'],
  ['.json', 'application/json'],
];

/** The media type of a recording's file by its name's extension. */
export function contentTypeOf(name: string): string {
  return CONTENT_TYPES.find(([extension]) => name.endsWith(extension))?.[1] ?? 'application/octet-stream';
}
