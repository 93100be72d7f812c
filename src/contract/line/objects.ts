/**
 * Objects of a recording on their way to a store, and the ledger of them: what is known of each, so that a server that
 * starts anew sends nothing twice and goes on with a large file where it was. The spool alone is enough to make it
 * again: what the ledger has forgotten is stored once more, under the same key.
 */

/**
 * What shows that a store has the bytes that were sent: a digest it told, else the size it told, else nothing but its
 * word (`accepted`). What is only accepted is stored for all we know, and its spool copy is kept.
 */
export const EVIDENCE = ['digest', 'size', 'accepted'] as const;
export type Evidence = (typeof EVIDENCE)[number];

/** The parts of a large file that a store has confirmed, so that a put can go on where another one ended. */
export type PartsSoFar = {
  uploadId: string;
  /** Bytes of each part but the last. */
  partBytes: number;
  parts: { number: number; etag: string; md5: string }[];
};

/**
 * `waiting` for its store; `stored` there, as the store itself has proved; `accepted` there, by the store's word alone;
 * in the server's `backup` store; `lost` from the spool before it was stored; `gaveUp` in the backup store for good.
 */
export const OBJECT_STATES = ['waiting', 'stored', 'accepted', 'backup', 'lost', 'gaveUp'] as const;
type ObjectState = (typeof OBJECT_STATES)[number];

export type ObjectRecord = {
  /** Bare file name. */
  name: string;
  kind: 'playlist' | 'slice' | 'mp4' | 'snapshot' | 'document' | 'speakers';
  /**
   * The run that made it, of a playlist the newest of its slices'; undefined in rows of versions that did not keep it.
   */
  generation?: number | undefined;
  /** In the customer's store, with the prefix. */
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
};

export interface UploadLedger {
  /** What was noted last of an object, also by the server before. */
  known(name: string): ObjectRecord | undefined;
  /** All that is noted as waiting, also by the server before. */
  waiting(): ObjectRecord[];
  /** Keeps what is known now; soon, and in this order. */
  note(record: ObjectRecord): void;
  /**
   * Resolves when all that was noted is kept, however long the database takes. Rejects when another server has the
   * recording.
   */
  settled(): Promise<void>;
}
