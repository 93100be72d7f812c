/**
 * Retentions: deletes the files of recordings whose time is over (ADR 0038), from their stores, the backup store and
 * this server's disk. What is begun is noted first, so that a server that starts anew goes on with it.
 */
import { STORAGE_VENDORS, type StorageConfig } from '../contract/line/storage.ts';
import { problem } from '../contract/problems.ts';
import type {
  DeletionRequest,
  LegalHoldRequest,
  RetentionReply,
  RetentionRequest,
} from '../contract/rest/retention.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { BackupStore } from '../stages/upload/backup-store.ts';
import { hasIfThere, type Target } from '../stages/upload/target/target.ts';
import type { KeyedJobs } from '../store/jobs.ts';
import type { Due, Erasable, RetentionTables } from '../store/retention-tables.ts';
import { storageFrom } from './cut-sources.ts';
import { DueJobs, type OtherQueue } from './due-jobs.ts';
import { eraseAll, failedTurn, sweep } from './erasing.ts';

/** A turn of a recording deletes so many files at most, and the next goes on. */
const MOST_FILES = 1_000;

/** Who asks. An operator is a customer who may use all apps. */
export type Asker = { id: string; isOperator: boolean };

export type RetentionsOptions = {
  tables: RetentionTables;
  jobs: KeyedJobs;
  otherQueue?: OtherQueue;
  backup: Pick<BackupStore, 'erase' | 'eraseCopy' | 'has'>;
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  /** Removes what this server's disk has of a recording: its spool, and what was made or brought to be seen. */
  removeCopies(sid: string): Promise<void>;
  clock: Clock;
  log: Log;
};

export class Retentions {
  readonly #o: RetentionsOptions;
  readonly #due: DueJobs;

  constructor(options: RetentionsOptions) {
    const { tables, jobs, otherQueue, clock, log } = options;
    this.#o = options;
    this.#due = new DueJobs({
      ...{ jobs, otherQueue, clock, log, due: (nowMs, most) => tables.due(nowMs, most) },
      failed: 'it could not be seen whose files are to be deleted; it is tried again',
    });
  }

  /** Begins to delete what is due. */
  async start(): Promise<void> {
    await this.#o.tables.reseal();
    await this.#due.start((sid, signal) => this.#work(sid, signal));
  }

  /** Looks for recordings whose time is over. Resolves once they are queued. */
  look(): Promise<void> {
    return this.#due.look();
  }

  close(): Promise<void> {
    return this.#due.close();
  }

  /** Throws `recording-unknown`. */
  async of(appid: string, sid: string): Promise<RetentionReply> {
    const found = await this.#o.tables.of(appid, sid);
    if (!found) throw problem('recording-unknown');
    return found;
  }

  /** Has the files of a recording kept for so many days. Throws a problem. */
  async set(appid: string, sid: string, request: RetentionRequest, asker: Asker): Promise<RetentionReply> {
    const { tables, clock } = this.#o;
    const { days, keys } = request;
    const storage = await this.#storageFor(appid, sid, keys, days === 0);
    await tables.set(sid, { days, storage, by: asker.id, nowMs: clock.nowMs() });
    await this.#due.lookFor(sid);
    return this.of(appid, sid);
  }

  /** Has the files of a recording deleted now. Throws a problem. */
  async deleteNow(appid: string, sid: string, { keys }: DeletionRequest, asker: Asker): Promise<RetentionReply> {
    const { tables, clock } = this.#o;
    const storage = await this.#storageFor(appid, sid, keys, false);
    const { keeping } = await tables.keeping(appid, sid);
    if (keeping !== undefined && keeping !== 'unknown') throw problem('deletion-refused', WHY_KEPT[keeping]);
    await tables.setDue(sid, { storage, by: asker.id, nowMs: clock.nowMs() });
    await this.#due.lookFor(sid);
    return this.of(appid, sid);
  }

  /** Puts a recording under a legal hold. Throws `recording-unknown`. */
  async hold(appid: string, sid: string, { reason }: LegalHoldRequest, asker: Asker): Promise<RetentionReply> {
    const { tables, clock } = this.#o;
    await this.of(appid, sid);
    await tables.hold(sid, { by: asker.id, byOperator: asker.isOperator, reason, nowMs: clock.nowMs() });
    return this.of(appid, sid);
  }

  /** Lifts a legal hold. Throws `recording-unknown`, and `operator-needed` where an operator has set it. */
  async release(appid: string, sid: string, asker: Asker): Promise<RetentionReply> {
    const { tables, clock } = this.#o;
    await this.of(appid, sid);
    const isLifted = await tables.release(sid, {
      ...{ by: asker.id, byOperator: asker.isOperator, nowMs: clock.nowMs() },
    });
    if (!isLifted) throw problem('operator-needed');
    await this.#due.lookFor(sid);
    return this.of(appid, sid);
  }

  /** What opens the store; undefined where the server has it already, or nothing has to be opened. */
  async #storageFor(appid: string, sid: string, keys: DeletionRequest['keys'], isForEver: boolean) {
    const { tables } = this.#o;
    const { keeping, place } = await tables.keeping(appid, sid);
    if (keeping === 'unknown') throw problem('recording-unknown');
    if (keeping === 'deleted') throw problem('retention-impossible', 'its files are deleted already');
    if (isForEver) return undefined;
    const given = storageFrom(place, keys);
    if (given || (await tables.hasStorage(sid))) return given;
    throw problem(
      'retention-impossible',
      place
        ? 'the keys of its store are not kept for it: give them as keys'
        : 'an earlier version made the recording, and did not keep where its files lie',
    );
  }

  /** Deletes files of one recording. Resolves to 0 when there are more. */
  async #work(sid: string, signal: AbortSignal): Promise<number | undefined> {
    const { tables, clock, log } = this.#o;
    const due = await tables.find(sid, clock.nowMs());
    if (!due) return undefined;
    const files = await tables.left(due, MOST_FILES);
    try {
      const { isHeld, refusal } = await this.#eraseAll(due, files, signal);
      if (isHeld) return undefined;
      if (refusal) throw refusal;
    } catch (error) {
      signal.throwIfAborted();
      await this.#failed(due, error);
      return undefined;
    }
    if (files.length === MOST_FILES) return 0;
    await this.#o.removeCopies(sid);
    const { isLeft } = await tables.ended(due, clock.nowMs());
    if (isLeft)
      log.warn({ sid }, 'the files of a recording are deleted, but for those that only a server has that is gone');
    else log.info({ sid }, 'the files of a recording are deleted, as its retention says');
    return undefined;
  }

  async #eraseAll(due: Due, files: readonly Erasable[], signal: AbortSignal) {
    const { tables, openTarget, clock } = this.#o;
    const { sid, place } = due;
    const storage = due.storage ?? storageFrom(place, undefined);
    const isInStore = files.some(({ state }) => state !== 'gaveUp');
    const target = isInStore && storage ? await openTarget(storage, sid) : undefined;
    if (isInStore && !target)
      throw new Fault('store-failed', 'the keys of its store are not known', { blame: 'destination' });
    const namesOf = (some: readonly Erasable[]) => some.map(({ name }) => name);
    const left = new Set<Erasable>();
    try {
      return await eraseAll({
        files,
        begin: (some) => tables.begin(sid, namesOf(some), clock.nowMs()),
        erase: async (file) => {
          if (!(await this.#erase(due, file, target))) left.add(file);
          return undefined;
        },
        async done(erased) {
          const files = erased.map(({ file }) => file);
          await tables.erased(sid, namesOf(files.filter((file) => !left.has(file))), clock.nowMs());
          await tables.leave(sid, namesOf(files.filter((file) => left.has(file))), clock.nowMs());
        },
        signal,
      });
    } finally {
      target?.close();
    }
  }

  /** False where the file lies with a server that is gone, and not in what this one reaches. */
  async #erase({ sid, isOwn, place }: Due, file: Erasable, target: Target | undefined): Promise<boolean> {
    const { backup } = this.#o;
    const isInFolder = place?.vendor === STORAGE_VENDORS.localFolder;
    const { name, key, bytes, state, isElsewhere } = file;
    // A server that died may have moved a file, or begun to, without noting it.
    if (state === 'backup') await sweep(target!, key, bytes);
    // All nodes share the folder, as they should, or the one that is gone had its own.
    const isReached = isOwn || !isInFolder || state === 'gaveUp' || (await hasIfThere(target!, key));
    if (state !== 'gaveUp' && isReached) await target!.erase(key);
    if (isElsewhere || (state !== 'gaveUp' && state !== 'backup')) {
      // What was moved on may have stayed there.
      await backup.eraseCopy(sid, name);
      return isReached;
    }
    if (isOwn) {
      await backup.erase(sid, name);
      return true;
    }
    // The backup store may be one that all servers share, or a folder of the one that is gone.
    if (!(await backup.has(sid, name))) return false;
    await backup.erase(sid, name);
    return true;
  }

  async #failed(due: Due, error: unknown): Promise<void> {
    const { tables, clock, log } = this.#o;
    const failed = failedTurn(error, due, clock.nowMs());
    await tables.failed(due, failed);
    const details = { sid: due.sid, why: failed.error };
    if (!failed.isRefusal) log.warn(details, 'files could not be deleted; it is tried again');
    else if (failed.nextTryMs !== undefined)
      log.error(details, 'the store does not let files be deleted; it is asked again in a day');
    else log.error(details, 'the store does not let files be deleted, and is not asked again until PUT …/retention');
  }
}

const WHY_KEPT = {
  running: 'the recording has not ended',
  uploading: 'files of it are not in their store yet',
  held: 'it is under a legal hold',
  deleted: 'its files are deleted already',
} as const;
