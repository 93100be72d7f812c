/**
 * Removals: takes one person out of a recording of single users that has ended (ADR 0041): their files, what files of
 * everybody hold of them, and what is known of them. Each step is noted, so that a server that starts anew goes on.
 */
import { isNameOf } from '../contract/line/person.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import { problem } from '../contract/problems.ts';
import {
  KEPT_RECORDS,
  type RemovalListReply,
  type RemovalPreview,
  type RemovalReply,
  type RemovalRequest,
} from '../contract/rest/removal.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { BackupStore } from '../stages/upload/backup-store.ts';
import { contentTypeOf, type Receipt, type Target } from '../stages/upload/target/target.ts';
import type { KeyedJobs } from '../store/jobs.ts';
import type { LeftFile, OpenRemoval, RemovalObstacle, RemovalScene, RemovalTables } from '../store/removal-tables.ts';
import { storageFrom } from './cut-sources.ts';
import { DueJobs, type OtherQueue } from './due-jobs.ts';
import { eraseAll, failedTurn, isRefusal, sweep } from './erasing.ts';
import type { Bring, SharedFiles } from './shared-files.ts';

export type RemovalsOptions = {
  tables: RemovalTables;
  jobs: KeyedJobs;
  otherQueue?: OtherQueue;
  shared: Pick<SharedFiles, 'make' | 'stored' | 'forget'>;
  backup: Pick<BackupStore, 'put' | 'fetch' | 'erase' | 'eraseCopy'>;
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  /** Removes files from this server's spool, and resolves to how many there were. */
  clearSpool(sid: string, isGone: (name: string) => boolean): Promise<number>;
  /** Forgets what was made of a recording for somebody to see: cuts, and what is brought here to be watched. */
  forgetCopies(sid: string): Promise<void>;
  clock: Clock;
  log: Log;
};

export class Removals {
  readonly #o: RemovalsOptions;
  readonly #due: DueJobs;

  constructor(options: RemovalsOptions) {
    const { tables, jobs, otherQueue, clock, log } = options;
    this.#o = options;
    this.#due = new DueJobs({
      ...{ jobs, otherQueue, clock, log, due: (nowMs, most) => tables.due(nowMs, most) },
      // What others have removed lies on this server's disk as well.
      beside: async (most) => {
        for (const { sid, uid } of await tables.uncleared(most)) await this.#clear(sid, uid);
      },
      failed: 'it could not be seen who is to be removed; it is tried again',
    });
  }

  /** Goes on with what an earlier server had begun. */
  async start(): Promise<void> {
    await this.#o.tables.reseal();
    await this.#due.start((sid, signal) => this.#work(sid, signal));
  }

  /** Looks for removals that go on, and for what others have removed. Resolves once they are queued. */
  look(): Promise<void> {
    return this.#due.look();
  }

  close(): Promise<void> {
    return this.#due.close();
  }

  /** Throws `recording-unknown`. */
  async list(appid: string, sid: string): Promise<RemovalListReply> {
    const removals = await this.#o.tables.list(appid, sid);
    if (!removals) throw problem('recording-unknown');
    return { removals };
  }

  /** What would be removed. Throws what `order` throws, but for keys that are to be given. */
  async preview(appid: string, sid: string, uid: string): Promise<RemovalPreview> {
    const { place, files, hasStorage } = await this.#scene(appid, sid, uid);
    const isInStore = files.some(({ where }) => where === 'store');
    if (isInStore && !hasStorage && !place) throw problem('removal-impossible', PLACE_UNKNOWN);
    const own = files.filter(({ act }) => act === 'delete');
    return {
      uid,
      place: place ? { vendor: place.vendor, region: place.region, bucket: place.bucket } : null,
      files,
      deletedBytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      needsKeys: isInStore && !hasStorage && !storageFrom(place, undefined),
      kept: [...KEPT_RECORDS],
    };
  }

  /**
   * Has a person removed. One who was removed already is told of as before. Throws `recording-unknown`,
   * `person-unknown`, `removal-impossible` and `removal-refused`.
   */
  async order(appid: string, sid: string, { uid, keys }: RemovalRequest, by: string): Promise<RemovalReply> {
    const { tables, clock } = this.#o;
    const known = (await this.list(appid, sid)).removals.find((each) => each.uid === uid);
    if (known?.state === 'removed' || (known?.state === 'removing' && !keys)) return known;
    const { place, files, hasStorage } = await this.#scene(appid, sid, uid, known);
    const storage = storageFrom(place, keys);
    if (!known && !storage && !hasStorage && files.some(({ where }) => where === 'store'))
      throw problem(
        'removal-impossible',
        place ? 'the keys of its store are not kept for it: give them as keys' : PLACE_UNKNOWN,
      );
    const obstacle = await tables.order(sid, uid, { storage, by, nowMs: clock.nowMs() });
    if (obstacle) throw refusalOf(obstacle, undefined);
    await this.#due.lookFor(sid);
    return (await this.list(appid, sid)).removals.find((each) => each.uid === uid)!;
  }

  async #scene(appid: string, sid: string, uid: string, known?: RemovalReply): Promise<RemovalScene> {
    const scene = await this.#o.tables.scene(appid, sid, uid, this.#o.clock.nowMs());
    if (!scene) throw problem('recording-unknown');
    if (scene.obstacle) throw refusalOf(scene.obstacle, scene.holdReason);
    const isThere = scene.isNamed || scene.files.some(({ act }) => act === 'delete');
    if (!isThere && !known) throw problem('person-unknown');
    return scene;
  }

  /** Goes on with the first removal of a recording. Resolves to 0 when there may be another. */
  async #work(sid: string, signal: AbortSignal): Promise<number | undefined> {
    const { tables, clock } = this.#o;
    const removal = await tables.take(sid, clock.nowMs());
    if (!removal) return undefined;
    try {
      return await this.#workOn(removal, signal);
    } finally {
      // A server that is ending keeps it until it has ended: what it had begun may still be under way.
      if (!signal.aborted) await tables.letGo(sid, removal.uid);
    }
  }

  async #workOn(removal: OpenRemoval, signal: AbortSignal): Promise<number | undefined> {
    const { tables, clock, log } = this.#o;
    const { sid, uid } = removal;
    try {
      const { isHeld, refusal } = await this.#removeFiles(removal, signal);
      if (isHeld) return undefined;
      if (refusal) throw refusal;
      await this.#clear(sid, uid);
    } catch (error) {
      signal.throwIfAborted();
      const failed = failedTurn(error, removal, clock.nowMs());
      await tables.failed(removal, failed);
      const details = { sid, uid, why: failed.error };
      if (failed.nextTryMs !== undefined) log.warn(details, 'a person could not be removed yet; it is tried again');
      else log.error(details, 'a person cannot be removed, and it is not tried again until somebody asks for it');
      return undefined;
    }
    await tables.ended(sid, uid, clock.nowMs());
    log.info({ sid, uid }, 'a person is removed from a recording');
    return 0;
  }

  async #removeFiles(
    removal: OpenRemoval,
    signal: AbortSignal,
  ): Promise<{ isHeld: boolean; refusal: Fault | undefined }> {
    const { tables, openTarget, clock, forgetCopies } = this.#o;
    const { sid, uid, place } = removal;
    const storage = removal.storage ?? storageFrom(place, undefined);
    const left = await tables.left(sid, uid);
    const isInStore = left.some(({ where }) => where === 'store');
    const target = isInStore && storage ? await openTarget(storage, sid) : undefined;
    if (isInStore && !target)
      throw new Fault('store-failed', 'the keys of its store are not known', { blame: 'destination' });
    try {
      const own = await eraseAll({
        files: left.filter(({ act }) => act === 'delete'),
        begin: (some) => tables.begin(sid, uid, namesOf(some), clock.nowMs()),
        erase: (file) => this.#erase(sid, file, target),
        done: (erased) =>
          tables.removed(
            ...[sid, uid],
            erased.map(({ file: { name }, versions }) => ({ name, outcome: 'deleted', versions })),
            clock.nowMs(),
          ),
        signal,
      });
      if (own.isHeld) return own;
      await tables.forgetMixes(sid, uid);
      await forgetCopies(sid);
      let { refusal } = own;
      for (const file of left.filter(({ act }) => act === 'rewrite')) {
        signal.throwIfAborted();
        const outcome = await this.#makeAnew(removal, file, target, signal);
        if (outcome === 'held') return { isHeld: true, refusal: undefined };
        refusal ??= outcome;
      }
      return { isHeld: false, refusal };
    } finally {
      target?.close();
    }
  }

  /** Resolves to how many versions there were, where that is known. */
  async #erase(sid: string, { name, key, bytes, where }: LeftFile, target: Target | undefined) {
    const { backup } = this.#o;
    if (where === 'backup') return backup.erase(sid, name);
    // What was moved on may have stayed there.
    await backup.eraseCopy(sid, name);
    await sweep(target!, key, bytes);
    return target!.erase(key);
  }

  /** Resolves to the refusal of a store that does not let go of what it has; `held` under a legal hold. */
  async #makeAnew(
    removal: OpenRemoval,
    left: LeftFile,
    target: Target | undefined,
    signal: AbortSignal,
  ): Promise<Fault | 'held' | undefined> {
    const { tables, shared, clock, backup } = this.#o;
    const { sid, uid } = removal;
    const { name, key, where, madeBy } = left;
    const made = await shared.make(
      removal,
      left,
      { bring: this.#bringFrom(sid, left, target), speakersBytes: await tables.speakersBytes(sid) },
      signal,
    );
    // Its store lacks it since that one began to put what it had made in its place.
    if (made.path === undefined && made.outcome === 'gone' && madeBy !== undefined) throw waitsFor(madeBy, name);
    if (!(await tables.begin(sid, uid, [name], clock.nowMs()))) return 'held';
    let versions: number | undefined;
    let refusal: Fault | undefined;
    try {
      versions = await this.#erase(sid, left, target);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      refusal = error;
    }
    if (made.path === undefined) {
      if (!refusal)
        await tables.lost(sid, uid, { name, outcome: made.outcome, versions, details: made.why }, clock.nowMs());
      return refusal;
    }
    const source = { path: made.path, bytes: made.bytes };
    const type = contentTypeOf(name);
    const receipt: Receipt =
      where === 'backup'
        ? await backup.put(sid, name, source, type, { signal })
        : await target!.put(key, source, type, { signal });
    const { bytes, evidence, etag, md5, sha256 } = receipt;
    const news = { bytes, evidence, etag, md5, sha256, file: made.file };
    // Stored even where old versions are locked: the others lose nothing.
    await tables.rewritten(sid, uid, { name, outcome: 'rewritten', versions, ...news }, !refusal, clock.nowMs());
    await shared.stored(removal, left);
    return refusal;
  }

  #bringFrom(sid: string, { where }: LeftFile, target: Target | undefined): Bring {
    if (where === 'backup') return ({ name }, path, signal) => this.#o.backup.fetch(sid, name, path, signal);
    return ({ key }, path, signal) => target!.fetch(key, path, signal);
  }

  /** Clears this server's own disk. */
  async #clear(sid: string, uid: string): Promise<void> {
    const { tables, shared, clearSpool, forgetCopies, clock } = this.#o;
    const gone = new Set(await tables.names(sid, uid));
    const files = await clearSpool(sid, (name) => gone.has(name) || isNameOf(uid, name));
    // Afterwards: what is begun before that may have taken files from the spool, and what is begun now finds none.
    await tables.forgetMixes(sid, uid);
    await forgetCopies(sid);
    if (await tables.isLast(sid, uid)) await shared.forget(sid);
    await tables.cleared(sid, uid, files, clock.nowMs());
  }
}

const namesOf = (files: readonly LeftFile[]) => files.map(({ name }) => name);

function waitsFor(server: string, name: string): Fault {
  const words = `${server} alone has ${name} as it was made anew, and is waited for until it has been gone for a week`;
  return new Fault('file-elsewhere', words, { blame: 'self', retryable: true });
}

function refusalOf(obstacle: RemovalObstacle, holdReason: string | undefined) {
  if (obstacle === 'mixed' || obstacle === 'deleted') return problem('removal-impossible', WHY[obstacle]);
  const reason = obstacle === 'held' && holdReason !== undefined ? `: ${holdReason}` : '';
  return problem('removal-refused', `${WHY[obstacle]}${reason}`);
}

const PLACE_UNKNOWN = 'an earlier version made the recording, and did not keep where its files lie';
const WHY: Record<RemovalObstacle, string> = {
  mixed:
    'everybody is mixed into the same picture and sound, and what each sent is not kept: cut out the stretches without the person (POST …/cuts), then delete the files of the recording (POST …/deletion)',
  deleted: 'its files are deleted already',
  running: 'the recording has not ended',
  uploading: 'files of it are not in their store yet',
  held: 'it is under a legal hold',
  deleting: 'all its files are being deleted',
};
