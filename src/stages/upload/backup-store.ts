/**
 * BackupStore: where files go whose own store is down when their recording has ended. What is put there can be fetched
 * again; each recording has a folder of its own in it.
 */
import type { UploadLedger } from '../../contract/line/objects.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Fault } from '../../kernel/fault.ts';
import type { Source } from './target/source.ts';
import type { PutOptions, Receipt, StoreWithFetch } from './target/target.ts';
import { testWrite } from './test-write.ts';

export class BackupStore {
  readonly #store: StoreWithFetch;

  constructor(store: StoreWithFetch) {
    this.#store = store;
  }

  get description(): string {
    return this.#store.description;
  }

  /** As `testWrite`. */
  test(key: string, clock: Clock): Promise<Fault | undefined> {
    return testWrite(this.#store, key, clock);
  }

  put(sid: string, name: string, source: Source, contentType: string, options?: PutOptions): Promise<Receipt> {
    return this.#store.put(`${sid}/${name}`, source, contentType, options);
  }

  /**
   * Brings an object to `path`, which must not be there yet. Throws a Fault `backup-missing` when the store has it no
   * more.
   */
  fetch(sid: string, name: string, path: string, signal?: AbortSignal): Promise<void> {
    return this.#store.fetch(`${sid}/${name}`, path, signal);
  }

  /** As `Target.sweep`. */
  sweep(sid: string, name: string, bytes: number): Promise<void> {
    return this.#store.sweep(`${sid}/${name}`, bytes);
  }

  remove(sid: string, name: string): Promise<void> {
    return this.#store.remove(`${sid}/${name}`);
  }

  close(): void {
    this.#store.close();
  }
}

/** What an upload needs of it: the store, its recording and how long the customer's own may fail first. */
export type Backup = { store: BackupStore; sid: string; afterMs: number; ledger?: UploadLedger };
