/**
 * Target: one store that a recording's files go to. A put is whole and checked, or it throws a Fault.
 */
import { STORAGE_VENDORS, type StorageConfig, vendorName } from '../../../contract/line/storage.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { StoredObject } from '../../../media/segment.ts';
import { openLocalFolder } from './local-folder.ts';

/** What to store: a file on the spool (of this size), or bytes in memory. */
export type Source = { path: string; bytes: number } | { data: Buffer };

export interface Target {
  /** The store in words for logs; holds no secret. */
  readonly description: string;
  /**
   * Stores `source` under `key`, replacing what is there, and resolves when the store has it whole.
   * Throws a Fault blaming `destination` when the store refuses or fails (`retryable` says which), `self` when the source
   * cannot be read, and the signal's reason when `signal` aborts.
   */
  put(key: string, source: Source, contentType: string, signal?: AbortSignal): Promise<StoredObject>;
  /** Gives connections back. */
  close(): void;
}

export type TargetOptions = {
  /** The folder that holds the folders of vendor 1000. */
  localStorageDir: string;
};

/** The target that `storage` names. Throws a Fault blaming `caller` for a vendor this server cannot store to. */
export async function createTarget(storage: StorageConfig, options: TargetOptions): Promise<Target> {
  switch (storage.vendor) {
    case STORAGE_VENDORS.localFolder:
      return openLocalFolder(storage.bucket, options.localStorageDir);
    case STORAGE_VENDORS.s3:
    case STORAGE_VENDORS.s3Compatible: {
      // Loaded on first use: the SDK is large, and most servers on one machine never need it.
      const { openS3 } = await import('./s3.ts');
      return openS3(storage);
    }
    default:
      throw new Fault('vendor-unsupported', `this server cannot store to ${vendorName(storage.vendor)}`, {
        blame: 'caller',
      });
  }
}

const CONTENT_TYPES: readonly [extension: string, type: string][] = [
  ['.m3u8', 'application/vnd.apple.mpegurl'],
  ['.ts', 'video/mp2t'],
  ['.mp4', 'video/mp4'],
  ['.webm', 'video/webm'],
  ['.m4s', 'audio/mp4'],
  ['.mpd', 'application/dash+xml'],
  ['.jpg', 'image/jpeg'],
  ['.json', 'application/json'],
];

/** The media type of a recording's file by its name's extension. */
export function contentTypeOf(name: string): string {
  return CONTENT_TYPES.find(([extension]) => name.endsWith(extension))?.[1] ?? 'application/octet-stream';
}
