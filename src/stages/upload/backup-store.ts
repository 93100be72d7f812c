/**
 * BackupStore: where files go when their own store is down at the end of their recording. Files can be fetched from it
 * again; each recording has a folder of its own in it.
 */
import type { UploadLedger } from '../../contract/line/objects.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Source } from './target/source.ts';
import { hasIfThere, type PutOptions, type Receipt, type Target } from './target/target.ts';
import { testWrite } from './test-write.ts';

export class BackupStore {
  readonly #store: Target;

  constructor(store: Target) {
    this.#store = store;
  }

  get description(): string {
    return this.#store.description;
  }

  /** As in `testWrite`. */
  test(key: string, clock: Clock): Promise<Fault | undefined> {
    return testWrite(this.#store, key, clock);
  }

  put(sid: string, name: string, source: Source, contentType: string, options?: PutOptions): Promise<Receipt> {
    return this.#store.put(`${sid}/${name}`, source, contentType, options);
  }

  /**
   * Fetches an object to `path`, which must not exist yet. Throws a Fault `backup-missing` when the store no longer has
   * it.
   */
  fetch(sid: string, name: string, path: string, signal?: AbortSignal): Promise<void> {
    return this.#store.fetch(`${sid}/${name}`, path, signal);
  }

  /** As in `Target.sweep`. */
  sweep(sid: string, name: string, bytes: number): Promise<void> {
    return this.#store.sweep(`${sid}/${name}`, bytes);
  }

  /** Whether it has a file. A store that was never used has none. Throws a Fault when the store refuses or fails. */
  has(sid: string, name: string): Promise<boolean> {
    return hasIfThere(this.#store, `${sid}/${name}`);
  }

  remove(sid: string, name: string): Promise<void> {
    return this.#store.remove(`${sid}/${name}`);
  }

  /** Removes a file for good, with all its versions, as in `Target.erase`. */
  erase(sid: string, name: string): Promise<number | undefined> {
    return this.#store.erase(`${sid}/${name}`);
  }

  /** As `erase`, of a file that has its place elsewhere: a store that was never used has no copy of it. */
  async eraseCopy(sid: string, name: string): Promise<void> {
    await this.erase(sid, name).catch((error: unknown) => {
      if (!(error instanceof Fault) || error.code !== 'store-absent') throw error;
    });
  }

  close(): void {
    this.#store.close();
  }
}

/**
 * What an upload needs of the backup store: the store, the recording, and how long the customer's own store may fail
 * first.
 */
export type Backup = { store: BackupStore; sid: string; afterMs: number; ledger?: UploadLedger };
