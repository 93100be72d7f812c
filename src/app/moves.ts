/**
 * Moves: brings files from the backup store to the customers' own stores when those are back, under the final names,
 * and tells the customers. A file that cannot be moved before its time is over is given up with an event, never
 * silently.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ObjectRecord, PartsSoFar } from '../contract/line/objects.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { BacklogEntry } from '../contract/rest/backlog.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { BackupStore } from '../stages/upload/backup-store.ts';
import { retryDelayMs } from '../stages/upload/retry.ts';
import { contentTypeOf, type Target } from '../stages/upload/target/target.ts';
import type { KeyedJobs } from '../store/jobs.ts';
import type { Move, ObjectTables } from '../store/object-tables.ts';

/** A store is asked again at least this often, however long it has been away. */
const LONGEST_PAUSE_MS = 5 * 60_000;
/** A recording hands its files over just before it ends; this long later its end is looked for again. */
const NOT_ENDED_MS = 200;

export type MovesOptions = {
  tables: ObjectTables;
  jobs: KeyedJobs;
  backup: BackupStore;
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  /**
   * Tells the customer of an ended recording what became of its files, and marks them as uploaded when they were moved.
   */
  tell(sid: string, what: 'moved' | { gaveUp: string }): Promise<void>;
  /** Removes what the spool still has of a recording. */
  removeSpool(sid: string): Promise<void>;
  /** Where files lie on their way through this server. */
  transitDir: string;
  keepMs: number;
  clock: Clock;
  log: Log;
};

export class Moves {
  readonly #options: MovesOptions;
  /** Recordings whose files may lie in the backup store although their own store has them. */
  readonly #unremoved = new Set<string>();

  constructor(options: MovesOptions) {
    this.#options = options;
  }

  /** Begins to work on what waits already. */
  async start(): Promise<void> {
    const { jobs, tables, transitDir } = this.#options;
    // A server that died may have left files there; they are fetched again.
    await rm(transitDir, { recursive: true, force: true });
    await mkdir(transitDir, { recursive: true, mode: 0o700 });
    await tables.resealMoves();
    const left = await tables.moves();
    // A server that died may have noted that the store has a file without removing it from the backup.
    for (const { sid } of left) this.#unremoved.add(sid);
    await jobs.start((sid, signal) => this.#work(sid, signal));
    for (const { sid } of left) await jobs.enqueue(sid);
  }

  /** Takes a recording's files into this server's keeping. Resolves when the database has noted that. */
  async add(sid: string, appid: string, storage: StorageConfig): Promise<void> {
    const { tables, jobs, clock, keepMs } = this.#options;
    const sinceMs = clock.nowMs();
    await tables.addMove({ sid, appid, storage, sinceMs, keepUntilMs: sinceMs + keepMs });
    await jobs.enqueue(sid);
  }

  /** The app's recordings that wait for the same bucket go on with these credentials, at once. */
  async renew(appid: string, storage: StorageConfig): Promise<void> {
    for (const sid of await this.#options.tables.renewCredentials(appid, storage)) await this.hasten(sid);
  }

  /** What waits of an app's recordings, on the spool and in the backup store. */
  async list(appid: string): Promise<BacklogEntry[]> {
    const all = await this.#options.tables.backlog();
    return all
      .filter((entry) => entry.appid === appid)
      .map(({ sid, where, files, bytes, sinceMs, attempts, lastError = null, nextTryMs = null, waitsFor = null }) => ({
        ...{ sid, where, files, bytes, sinceMs, attempts, lastError, nextTryMs, waitsFor },
      }));
  }

  /** Tries a recording of an app at once. False when it has nothing in the backup store. */
  async retry(appid: string, sid: string): Promise<boolean> {
    if ((await this.#options.tables.findMove(sid))?.appid !== appid) return false;
    await this.hasten(sid);
    return true;
  }

  close(): Promise<void> {
    return this.#options.jobs.close();
  }

  /** Tries at once, even when the next turn is not due yet. */
  async hasten(sid: string): Promise<void> {
    await this.#options.jobs.hasten(sid);
  }

  /** Moves what it can. Resolves to the pause before the next turn; undefined when nothing is left to do. */
  async #work(sid: string, signal: AbortSignal): Promise<number | undefined> {
    const { tables, clock, log } = this.#options;
    const move = await tables.findMove(sid);
    if (!move) return undefined;
    if (!(await tables.isEnded(sid))) return NOT_ENDED_MS;
    const objects = await tables.objectsOf(sid);
    // Others began to delete while this server was away: what it has goes too, instead of being stored.
    if (await tables.isBeingDeleted(sid, clock.nowMs())) return this.#leave(move, objects);
    const waiting = objects.filter(({ state }) => state === 'backup');
    try {
      if (waiting.length > 0) await this.#moveAll(move, waiting, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (clock.nowMs() >= move.keepUntilMs) return this.#giveUp(move, messageOf(error));
      const delayMs = Math.min(LONGEST_PAUSE_MS, retryDelayMs(move.attempts + 1, true, 0) * 5);
      const pauseMs = Math.max(delayMs, error instanceof Fault ? (error.retryAfterMs ?? 0) : 0);
      await tables.moveFailed(sid, messageOf(error), clock.nowMs() + pauseMs);
      log.warn({ sid, attempts: move.attempts + 1, why: messageOf(error) }, 'files cannot be moved on from the backup');
      return pauseMs;
    }
    return this.#end(move, waiting.length > 0 ? await tables.objectsOf(sid) : objects);
  }

  async #moveAll({ sid, storage }: Move, waiting: readonly ObjectRecord[], signal: AbortSignal): Promise<void> {
    const target = await this.#options.openTarget(storage, sid);
    try {
      // In this order playlists come last, because they name files that must be there first.
      for (const object of waiting) await this.#moveOne(sid, object, target, signal);
    } finally {
      target.close();
    }
  }

  async #moveOne(sid: string, object: ObjectRecord, target: Target, signal: AbortSignal): Promise<void> {
    const { tables, backup, transitDir, log } = this.#options;
    const path = join(transitDir, `${sid}-${object.name}`);
    let parts: PartsSoFar | undefined = object.parts;
    let noted: Promise<unknown> = Promise.resolve();
    try {
      await rm(path, { force: true });
      await backup.fetch(sid, object.name, path, signal);
      const source = { path, bytes: object.bytes };
      const receipt = await target.put(object.key, source, contentTypeOf(object.name), {
        signal,
        resume: parts,
        onParts: (sofar) => {
          parts = sofar;
          // A server that starts anew goes on after these parts.
          noted = noted
            .then(() => tables.note(sid, [{ ...object, parts: sofar }]))
            .catch((error: unknown) =>
              log.warn(
                { sid, why: messageOf(error) },
                'the database did not keep which parts of a file were moved from the backup',
              ),
            );
        },
      });
      await noted;
      await this.#sweep(sid, target, object);
      const { evidence, etag, md5 = object.md5, sha256 = object.sha256 } = receipt;
      const state = evidence === 'accepted' ? ('accepted' as const) : ('stored' as const);
      await tables.note(sid, [
        { ...object, state, evidence, etag, md5, sha256, parts: undefined, lastError: undefined },
      ]);
    } catch (error) {
      await noted;
      await tables.note(sid, [{ ...object, parts, attempts: object.attempts + 1, lastError: messageOf(error) }]);
      throw error;
    } finally {
      await rm(path, { force: true });
    }
    // The backup may be the only copy: it is removed only once the store has proved that it has the file.
    await backup.remove(sid, object.name).catch((error: unknown) => {
      this.#unremoved.add(sid);
      log.warn({ sid, name: object.name, why: messageOf(error) }, 'a file that was moved on is still in the backup');
    });
  }

  /** Removes files from the backup store that their own store has. */
  async #removeAgain(sid: string, objects: readonly ObjectRecord[]): Promise<void> {
    if (!this.#unremoved.delete(sid)) return;
    const { backup, log } = this.#options;
    for (const { name, state } of objects) {
      if (state !== 'stored' && state !== 'accepted') continue;
      await backup.remove(sid, name).catch((error: unknown) => {
        log.warn({ sid, name, why: messageOf(error) }, 'a file that was moved on stays in the backup');
      });
    }
  }

  /** Removes the parts of uploads that an earlier server began and never noted. */
  async #sweep(sid: string, target: Target, { key, bytes }: ObjectRecord): Promise<void> {
    try {
      await target.sweep(key, bytes);
    } catch (error) {
      const text = 'the store did not remove what was begun in parts by an upload that was interrupted';
      this.#options.log.warn({ sid, key, why: messageOf(error) }, text);
    }
  }

  /** A file that the store accepted without proof is kept on the spool until the time is over. */
  async #end(move: Move, objects: readonly ObjectRecord[]): Promise<number | undefined> {
    const { tables, clock, removeSpool, tell } = this.#options;
    // Told once, however often a turn gets here: the recording keeps what it was last told.
    await tell(move.sid, 'moved');
    await this.#removeAgain(move.sid, objects);
    const leftMs = move.keepUntilMs - clock.nowMs();
    if (objects.some(({ state }) => state === 'accepted') && leftMs > 0) return leftMs;
    await removeSpool(move.sid);
    await tables.endMove(move.sid);
    return undefined;
  }

  /** The files stay in the backup store until retention deletes them there. */
  async #leave(move: Move, objects: readonly ObjectRecord[]): Promise<undefined> {
    const { tables, log } = this.#options;
    const { sid } = move;
    const waiting = objects.filter(({ state }) => state === 'backup');
    log.info(
      { sid, files: waiting.length },
      'files are not moved on from the backup: their recording is being deleted',
    );
    await this.#takeBack(move, waiting);
    await tables.note(
      sid,
      waiting.map((object) => ({ ...object, state: 'gaveUp' as const, parts: undefined })),
    );
    await tables.endMove(sid);
    return undefined;
  }

  async #giveUp(move: Move, why: string): Promise<undefined> {
    const { tables, backup, tell, log } = this.#options;
    const { sid } = move;
    const waiting = (await tables.objectsOf(sid)).filter(({ state }) => state === 'backup');
    const message = `${waiting.length} files stay in ${backup.description} for good: ${why}`;
    log.error({ sid }, message);
    await tell(sid, { gaveUp: message });
    await this.#takeBack(move, waiting);
    await tables.note(
      sid,
      waiting.map((object) => ({ ...object, state: 'gaveUp' as const, lastError: why, parts: undefined })),
    );
    await tables.endMove(sid);
    return undefined;
  }

  /** The store is asked only once, as it may be away for ever. */
  async #takeBack({ sid, storage }: Move, waiting: readonly ObjectRecord[]): Promise<void> {
    const { openTarget, log } = this.#options;
    try {
      const target = await openTarget(storage, sid);
      try {
        for (const { key, bytes, parts } of waiting) {
          if (parts) await target.abandon(key, parts);
          await target.sweep(key, bytes);
        }
      } finally {
        target.close();
      }
    } catch (error) {
      const uploadIds = waiting.flatMap(({ parts }) => parts?.uploadId ?? []);
      log.warn(
        { sid, uploadIds, why: messageOf(error) },
        'the store did not remove the parts of an upload that was given up',
      );
    }
  }
}
