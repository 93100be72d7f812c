/** Target: one store for a recording's files. A put is complete and checked, or it throws a Fault. */
import type { Evidence, PartsSoFar } from '../../../contract/line/objects.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { Source } from './source.ts';

export type PutOptions = {
  signal?: AbortSignal | undefined;
  /** The parts of an earlier put of the same file. If the store has forgotten them the put begins anew. */
  resume?: PartsSoFar | undefined;
  /**
   * Called each time the store has confirmed one more part, and with `undefined` when it has forgotten them. A put
   * without this callback leaves no parts in the store when it fails.
   */
  onParts?: (parts: PartsSoFar | undefined) => void;
};

/** What a store has, as it told itself. */
export type Receipt = {
  key: string;
  bytes: number;
  etag?: string | undefined;
  /** MD5 of what was sent, hex. Absent when the source was linked or sent in parts. */
  md5?: string | undefined;
  /** SHA-256 of what was sent, hex. Absent only when the file was gone before its digest was made. */
  sha256?: string | undefined;
  evidence: Evidence;
  /** Whether the same was asked before in this put, without the store's final answer. */
  repeated?: boolean;
  /** Whether the store may hold parts of the file that nobody knows of, because it was asked twice to begin them. */
  unnoted?: boolean;
};

export interface Target {
  /** The store in words for logs; holds no secret. */
  readonly description: string;
  /**
   * Stores `source` under `key`, replacing what is there, and resolves when the store has all of it. Throws a Fault
   * blaming `destination` when the store refuses or fails (`retryable` tells which), `self` when the source cannot be
   * read, and the signal's reason when `signal` aborts.
   */
  put(key: string, source: Source, contentType: string, options?: PutOptions): Promise<Receipt>;
  /**
   * Makes the store remove parts of a put that nobody will go on with: they cost their owner money, and no listing of
   * objects shows them. Does nothing when the parts are gone. Throws a Fault when the store refuses or fails.
   */
  abandon(key: string, parts: PartsSoFar): Promise<void>;
  /**
   * Makes the store remove everything that was begun under exactly this key and never put together, noted or not: a
   * server that is killed just as it begins, or misses its store's answer, does not know of it. Nothing may be under
   * way under the key. Does nothing when a file of this size does not go in parts, and when the store does not list
   * what was begun. Throws a Fault when the store refuses or fails.
   */
  sweep(key: string, bytes: number): Promise<void>;
  /**
   * Fetches an object to `path`, which must not exist yet. Throws a Fault, `object-missing` when there is no such
   * object.
   */
  fetch(key: string, path: string, signal?: AbortSignal): Promise<void>;
  /** Whether there is such an object. Throws a Fault when the store refuses or fails. */
  has(key: string): Promise<boolean>;
  /** Removes an object. Does nothing when it is gone. Throws a Fault when the store refuses or fails. */
  remove(key: string): Promise<void>;
  /**
   * Removes an object for good, with whatever earlier versions of it the store keeps, and resolves to how many there
   * were; undefined where the store keeps or tells none. Does nothing when it is gone. Throws a Fault when the store
   * refuses, as while it is locked (not `retryable`), or fails.
   */
  erase(key: string): Promise<number | undefined>;
  /** Closes the connections. */
  close(): void;
}

/** A store that lets anybody read an object by a signed address. */
export interface StoreWithLinks extends Target {
  /**
   * An address with which anybody may read the object for `lifeS` seconds, and a browser saves it as `fileName`. Asks
   * the store first whether it can be read so. Throws a Fault, `object-missing` when there is no such object.
   */
  link(key: string, options: { lifeS: number; fileName: string }): Promise<string>;
}

/** As `has`, where a store that is not there has nothing: a folder that this machine never had, or has not mounted. */
export async function hasIfThere(target: Target, key: string): Promise<boolean> {
  try {
    return await target.has(key);
  } catch (error) {
    if (error instanceof Fault && error.code === 'store-absent') return false;
    throw error;
  }
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

/** The media type of a recording's file, by the extension of its name. */
export function contentTypeOf(name: string): string {
  return CONTENT_TYPES.find(([extension]) => name.endsWith(extension))?.[1] ?? 'application/octet-stream';
}
