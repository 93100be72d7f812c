/**
 * LiveFiles: the bytes of slices of one recording that is watched, wherever they lie by then: on the spool, in the
 * backup or in the recording's store, from where they are brought here for a while.
 */
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageConfig } from '../../contract/line/storage.ts';
import { problem } from '../../contract/problems.ts';
import { partPath } from '../../stages/mux/spool-file.ts';
import { type CutSources, type Fetch, isInStore } from '../cut-sources.ts';
import type { LiveBytes } from './live-row.ts';

export type LiveFilesOptions = {
  sid: string;
  /** Where slices are brought to; made when it is needed. */
  dir: string;
  sources: Pick<CutSources, 'whole' | 'fetchFrom'>;
  /** The recording's store, with its keys; undefined where they are not known. */
  storage: StorageConfig | undefined;
};

/** Slices that were brought here and are kept, so that several players that rewind fetch each once. */
const MOST_BROUGHT = 8;

/** A file of this machine, and which bytes of it. */
export type FileSpan = { path: string; from: number; to: number };

export class LiveFiles {
  readonly #o: LiveFilesOptions;
  readonly #off = new AbortController();
  /** Paths of slices that were brought here, the latest last. */
  readonly #brought = new Map<string, Promise<string>>();
  #fetch: Promise<Fetch> | undefined;

  constructor(options: LiveFilesOptions) {
    this.#o = options;
  }

  /** Throws `live-file-unknown` where it is gone, and `watch-impossible` where its store cannot be read. */
  async spanOf({ name, at, from, to }: LiveBytes): Promise<FileSpan> {
    if ('path' in at) {
      // A slice is renamed a little after it has ended, perhaps between the first look and the second.
      for (const path of [at.path, partPath(at.path), at.path]) {
        const bytes = await bytesIn(path);
        if (bytes !== undefined) return { path, from, to: to ?? bytes };
      }
    }
    const path = await this.#bring(name);
    return { path, from, to: to ?? (await bytesIn(path)) ?? from };
  }

  async close(): Promise<void> {
    this.#off.abort(new Error('nobody watches any more'));
    await Promise.allSettled(this.#brought.values());
    await this.#fetch?.then((fetch) => fetch.close()).catch(() => undefined);
    await rm(this.#o.dir, { recursive: true, force: true });
  }

  #bring(name: string): Promise<string> {
    const bringing =
      this.#brought.get(name) ??
      this.#fetched(name).catch((error: unknown) => {
        this.#brought.delete(name);
        throw error;
      });
    this.#brought.delete(name);
    this.#brought.set(name, bringing);
    const [oldest] = this.#brought;
    if (oldest && this.#brought.size > MOST_BROUGHT) {
      this.#brought.delete(oldest[0]);
      // Whoever reads it goes on with what is open.
      void oldest[1].then((path) => rm(path, { force: true })).catch(() => undefined);
    }
    return bringing;
  }

  async #fetched(name: string): Promise<string> {
    const { sid, dir, sources, storage } = this.#o;
    // It has left the spool since it was found there.
    const source = (await sources.whole(sid)).find(({ file }) => file.name === name);
    if (!source) throw problem('live-file-unknown');
    if (isInStore(source.at) && !storage)
      throw problem('watch-impossible', 'the recording has ended, and the keys of its store are forgotten');
    this.#fetch ??= sources.fetchFrom(sid, storage);
    const fetch = await this.#fetch.catch((error: unknown) => {
      this.#fetch = undefined;
      throw error;
    });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const path = join(dir, name);
    await rm(path, { force: true });
    await fetch.fetch(name, source.at, path, this.#off.signal);
    return path;
  }
}

async function bytesIn(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}
