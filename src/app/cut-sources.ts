/**
 * CutSources: where the slices of a recording lie that cuts are made of: on this node's spool, the one that is being
 * written too, or in a store.
 */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectRecord } from '../contract/line/objects.ts';
import {
  STORAGE_VENDORS,
  type StorageConfig,
  type StoragePlace,
  storageConfigSchema,
} from '../contract/line/storage.ts';
import { problem } from '../contract/problems.ts';
import type { CutRequest } from '../contract/rest/cut.ts';
import type { StoreKeys } from '../contract/rest/store-keys.ts';
import { messageOf } from '../kernel/fault.ts';
import type { Segment } from '../media/segment.ts';
import type { CutPlan, CutSource } from '../pipeline/cut/cut-plan.ts';
import { growingSlice } from '../pipeline/cut/growing-slice.ts';
import type { PastTask, SpoolPort } from '../session/ports.ts';
import { readSliceName } from '../stages/mux/names.ts';
import type { Target } from '../stages/upload/target/target.ts';

export type CutSourcesOptions = {
  spool: Pick<SpoolPort, 'read'>;
  objectsOf(sid: string): Promise<ObjectRecord[]>;
  /** The store of a recording that has not ended, with its keys; undefined of others. */
  storageOf(sid: string): StorageConfig | undefined;
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  /** The server's own store for files that a customer's does not take. */
  backup: { fetch(sid: string, name: string, path: string, signal?: AbortSignal): Promise<void> };
};

/** Brings slices from where they lie. Close it. */
export type Fetch = {
  /** @param path must not exist yet. Throws a Fault, `object-missing` when the slice is gone. */
  fetch(name: string, at: CutSource['at'], path: string, signal: AbortSignal): Promise<void>;
  close(): void;
};

/** A finished slice and where it lies. */
export type WholeSource = CutSource & { file: Segment };

/** States of files that somebody could fetch. */
const KEPT = new Set<ObjectRecord['state']>(['stored', 'accepted', 'backup', 'gaveUp']);
/** Keys of objects that are in the backup store begin with this, which no key of a store does. */
const IN_BACKUP = 'backup:';

export class CutSources {
  readonly #o: CutSourcesOptions;

  constructor(options: CutSourcesOptions) {
    this.#o = options;
  }

  /** All slices of a recording that can be had. Throws `cut-impossible` where a version kept nothing of them. */
  async of({ task }: PastTask): Promise<CutSource[]> {
    const { whole, spooled } = await this.#found(task.sid);
    const found = new Map<string, CutSource>(whole.map((each) => [each.file.name, each]));
    const growing = spooled.leftovers.filter(({ name }) => name.endsWith('.ts.part'));
    for (const { dir, name } of newestOfRows(growing)) {
      const bytes = await readFile(join(dir, name)).catch(() => undefined);
      const file =
        bytes &&
        growingSlice(
          name.replace(/\.part$/, ''),
          bytes,
          whole.map((each) => each.file),
        );
      if (file) found.set(file.name, { file, at: { path: join(dir, name) } });
    }
    return [...found.values()];
  }

  /** All finished slices of a recording that can be had. Throws as `of`. */
  async whole(sid: string): Promise<WholeSource[]> {
    return (await this.#found(sid)).whole;
  }

  async #found(sid: string): Promise<{ whole: WholeSource[]; spooled: Awaited<ReturnType<SpoolPort['read']>> }> {
    const { spool, objectsOf } = this.#o;
    // First the spool: what leaves it meanwhile is in the store by then.
    const [spooled, objects] = [await spool.read(sid), await objectsOf(sid)];
    const found = new Map<string, WholeSource>();
    for (const { name, key, state, file } of objects) {
      if (file?.type !== 'slice') continue;
      if (state === 'stored' || state === 'accepted') found.set(name, { file, at: { key } });
      // Those that were given up stay in the backup for good.
      else if (state === 'backup' || state === 'gaveUp') found.set(name, { file, at: { key: `${IN_BACKUP}${name}` } });
    }
    for (const { dir, file } of spooled.files)
      if (file.type === 'slice') found.set(file.name, { file, at: { path: join(dir, file.name) } });
    const isOld = objects.some(({ kind, state, file }) => kind === 'slice' && file === undefined && KEPT.has(state));
    if (found.size === 0 && isOld)
      throw problem('cut-impossible', 'an earlier version made the recording, and did not keep what is in its slices');
    return { whole: [...found.values()], spooled };
  }

  /**
   * Opens what the slices of a cut lie in. Throws `cut-impossible` where its store cannot be opened.
   * @param keys of a store whose own keys the server has forgotten
   */
  async opened({ task, place }: PastTask, { rows }: CutPlan, keys: CutRequest['keys']): Promise<Fetch> {
    const { sid } = task;
    const isFar = rows.flat().some(({ at }) => isInStore(at));
    return this.fetchFrom(sid, isFar ? this.storageOf(sid, place, keys) : undefined);
  }

  /**
   * Opens what slices lie in. Throws `cut-impossible` where the store cannot be opened.
   * @param storage undefined where none of them is in a store
   */
  async fetchFrom(sid: string, storage: StorageConfig | undefined): Promise<Fetch> {
    const { backup } = this.#o;
    const store = storage && (await this.#open(sid, storage));
    return {
      async fetch(name, at, path, signal) {
        if ('path' in at) await copyFile(at.path, path);
        else if (at.key.startsWith(IN_BACKUP)) await backup.fetch(sid, name, path, signal);
        else await store!.fetch(at.key, path, signal);
      },
      close: () => store?.close(),
    };
  }

  /** The store of a recording. Throws `cut-impossible` where it is not known, or its keys are not. */
  storageOf(sid: string, place: StoragePlace | undefined, keys?: StoreKeys): StorageConfig {
    const known = this.#o.storageOf(sid) ?? storageFrom(place, keys);
    if (known) return known;
    throw problem(
      'cut-impossible',
      place
        ? 'the recording has ended, and the keys of its store are forgotten: give them as keys'
        : 'an earlier version made the recording, and did not keep where its files lie',
    );
  }

  #open(sid: string, storage: StorageConfig): Promise<Target> {
    return this.#o.openTarget(storage, sid).catch((cause: unknown) => {
      throw problem('cut-impossible', `its store cannot be opened: ${messageOf(cause)}`, { cause });
    });
  }
}

/** Whether a slice lies in its recording's store. */
export function isInStore(at: CutSource['at']): boolean {
  return 'key' in at && !at.key.startsWith(IN_BACKUP);
}

/** The store at a place, opened by `keys`; undefined without keys, where keys are needed. */
export function storageFrom(place: StoragePlace | undefined, keys: StoreKeys | undefined): StorageConfig | undefined {
  if (!place || (place.vendor !== STORAGE_VENDORS.localFolder && !keys)) return undefined;
  const { endpoint, ...rest } = place;
  return storageConfigSchema.parse({
    ...rest,
    ...keys,
    ...(endpoint !== undefined && { extensionParams: { endpoint } }),
  });
}

/** Of each stream the file that was begun last. */
function newestOfRows<T extends { name: string }>(files: readonly T[]): T[] {
  const newest = new Map<string, T>();
  for (const file of files.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const parts = readSliceName(file.name.replace(/\.part$/, ''));
    if (parts) newest.set(parts.base, file);
  }
  return [...newest.values()];
}
