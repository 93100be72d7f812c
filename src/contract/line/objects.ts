/**
 * Objects of a recording on their way to a store, and the ledger that notes what is known of each, so that a server
 * that starts anew sends nothing twice and goes on with a large file where it was. The spool alone is enough to restore
 * the ledger: an object that the ledger has lost is stored once more, under the same key. And the ledger alone is
 * enough to name what is stored in a playlist, so that another server can go on with the recording.
 */
import type { z } from 'zod';
import type { spooledFileSchema } from './facts.ts';

/**
 * What shows that a store has the bytes that were sent: a digest that it told, else the size that it told, else only
 * its word (`accepted`). An object that is only accepted is treated as stored, but its spool copy is kept.
 */
export const EVIDENCE = ['digest', 'size', 'accepted'] as const;
export type Evidence = (typeof EVIDENCE)[number];

/** The parts of a large file that a store has confirmed, so that a later put can go on after them. */
export type PartsSoFar = {
  uploadId: string;
  /** Bytes of each part except the last. */
  partBytes: number;
  parts: { number: number; etag: string; md5: string }[];
};

/**
 * `waiting` for its store; `stored` there, as the store itself has proved; `accepted` there, by the store's word alone;
 * in the server's `backup` store; `lost` from the spool before it was stored; `gaveUp`: it stays in the backup store
 * for good; `deleted`, by retention or a call.
 */
export const OBJECT_STATES = ['waiting', 'stored', 'accepted', 'backup', 'lost', 'gaveUp', 'deleted'] as const;
type ObjectState = (typeof OBJECT_STATES)[number];

export type ObjectRecord = {
  /** Bare file name. */
  name: string;
  kind: 'playlist' | 'slice' | 'mp4' | 'snapshot' | 'document' | 'speakers';
  /**
   * The run that made it; of a playlist the run of its newest slice. Undefined in rows of versions that did not keep
   * it.
   */
  generation?: number | undefined;
  /** Key in the customer's store, with the prefix. */
  key: string;
  bytes: number;
  state: ObjectState;
  evidence?: Evidence | undefined;
  etag?: string | undefined;
  md5?: string | undefined;
  sha256?: string | undefined;
  attempts: number;
  lastError?: string | undefined;
  /** When the next attempt is due, Unix milliseconds. */
  nextTryMs?: number | undefined;
  parts?: PartsSoFar | undefined;
  /**
   * The file as its journal has it. Absent for playlists, which are made from slices, and in rows of versions that did
   * not keep it.
   */
  file?: z.infer<typeof spooledFileSchema> | undefined;
};

export interface UploadLedger {
  /** What was noted last of an object, even by an earlier server. */
  known(name: string): ObjectRecord | undefined;
  /** What was noted last of all objects, even by an earlier server or another node. */
  all(): Iterable<ObjectRecord>;
  /** Reads again what others have noted: the nodes that had the recording before. Rejects when it cannot be read. */
  refresh(): Promise<void>;
  /** Notes what is known now. Notes are kept soon, in the order in which they come. */
  note(record: ObjectRecord): void;
  /**
   * Resolves when all notes are kept, however long the database takes. Rejects when another server has the recording.
   */
  settled(): Promise<void>;
}
