/**
 * RecordingUpload: brings one recording's files from the spool to its store. Files wait on disk, so nothing is lost
 * while a store is down; a playlist names only slices that the store has.
 */
import { join } from 'node:path';
import type { ObjectRecord, UploadLedger } from '../../contract/line/objects.ts';
import { isElsewhere, type Stretch, stretchOf } from '../../contract/line/stretches.ts';
import { type Clock, sleep } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { FileOwner, Segment, SpooledFile } from '../../media/segment.ts';
import type { Backup } from './backup-store.ts';
import { LatePuts } from './late-puts.ts';
import { memoryLedger } from './ledger.ts';
import { type FailedAttempt, PersistentPut, type Place, type UploadLog } from './persistent-put.ts';
import { IndexFile, SliceRow } from './playlist.ts';
import type { Source } from './target/source.ts';
import type { Target } from './target/target.ts';

/**
 * A file is read, digested, sent and checked in turn, and sending takes two fifths of that time: with this many files,
 * two or three are being sent at once. More files bring nothing (`npm run bench -- stores --parts files`).
 */
export const FILES_AT_ONCE = 6;

/** A file that the store has. */
export type StoredFile = {
  kind: 'playlist' | SpooledFile['type'];
  /** The key, including the file name prefix. */
  key: string;
  bytes: number;
  /** UTC of the first sample, Unix milliseconds. */
  startUtcMs: number;
  durationUs: number;
};

export type UploadEvent =
  /** `attempts` is how often it was sent until the store had it; 0 when an earlier server stored it. */
  | { type: 'fileStored'; file: SpooledFile; key: string; attempts: number; place: Place }
  /** A file that another node recorded is in the store, as the ledger knows. */
  | { type: 'fileRecalled'; file: SpooledFile; key: string }
  /**
   * A playlist or MPD. `slices` is how many it names, `owner` whose they are; `playable` is false for a playlist of
   * WebM.
   */
  | {
      type: 'playlistStored';
      key: string;
      slices: number;
      firstStartUtcMs: number;
      owner?: FileOwner | undefined;
      playable: boolean;
    }
  | ({ type: 'uploadFailed' } & FailedAttempt);

export type RecordingUploadOptions = {
  target: Target;
  /** storageConfig.fileNamePrefix */
  prefix: readonly string[];
  /**
   * Makes the text of the playlist or MPD with this name from the slices that it names, row by row. A playlist has one
   * row.
   */
  renderIndex(name: string, rows: readonly (readonly Segment[])[]): string;
  clock: Clock;
  log: UploadLog;
  onEvent(event: UploadEvent): void;
  /** What is known of the objects; without it, they are known only to this process. */
  ledger?: UploadLedger;
  /** Where files go that their own store does not take at the end; without it they wait. */
  backup?: Backup | undefined;
  /** The stretches of a recording that more than one node has had; what others recorded is known from the ledger. */
  stretches?: readonly Stretch[] | undefined;
  /** As of PersistentPut. */
  certainty?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** 0 (inclusive) to 1, for the jitter of retries. */
  random?: () => number;
};

export type UploadSummary = {
  /** Playlists first, then slices, MP4s and documents in the order they were added. */
  files: StoredFile[];
  /** Files that vanished from the spool before they were stored. */
  lost: SpooledFile[];
  /** Whether some files are in the backup store. */
  backedUp: boolean;
  /** Whether only the store's word says that some files arrived, so that the spool's copies must be kept. */
  accepted: boolean;
};

export type UploadState = {
  files: StoredFile[];
  /** How many files are not stored yet, including those under way. */
  waiting: number;
  waitingBytes: number;
  /** Why the last attempt failed; undefined when it did not. */
  fault: Fault | undefined;
};

/** A file for the store; `earlierBytes` is its size when an earlier server had it. */
type Waiting = { file: SpooledFile; dir: string; earlierBytes: number | undefined };

export class RecordingUpload {
  #options: RecordingUploadOptions;
  #puts: PersistentPut;
  #queue: Waiting[] = [];
  #running = 0;
  #takingBack = 0;
  #known = new Map<string, SpooledFile>();
  /** The runs that made the files, by name. */
  #generations = new Map<string, number>();
  #stored = new Map<string, StoredFile>();
  #lost: SpooledFile[] = [];
  #rows = new Map<string, SliceRow>();
  #indexes = new Map<string, IndexFile>();
  #latePuts = new Map<string, LatePuts>();
  #storedPlaylists = new Map<string, StoredFile>();
  #storing = new Set<string>();
  #abort = new AbortController();
  #ending: PromiseWithResolvers<UploadSummary> | undefined;
  #ledger: UploadLedger;
  #stretches: readonly Stretch[];
  /** Names of slices, and of all other files, that the backup store has. */
  #backedUp = new Set<string>();
  #accepted = false;

  constructor(options: RecordingUploadOptions) {
    this.#options = options;
    this.#ledger = options.ledger ?? memoryLedger();
    this.#stretches = options.stretches ?? [];
    const { target, backup, clock, log, certainty, random = Math.random, onEvent } = options;
    this.#puts = new PersistentPut({
      ...{ target, backup, clock, log, certainty, random },
      ledger: this.#ledger,
      signal: this.#abort.signal,
      onFailed: (failed) => onEvent({ type: 'uploadFailed', ...failed }),
    });
    for (const name of this.#recall()) {
      // A put by the node from which the recording was taken over may still come, and replace ours.
      if (this.#stretches.at(-1)?.isHere) this.#latePutsOf(name).note('', clock.monoUs());
      this.#refresh(name);
    }
  }

  /**
   * Takes what other nodes recorded and have stored, as far as the ledger knows of it by now: it gets its place in the
   * playlists.
   */
  recall(): void {
    for (const name of this.#recall()) this.#refresh(name);
  }

  /** Returns the playlists and MPDs that have news. */
  #recall(): Set<string> {
    const indexes = new Set<string>();
    for (const { name, key, state, generation, file } of this.#ledger.all()) {
      const isThere = state === 'stored' || state === 'accepted';
      if (!file || !isThere || !isElsewhere(this.#stretches, generation) || this.#known.has(name)) continue;
      this.#known.set(name, file);
      this.#noteGeneration(file, generation);
      const { type: kind, bytes, startUtcMs, durationUs } = file;
      this.#stored.set(name, { kind, key, bytes, startUtcMs, durationUs });
      this.#options.onEvent({ type: 'fileRecalled', file, key });
      if (file.type !== 'slice') continue;
      this.#rowOf(file).recall(file, this.#stretchOf(name));
      for (const index of indexesOf(file)) indexes.add(index);
    }
    return indexes;
  }

  /**
   * Takes a finished file of the spool, its folder, and the number of the run that made it. A file that was added
   * before is not stored twice. Throws a Fault after `finish`.
   */
  add(file: SpooledFile, dir: string, generation?: number): void {
    if (this.#ending) throw new Fault('upload-ended', `${file.name} came after the end`, { blame: 'self' });
    if (this.#known.has(file.name)) return;
    this.#known.set(file.name, file);
    this.#noteGeneration(file, generation);
    if (file.type === 'slice') this.#rowOf(file).add(file, this.#stretchOf(file.name));
    const before = this.#ledger.known(file.name);
    const isSame = before?.key === this.#key(file.name) && before.bytes === file.bytes;
    if (isSame && (before.state === 'stored' || before.state === 'accepted')) {
      this.#have(file, { attempts: 0, place: 'store', accepted: before.state === 'accepted' });
      return;
    }
    const { attempts = 0, parts } = isSame ? before : {};
    this.#ledger.note({ ...this.#recordOf(file), attempts, parts });
    // The file was made anew, and the store has parts of the former one.
    if (before && !isSame) this.#takeBack(before, { isOver: before.key !== this.#key(file.name) });
    this.#queue.push({ file, dir, earlierBytes: before?.bytes });
    this.#pump();
  }

  /**
   * Tells that no more files will come. Resolves when the store has all of them and the final playlists, however long
   * that takes; rejects with a Fault `upload-aborted` after `abort`. Further calls return the same promise.
   */
  finish(): Promise<UploadSummary> {
    if (!this.#ending) {
      this.#ending = Promise.withResolvers();
      // An abort may come before anybody awaits this promise.
      this.#ending.promise.catch(() => undefined);
      this.#passOverGone();
      if (this.#abort.signal.aborted) this.#ending.reject(this.#abort.signal.reason);
      else this.#settle();
      this.#puts.divertSoon();
    }
    return this.#ending.promise;
  }

  /** Gives up: what is under way is broken off, and nothing more is stored. The spool does not change. */
  abort(): void {
    if (this.#abort.signal.aborted) return;
    const fault = new Fault('upload-aborted', 'the upload was given up', { blame: 'self' });
    this.#abort.abort(fault);
    this.#queue = [];
    this.#ending?.reject(fault);
  }

  /**
   * Goes on with another way to the same store; returns the old one, which must be closed. What waits is tried at once.
   */
  useTarget(target: Target): Target {
    return this.#puts.useTarget(target);
  }

  /** Tries now what waits to be tried again. */
  retry(): void {
    this.#puts.retry();
  }

  state(): UploadState {
    const waiting = this.#waiting();
    return {
      files: this.#files(),
      waiting: waiting.length,
      waitingBytes: waiting.reduce((sum, file) => sum + file.bytes, 0),
      fault: this.#puts.fault,
    };
  }

  /** What an earlier server began and is no longer on the spool will never be stored. */
  #passOverGone(): void {
    for (const record of this.#ledger.all()) {
      const { name, kind, state, generation } = record;
      if (state !== 'waiting' || kind === 'playlist' || this.#known.has(name)) continue;
      // The node that has it stores it, once it is back.
      if (isElsewhere(this.#stretches, generation)) continue;
      this.#options.log.warn({ name }, 'a file is gone from the spool before it was stored');
      this.#ledger.note({ ...record, state: 'lost', parts: undefined, nextTryMs: undefined });
      this.#takeBack(record, { isOver: true });
    }
  }

  /**
   * Makes the store remove what was begun of a file. The upload ends only after that.
   * @param isOver whether nothing more is put under its key, so that parts that nobody noted can be removed too
   */
  #takeBack({ key, bytes, parts }: ObjectRecord, { isOver }: { isOver: boolean }): void {
    const takeBack = async () => {
      if (parts) await this.#puts.abandon(key, parts);
      if (isOver) await this.#puts.sweep(key, bytes);
    };
    this.#takingBack++;
    void takeBack().finally(() => {
      this.#takingBack--;
      this.#settle();
    });
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

  /** Notes which run made a file; of a playlist or MPD which made the newest slice that it names. */
  #noteGeneration(file: SpooledFile, generation: number | undefined): void {
    if (generation === undefined) return;
    for (const name of [file.name, ...(file.type === 'slice' ? indexesOf(file) : [])])
      this.#generations.set(name, Math.max(generation, this.#generations.get(name) ?? 0));
  }

  #stretchOf(name: string): number {
    return stretchOf(this.#stretches, this.#generations.get(name) ?? 0);
  }

  #latePutsOf(name: string): LatePuts {
    const latePuts = this.#latePuts.get(name) ?? new LatePuts();
    this.#latePuts.set(name, latePuts);
    return latePuts;
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
      const next = this.#queue.shift();
      if (!next) return;
      this.#running++;
      void this.#store(next)
        .catch((error: unknown) => this.#giveUp(error))
        .finally(() => {
          this.#running--;
          this.#pump();
          this.#settle();
        });
    }
  }

  /** Only a defect of ours, or an abort, leads here. */
  #giveUp(error: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.#options.log.warn({ err: error }, 'an upload broke off');
    this.#ending ??= Promise.withResolvers();
    this.#ending.promise.catch(() => undefined);
    this.#ending.reject(error);
  }

  async #store({ file, dir, earlierBytes }: Waiting): Promise<void> {
    const source: Source = { path: join(dir, file.name), bytes: file.bytes };
    const outcome = await this.#puts.put({ record: this.#recordOf(file), source: () => source, earlierBytes });
    if (outcome) {
      const { attempts, place, receipt } = outcome;
      this.#have(file, { attempts, place, accepted: receipt.evidence === 'accepted' });
      return;
    }
    this.#lost.push(file);
    this.#ledger.note({ ...this.#recordOf(file), state: 'lost' });
    if (file.type === 'slice') {
      this.#rowOf(file).lose(file, this.#stretchOf(file.name));
      for (const name of indexesOf(file)) this.#refresh(name);
    }
  }

  /** The store has the file, so the spool is not needed for it. */
  #have(file: SpooledFile, { attempts, place, accepted }: { attempts: number; place: Place; accepted: boolean }): void {
    const key = this.#key(file.name);
    const { startUtcMs, durationUs, bytes } = file;
    this.#stored.set(file.name, { kind: file.type, key, bytes, startUtcMs, durationUs });
    if (place === 'backup') this.#backedUp.add(file.name);
    this.#accepted ||= accepted;
    if (file.type === 'slice') this.#rowOf(file).store(file, this.#stretchOf(file.name));
    this.#options.onEvent({ type: 'fileStored', file, key, attempts, place });
    if (file.type === 'slice') for (const name of indexesOf(file)) this.#refresh(name);
  }

  #recordOf(file: SpooledFile): ObjectRecord {
    return { ...this.#newRecord(file.name, file.type), bytes: file.bytes, file };
  }

  #newRecord(name: string, kind: ObjectRecord['kind']): ObjectRecord {
    const generation = this.#generations.get(name);
    return { name, kind, generation, key: this.#key(name), bytes: 0, state: 'waiting', attempts: 0 };
  }

  /**
   * Uploads the playlist or MPD when it has news; while one version is under way the next waits, and only the newest is
   * sent.
   */
  #refresh(name: string): void {
    const index = this.#indexes.get(name);
    // A long playlist is not sent for each of its slices; the last slice always sends it.
    const isDue = this.#ending && index?.waiting === 0 ? index.hasNews : index?.isDue;
    if (!index || !isDue || this.#storing.has(name) || this.#abort.signal.aborted) return;
    this.#storeAlone(name, () => this.#storeIndex(name, index));
  }

  /**
   * Puts the final version once more, if an older one may have replaced it by a late put, when no late put can come any
   * more.
   */
  #storeAgain(name: string, index: IndexFile): void {
    const againAtUs = this.#latePuts.get(name)?.againAtUs;
    if (againAtUs === undefined) return;
    this.#storeAlone(name, async () => {
      const { clock } = this.#options;
      await sleep(clock, Math.max(0, againAtUs - clock.monoUs()) / 1000, this.#abort.signal);
      await this.#storeIndex(name, index);
    });
  }

  #storeAlone(name: string, store: () => Promise<void>): void {
    this.#storing.add(name);
    void store()
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
    let begunUs = this.#options.clock.monoUs();
    const latePuts = this.#latePutsOf(name);
    // Rendered for each attempt: a retry an hour later must not store an hour-old playlist.
    const source = () => {
      const rows = index.take();
      slices = rows.flat();
      begunUs = this.#options.clock.monoUs();
      data = Buffer.from(this.#options.renderIndex(name, rows));
      return { data };
    };
    const outcome = await this.#puts.put({
      record: this.#newRecord(name, 'playlist'),
      source,
      // A playlist in the customer's store must not name files that are not there.
      onlyBackup: () => slices.some((slice) => this.#backedUp.has(slice.name)),
      onUnheard: () => latePuts.note(data.toString(), this.#options.clock.monoUs()),
    });
    latePuts.store(data.toString(), begunUs);
    if (outcome?.place === 'backup') this.#backedUp.add(name);
    const startUtcMs = slices.reduce((first, slice) => Math.min(first, slice.startUtcMs), slices[0]?.startUtcMs ?? 0);
    const durationUs = slices.reduce((sum, slice) => sum + slice.durationUs, 0);
    // HLS does not know WebM; such a playlist is only for tools.
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

  #settle(): void {
    if (!this.#ending || this.#abort.signal.aborted) return;
    if (this.#running > 0 || this.#takingBack > 0 || this.#queue.length > 0) return;
    for (const row of this.#rows.values()) row.end();
    for (const name of this.#indexes.keys()) this.#refresh(name);
    if (this.#storing.size > 0) return;
    for (const [name, index] of this.#indexes) this.#storeAgain(name, index);
    if (this.#storing.size > 0) return;
    this.#ending.resolve({
      files: this.#files(),
      lost: [...this.#lost],
      backedUp: this.#backedUp.size > 0,
      accepted: this.#accepted,
    });
  }
}

/** An MPD holds sound and picture, whichever of its slices came first. */
const AV = { trackType: 'audio_and_video' } as const;

/** The files that name a slice. */
function indexesOf({ playlist, mpd }: Segment): string[] {
  const names = playlist.endsWith('.m3u8') ? [playlist] : [];
  return mpd === undefined ? names : [...names, mpd];
}
