/**
 * RecordingUpload: brings one recording's files from the spool to its store. Files wait on disk, so nothing is lost while a
 * store is down; a playlist names only slices that the store has.
 */
import { join } from 'node:path';
import { type Clock, sleep } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { FileOwner, Segment, SpooledFile } from '../../media/segment.ts';
import { IndexFile, SliceRow } from './playlist.ts';
import { retryDelayMs } from './retry.ts';
import type { Source } from './target/source.ts';
import { contentTypeOf, type PartsSoFar, type Target } from './target/target.ts';

const FILES_AT_ONCE = 3;
/** An attempt may take this long, and longer by its size at the slowest rate that is still worth waiting for. */
const ATTEMPT_BASE_MS = 60_000;
const SLOWEST_BYTES_PER_MS = 32;
/** A store that has failed for this long has more than a hiccup. */
const LASTING_MS = 50_000;
/** Among the faults that were told, the one that lasts, whatever its words. */
const LASTING = 'lasting';
/** Bytes that changed on the way are sent again at once, so often. */
const CHANGED_AGAIN = 2;

/** A file that the store has. */
export type StoredFile = {
  kind: 'playlist' | SpooledFile['type'];
  /** With the file name prefix. */
  key: string;
  bytes: number;
  /** UTC of the first sample, Unix milliseconds. */
  startUtcMs: number;
  durationUs: number;
};

export type UploadEvent =
  /** `attempts` is how often it was sent until the store had it. */
  | { type: 'fileStored'; file: SpooledFile; key: string; attempts: number }
  /** A playlist or MPD; `slices` is how many it names, `owner` whose they are, `playable` false for a playlist of WebM. */
  | {
      type: 'playlistStored';
      key: string;
      slices: number;
      firstStartUtcMs: number;
      owner?: FileOwner | undefined;
      playable: boolean;
    }
  /**
   * `attempt` counts from 1. What will not heal by itself is reported once, and tried again each minute. `lasting` is set once
   * when what might have passed has not for about a minute.
   */
  | { type: 'uploadFailed'; key: string; fault: Fault; attempt: number; lasting: boolean };

export type UploadLog = {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
};

export type RecordingUploadOptions = {
  target: Target;
  /** storageConfig.fileNamePrefix */
  prefix: readonly string[];
  spoolDir: string;
  /** Text of the playlist, or the MPD, of this name: the slices it is to name, row by row. A playlist has one row. */
  renderIndex(name: string, rows: readonly (readonly Segment[])[]): string;
  clock: Clock;
  log: UploadLog;
  onEvent(event: UploadEvent): void;
  /** 0 (inclusive) to 1, for the jitter of retries. */
  random?: () => number;
};

export type UploadSummary = {
  /** Playlists first, then slices, MP4s and documents in the order they were added. */
  files: StoredFile[];
  /** Files that had vanished from the spool before they were stored. */
  lost: SpooledFile[];
};

export type UploadState = {
  files: StoredFile[];
  /** Files not stored yet, those under way included. */
  waiting: number;
  waitingBytes: number;
  /** Why the last attempt failed; undefined when it did not. */
  fault: Fault | undefined;
};

export class RecordingUpload {
  #options: RecordingUploadOptions;
  #target: Target;
  #random: () => number;
  #queue: SpooledFile[] = [];
  #running = 0;
  #known = new Map<string, SpooledFile>();
  #stored = new Map<string, StoredFile>();
  #lost: SpooledFile[] = [];
  #rows = new Map<string, SliceRow>();
  #indexes = new Map<string, IndexFile>();
  #storedPlaylists = new Map<string, StoredFile>();
  #storing = new Set<string>();
  #abort = new AbortController();
  #wake = new Set<() => void>();
  #reported = new Set<string>();
  #fault: Fault | undefined;
  /** When the store first failed since it last worked, monotonic microseconds. */
  #failingSinceUs: number | undefined;
  #ending: PromiseWithResolvers<UploadSummary> | undefined;

  constructor(options: RecordingUploadOptions) {
    this.#options = options;
    this.#target = options.target;
    this.#random = options.random ?? Math.random;
  }

  /** Takes a finished file of the spool. One that was added before is not stored twice. Throws a Fault after `finish`. */
  add(file: SpooledFile): void {
    if (this.#ending) throw new Fault('upload-ended', `${file.name} came after the end`, { blame: 'self' });
    if (this.#known.has(file.name)) return;
    this.#known.set(file.name, file);
    if (file.type === 'slice') this.#rowOf(file).add(file);
    this.#queue.push(file);
    this.#pump();
  }

  /**
   * Says that no more files will come. Resolves when the store has all of them and the final playlists, however long that
   * takes; rejects with a Fault `upload-aborted` after `abort`. Calling it again gives the same promise.
   */
  finish(): Promise<UploadSummary> {
    if (!this.#ending) {
      this.#ending = Promise.withResolvers();
      // An abort may come when nobody waits here yet.
      this.#ending.promise.catch(() => undefined);
      if (this.#abort.signal.aborted) this.#ending.reject(this.#abort.signal.reason);
      else this.#settle();
    }
    return this.#ending.promise;
  }

  /** Gives up: what is under way is broken off, nothing more is stored. The spool is untouched. */
  abort(): void {
    if (this.#abort.signal.aborted) return;
    const fault = new Fault('upload-aborted', 'the upload was given up', { blame: 'self' });
    this.#abort.abort(fault);
    this.#queue = [];
    this.#ending?.reject(fault);
  }

  /** Goes on with another way to the same store; returns the old one, to be closed. What waits is tried again at once. */
  useTarget(target: Target): Target {
    const old = this.#target;
    this.#target = target;
    for (const wake of this.#wake) wake();
    return old;
  }

  state(): UploadState {
    const waiting = this.#waiting();
    return {
      files: this.#files(),
      waiting: waiting.length,
      waitingBytes: waiting.reduce((sum, file) => sum + file.bytes, 0),
      fault: this.#fault,
    };
  }

  #waiting(): SpooledFile[] {
    return [...this.#known.values()].filter((file) => !this.#stored.has(file.name) && !this.#lost.includes(file));
  }

  #files(): StoredFile[] {
    const inOrder = [...this.#known.keys()].flatMap((name) => this.#stored.get(name) ?? []);
    return [...this.#storedPlaylists.values(), ...inOrder];
  }

  #key(name: string): string {
    return [...this.#options.prefix, name].join('/');
  }

  #rowOf(slice: Segment): SliceRow {
    let row = this.#rows.get(slice.playlist);
    if (!row) {
      row = new SliceRow();
      this.#rows.set(slice.playlist, row);
    }
    for (const name of indexesOf(slice)) {
      const index = this.#indexes.get(name) ?? new IndexFile();
      this.#indexes.set(name, index);
      index.list(row);
    }
    return row;
  }

  #pump(): void {
    while (this.#running < FILES_AT_ONCE) {
      const file = this.#queue.shift();
      if (!file) return;
      this.#running++;
      void this.#store(file)
        .catch((error: unknown) => this.#giveUp(error))
        .finally(() => {
          this.#running--;
          this.#pump();
          this.#settle();
        });
    }
  }

  /** Only a defect of ours, or an abort, gets here. */
  #giveUp(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.#options.log.warn({ err: error }, 'an upload broke off');
    this.#ending ??= Promise.withResolvers();
    this.#ending.promise.catch(() => undefined);
    this.#ending.reject(error);
  }

  async #store(file: SpooledFile): Promise<void> {
    const key = this.#key(file.name);
    const source: Source = { path: join(this.#options.spoolDir, file.name), bytes: file.bytes };
    const attempts = await this.#putUntilStored(key, () => source, file.name);
    if (attempts === undefined) {
      this.#lost.push(file);
      if (file.type === 'slice') this.#rowOf(file).lose(file);
    } else {
      const { startUtcMs, durationUs, bytes } = file;
      this.#stored.set(file.name, {
        kind: file.type,
        key,
        bytes,
        startUtcMs,
        durationUs,
      });
      if (file.type === 'slice') this.#rowOf(file).store(file);
      this.#options.onEvent({ type: 'fileStored', file, key, attempts });
    }
    if (file.type === 'slice') for (const name of indexesOf(file)) this.#refresh(name);
  }

  /** Uploads the playlist or MPD when it has news; while one version is under way the next waits, and only the newest is sent. */
  #refresh(name: string): void {
    const index = this.#indexes.get(name);
    if (!index?.hasNews || this.#storing.has(name) || this.#abort.signal.aborted) return;
    this.#storing.add(name);
    void this.#storeIndex(name, index)
      .catch((error: unknown) => this.#giveUp(error))
      .finally(() => {
        this.#storing.delete(name);
        this.#refresh(name);
        this.#settle();
      });
  }

  async #storeIndex(name: string, index: IndexFile): Promise<void> {
    const key = this.#key(name);
    let slices: Segment[] = [];
    let data = Buffer.alloc(0);
    // Rendered anew for each attempt: a retry an hour later must not store an hour-old playlist.
    await this.#putUntilStored(
      key,
      () => {
        const rows = index.take();
        slices = rows.flat();
        data = Buffer.from(this.#options.renderIndex(name, rows));
        return { data };
      },
      name,
    );
    const startUtcMs = slices.reduce((first, slice) => Math.min(first, slice.startUtcMs), slices[0]?.startUtcMs ?? 0);
    const durationUs = slices.reduce((sum, slice) => sum + slice.durationUs, 0);
    // HLS knows no WebM; such a playlist is for tools.
    const playable = !name.endsWith('.m3u8') || slices.every((slice) => slice.name.endsWith('.ts'));
    const owner = slices[0]?.owner && { ...slices[0].owner, ...(name.endsWith('.mpd') && AV) };
    this.#storedPlaylists.set(name, { kind: 'playlist', key, bytes: data.length, startUtcMs, durationUs });
    this.#options.onEvent({
      type: 'playlistStored',
      key,
      slices: slices.length,
      firstStartUtcMs: startUtcMs,
      owner,
      playable,
    });
  }

  /** After how many attempts it is stored; undefined when the source is gone for good. Throws the abort's reason. */
  async #putUntilStored(key: string, source: () => Source, name: string): Promise<number | undefined> {
    let parts: PartsSoFar | undefined;
    // What a file in parts has come to is not given up with the attempt, and an attempt that came further counts as the first.
    let pauses = 0;
    for (let attempt = 1; ; attempt++) {
      this.#abort.signal.throwIfAborted();
      const before = parts?.parts.length ?? 0;
      const put = { key, source: source(), contentType: contentTypeOf(name), resume: parts };
      const fault = await this.#attempt(put, (confirmed) => {
        parts = confirmed;
      });
      if (!fault) {
        this.#fault = undefined;
        this.#failingSinceUs = undefined;
        this.#reported.clear();
        // The store works again: whoever waits out a long pause need not.
        for (const wake of this.#wake) wake();
        return attempt;
      }
      this.#abort.signal.throwIfAborted();
      this.#fault = fault;
      this.#report(key, fault, attempt);
      if (fault.code === 'source-missing' || fault.code === 'source-changed') return undefined;
      pauses = (parts?.parts.length ?? 0) > before ? 1 : pauses + 1;
      if (fault.code === 'stored-bytes-differ' && attempt <= CHANGED_AGAIN) continue;
      await this.#pause(retryDelayMs(pauses, fault.retryable, this.#random()));
    }
  }

  async #attempt(put: Put, onParts: (parts: PartsSoFar | undefined) => void): Promise<Fault | undefined> {
    const { key, source, contentType, resume } = put;
    const { clock } = this.#options;
    const target = this.#target;
    const bytes = 'data' in source ? source.data.length : source.bytes;
    const limitMs = ATTEMPT_BASE_MS + bytes / SLOWEST_BYTES_PER_MS;
    const attempt = new AbortController();
    const broken = Promise.withResolvers<never>();
    const breakOff = (reason: unknown) => {
      attempt.abort(reason);
      // A target that does not heed its signal must not hold us.
      broken.reject(reason);
    };
    const onAbort = () => breakOff(this.#abort.signal.reason);
    this.#abort.signal.addEventListener('abort', onAbort, { once: true });
    const timer = clock.after(limitMs, () =>
      breakOff(
        new Fault(
          'upload-timeout',
          `${target.description} took longer than ${Math.round(limitMs / 1000)} s for ${key}`,
          {
            blame: 'destination',
            retryable: true,
          },
        ),
      ),
    );
    const options = { signal: attempt.signal, resume, onParts };
    try {
      const stored = await Promise.race([target.put(key, source, contentType, options), broken.promise]);
      if (stored.bytes === bytes) return undefined;
      return new Fault('stored-size-wrong', `${target.description} has ${stored.bytes} bytes of ${key}, not ${bytes}`, {
        blame: 'destination',
        retryable: true,
      });
    } catch (error) {
      if (error instanceof Fault) return error;
      return new Fault('store-failed', `${target.description}: ${messageOf(error)}`, {
        blame: 'destination',
        retryable: true,
        cause: error,
      });
    } finally {
      timer.cancel();
      this.#abort.signal.removeEventListener('abort', onAbort);
    }
  }

  #report(key: string, fault: Fault, attempt: number): void {
    const { log, onEvent, clock } = this.#options;
    const target = this.#target;
    this.#failingSinceUs ??= clock.monoUs();
    const failedUs = clock.monoUs() - this.#failingSinceUs;
    const lasting = fault.retryable && failedUs >= LASTING_MS * 1000 && !this.#reported.has(LASTING);
    if (!fault.retryable || lasting) {
      // One wrong password fails every file: say it once until something has worked again.
      const what = lasting ? LASTING : `${fault.code} ${fault.message}`;
      if (this.#reported.has(what)) return;
      this.#reported.add(what);
    }
    log.warn({ err: fault, key, attempt, target: target.description }, 'upload failed');
    onEvent({ type: 'uploadFailed', key, fault, attempt, lasting });
  }

  async #pause(delayMs: number): Promise<void> {
    const early = new AbortController();
    const wake = () => early.abort();
    this.#wake.add(wake);
    try {
      await sleep(this.#options.clock, delayMs, AbortSignal.any([early.signal, this.#abort.signal]));
    } catch (error) {
      if (!early.signal.aborted) throw error;
    } finally {
      this.#wake.delete(wake);
    }
  }

  #settle(): void {
    if (!this.#ending || this.#abort.signal.aborted) return;
    if (this.#running > 0 || this.#queue.length > 0) return;
    for (const row of this.#rows.values()) row.end();
    for (const name of this.#indexes.keys()) this.#refresh(name);
    if (this.#storing.size > 0) return;
    this.#ending.resolve({ files: this.#files(), lost: [...this.#lost] });
  }
}

type Put = { key: string; source: Source; contentType: string; resume: PartsSoFar | undefined };

/** An MPD is of sound and picture, whichever of its slices came first. */
const AV = { trackType: 'audio_and_video' } as const;

/** The files that name a slice. */
function indexesOf({ playlist, mpd }: Segment): string[] {
  const names = playlist.endsWith('.m3u8') ? [playlist] : [];
  return mpd === undefined ? names : [...names, mpd];
}
