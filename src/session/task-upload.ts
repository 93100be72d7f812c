/**
 * TaskUpload: a task's files on their way to the store. Files can be added before the store's client is loaded, and
 * each is added once, whether the recorder tells of it first or the spool, which is read at the end.
 */
import type { StorageConfig } from '../contract/line/storage.ts';
import type { Stretch } from '../contract/line/stretches.ts';
import type { UploadingStatus } from '../contract/rest/stop.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { TaskHold } from './hold.ts';
import type { RunFile, Upload, UploadEvent, UploadPort } from './ports.ts';
import type { Task, TaskEvent } from './task.ts';

/** How often the customer is told how far the upload is (contract §3.4, notice 33). */
const PROGRESS_EVERY_MS = 60_000;

export type TaskUploadOptions = {
  uploads: UploadPort;
  clock: Clock;
  hold: TaskHold;
  /** The task as it is now: an update may change its credentials. */
  task(): Task;
  onEvent(event: TaskEvent): void;
  /** As of stretchesOf. */
  stretches(): readonly Stretch[];
};

export class TaskUpload {
  #options: TaskUploadOptions;
  #beginning: Promise<Upload> | undefined;
  #upload: Upload | undefined;
  #refusal: Promise<string | undefined> | undefined;
  /** Files that were finished before the uploader was there. */
  #early: RunFile[] = [];
  #added = new Set<string>();
  #timer: Timer | undefined;
  readonly #off = new AbortController();

  constructor(options: TaskUploadOptions) {
    this.#options = options;
  }

  /**
   * Opens the store once. Rejects with a Fault when it can never be reached as configured; a later call tries again.
   */
  begin(): Promise<Upload> {
    const { uploads, clock, hold, task, stretches, onEvent } = this.#options;
    const { appid, document } = task();
    const { storage, extinfComma } = document;
    this.#beginning ??= uploads
      .begin({ hold, appid, storage, extinfComma, stretches: stretches(), signal: this.#off.signal }, (event) =>
        onEvent(toTaskEvent(event)),
      )
      .then(
        (upload) => {
          this.#upload = upload;
          if (this.isOver) {
            upload.abort();
            return upload;
          }
          onEvent({ type: 'uploaderReady' });
          this.#timer ??= clock.every(PROGRESS_EVERY_MS, () => this.#tellProgress(upload));
          for (const { file, dir } of this.#early.splice(0)) upload.add(file, dir);
          return upload;
        },
        (error) => {
          // A later call may succeed; until then the spool holds the files.
          this.#beginning = undefined;
          throw error;
        },
      );
    this.#refusal ??= this.#beginning.then(({ tested }) => tested, messageOf);
    return this.#beginning;
  }

  /**
   * Why the store refused a test object, in words; undefined when it did not, and before it was opened. Never rejects.
   */
  get refusal(): Promise<string | undefined> {
    return this.#refusal ?? Promise.resolve(undefined);
  }

  add({ file, dir }: RunFile): void {
    if (this.#added.has(file.name)) return;
    this.#added.add(file.name);
    if (this.#upload) this.#upload.add(file, dir);
    else this.#early.push({ file, dir });
  }

  /** Goes on with renewed credentials. Rejects as `begin` does. */
  async useStorage(storage: StorageConfig): Promise<void> {
    await (await this.begin()).useStorage(storage);
  }

  /** Resolves, when these files, those added before and the playlist are stored, to where they lie. */
  async finish(files: readonly RunFile[]): Promise<UploadingStatus> {
    // What other nodes have stored has playlists all the same.
    if (files.length === 0 && this.#options.stretches().length === 0) {
      this.abort();
      return 'uploaded';
    }
    const upload = await this.begin();
    for (const file of files) this.add(file);
    return upload.finish();
  }

  /** Tries at once what waits. False when the store is not open. */
  retry(): boolean {
    this.#upload?.retry();
    return this.#upload !== undefined;
  }

  /** As of Upload; does nothing before the store is open, which then knows of all that is stored. */
  async recall(): Promise<void> {
    await this.#upload?.recall();
  }

  /** Reports no more progress. */
  end(): void {
    this.#timer?.cancel();
  }

  abort(): void {
    this.end();
    this.#off.abort(new Error('the upload was called off'));
    this.#upload?.abort();
  }

  /** Whether it was called off: nothing that it meets from then on is a fault of the store. */
  get isOver(): boolean {
    return this.#off.signal.aborted;
  }

  #tellProgress(upload: Upload): void {
    const { storedBytes, addedBytes } = upload.progress();
    const progress = addedBytes === 0 ? 0 : Math.floor((storedBytes / addedBytes) * 10_000);
    this.#options.onEvent({ type: 'uploadProgressed', progress });
  }
}

function toTaskEvent(event: UploadEvent): TaskEvent {
  if (event.type === 'fileResent' || event.type === 'fileBackedUp' || event.type === 'storeRefused') return event;
  const { type, ...file } = event;
  return { type, file };
}
