/**
 * Strays: brings back what this node has on its spool of recordings that another node took over (ADR 0027). Their
 * slices are made whole and stored; whoever has the recording then gives them their place, and what was ended meanwhile
 * is mended. Nothing that another run made is replaced.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CompleteCommand } from '../contract/line/complete.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { isNameOf, reportWithout } from '../contract/line/person.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import { stretchOf } from '../contract/line/stretches.ts';
import { type Clock, sleep, type Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { WholeFile } from '../media/segment.ts';
import type { Log } from '../observe/log.ts';
import { readEarlierReport } from '../pipeline/report/earlier-report.ts';
import { isReport } from '../session/completion.ts';
import { awaitOrphans } from '../session/orphans.ts';
import type { RecorderPort, RunFile, SpoolPort } from '../session/ports.ts';
import { type FormerRun, stretchesOf } from '../session/run-record.ts';
import { mp4Name } from '../stages/mux/names.ts';
import { clearFiles } from '../stages/spool/clear-files.ts';
import { generationOf, readRuns } from '../stages/spool/recording-spool.ts';
import type { BackupStore } from '../stages/upload/backup-store.ts';
import { memoryLedger } from '../stages/upload/ledger.ts';
import { PersistentPut } from '../stages/upload/persistent-put.ts';
import type { Target } from '../stages/upload/target/target.ts';
import type { Database } from '../store/database.ts';
import { KeyedJobs } from '../store/jobs.ts';
import type { ObjectTables } from '../store/object-tables.ts';
import type { StrayTables, StrayTask } from '../store/stray-tables.ts';
import { Mending } from './mending.ts';

/** How often the spool is looked through for recordings that another node has. */
const LOOK_EVERY_MS = 2_000;
/** How often a recorder that was told to end is looked for. */
const QUIET_LOOK_MS = 200;
/** The folder within a recording's folder in which a node makes its part of it whole. */
const FOLDER = 'stray';

export type StraysOptions = {
  tables: StrayTables;
  mending: Pick<Mending, 'add'>;
  spool: SpoolPort;
  recorders: RecorderPort & { atWork(): ReadonlyMap<string, unknown> };
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  backup: Pick<BackupStore, 'eraseCopy'>;
  /** Whether the recording is this node's. */
  isHeld(sid: string): boolean;
  clock: Clock;
  log: Log;
};

class Strays {
  readonly #options: StraysOptions;
  readonly #off = new AbortController();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  /** Recordings that failed to be brought back, and why: each is told of once, and tried again. */
  readonly #failed = new Map<string, string>();

  constructor(options: StraysOptions) {
    this.#options = options;
  }

  /** Begins to look. */
  start(): void {
    this.#timer = this.#options.clock.every(LOOK_EVERY_MS, () => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined;
      });
    });
  }

  /** Breaks off what is under way; the next start goes on with it. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#off.abort(new Error('the server is ending'));
    await this.#looking;
  }

  /** One after another, so that what has come back late takes little from what is recorded now. */
  async #look(): Promise<void> {
    const { tables, spool, log } = this.#options;
    let sids: string[];
    try {
      sids = await tables.mine(await spool.sids());
    } catch (error) {
      log.debug(
        { error: messageOf(error) },
        'the database could not be asked for recordings that other nodes took over',
      );
      return;
    }
    for (const sid of sids) {
      try {
        await this.#bring(sid);
        this.#failed.delete(sid);
      } catch (error) {
        if (this.#off.signal.aborted) return;
        const why = messageOf(error);
        if (this.#failed.get(sid) !== why)
          log.error({ sid, why }, 'what this node has of a recording that another node took over is not stored yet');
        this.#failed.set(sid, why);
      }
    }
  }

  async #bring(sid: string): Promise<void> {
    const { tables, mending, spool, recorders, isHeld, clock, log } = this.#options;
    const { signal } = this.#off;
    const found = await tables.find(sid);
    // Where this server still thinks that the recording is its own, it learns better within a second.
    if (!found || isHeld(sid)) return;
    // A recorder of this very start was told to end when the recording was lost; it may share its process with others.
    while (recorders.atWork().has(sid)) await sleep(clock, QUIET_LOOK_MS, signal);
    await awaitOrphans({ recorders, clock, log }, { sid, former: found.former }, signal);
    const backedUp = await tables.backedUp(sid, ownRuns(found));
    if (found.isDeleted) return this.#drop(sid, backedUp);
    const report = await this.#reportOf(found);
    await this.#clear(found);
    const { files, leftovers } = await this.#makeWhole(found);
    signal.throwIfAborted();
    const { stored, accepted } = await this.#store(found, files);
    await this.#removeCopies(sid, backedUp);
    if (!(await tables.setStored(sid, clock.nowMs(), report))) return;
    log.info({ sid, files: stored }, 'what this node had of a recording that another node took over is stored');
    await mending.add(sid);
    const kept = leftovers.flatMap(({ name, bytes }) => (bytes > 0 ? [name] : []));
    if (kept.length > 0 || accepted)
      log.warn({ sid, files: kept }, `files that are proved to be nowhere else are kept in ${spool.pathOf(sid)}`);
    // The recording may have come back to this node just now; what it reads from its spool must stay.
    else if (!isHeld(sid)) await spool.remove(sid);
  }

  /** The recording's files are deleted, or about to be: what this node has goes as well. */
  async #drop(sid: string, backedUp: readonly string[]): Promise<void> {
    const { tables, spool, clock, log } = this.#options;
    await this.#removeCopies(sid, backedUp);
    await spool.remove(sid);
    await tables.setStored(sid, clock.nowMs(), undefined);
    await tables.setMended(sid, undefined);
    log.info({ sid }, 'what this node had of a recording is removed: its files were deleted meanwhile');
  }

  /** Removes files from this node's backup store, which whoever took over may not reach. */
  async #removeCopies(sid: string, names: readonly string[]): Promise<void> {
    for (const name of names) await this.#options.backup.eraseCopy(sid, name);
  }

  /** Removes what this node has of users who were removed from the recording while it was away. */
  async #clear({ task: { sid }, removed }: StrayTask): Promise<void> {
    if (removed.length === 0) return;
    const { spool } = this.#options;
    await clearFiles(spool.pathOf(sid), (name) => removed.some((uid) => isNameOf(uid, name)));
  }

  /** The last report that this node made; undefined where none can be read, which keeps nothing from its store. */
  async #reportOf(found: StrayTask): Promise<QualityReport | undefined> {
    const { spool, log } = this.#options;
    const { sid } = found.task;
    const own = ownRuns(found);
    try {
      const runs = (await spool.runs(sid)).filter(({ generation }) => own.includes(generation));
      const newest = runs.at(-1)?.dir;
      const { files } = await readRuns(newest === undefined ? [] : [newest]);
      const written = files.find(({ file }) => isReport(file));
      const report = written ? await spool.readReport(written) : await readEarlierReport(runs.map(({ dir }) => dir));
      return report && found.removed.reduce((left, uid) => reportWithout(uid, left), report);
    } catch (error) {
      log.error({ sid, error: messageOf(error) }, 'the quality report lacks what this node noted of a recording');
      return undefined;
    }
  }

  /**
   * Mends torn slices and makes the MP4s of what this node recorded. What fails does not keep the rest from its store.
   */
  async #makeWhole(found: StrayTask) {
    const { spool, recorders, log } = this.#options;
    const { sid, cname, document } = found.task;
    const { plan } = document;
    const own = new Set(ownRuns(found));
    const earlierDirs = (await spool.runs(sid)).filter(({ generation }) => own.has(generation)).map(({ dir }) => dir);
    const spoolDir = join(spool.pathOf(sid), FOLDER);
    // What an attempt before this one left there is made again.
    await rm(spoolDir, { recursive: true, force: true });
    await mkdir(spoolDir, { recursive: true, mode: 0o700 });
    const isSingle = plan.mode === 'individual';
    const command: CompleteCommand = {
      ...{ spoolDir, earlierDirs, firstMp4: await this.#firstMp4Of(found) },
      mp4: !isSingle && plan.files.mp4 ? plan.mp4Limit : undefined,
      // What is made of the whole recording is made by whoever has it.
      extras:
        isSingle && plan.extras.mp4 ? { sid, cname, ...plan.extras, speakers: false, manifest: false } : undefined,
    };
    try {
      await recorders.complete(command, { signal: this.#off.signal, onProcess: () => {} });
      return await readRuns([...earlierDirs, spoolDir]);
    } catch (error) {
      this.#off.signal.throwIfAborted();
      log.error(
        { sid, error: messageOf(error) },
        'what this node recorded could not be made whole; it is stored as it is',
      );
      return readRuns(earlierDirs);
    }
  }

  /** The number of the first MP4 that can be this node's: after those of nodes that had the recording before it. */
  async #firstMp4Of({ task: { sid }, runs }: StrayTask): Promise<number | undefined> {
    const stretches = stretchesOf(runs, Number.POSITIVE_INFINITY, []);
    const first = runs.find(({ elsewhere }) => elsewhere === undefined)?.generation ?? 0;
    if (stretchOf(stretches, first) === 0) return undefined;
    const before = await this.#options.tables.filesOf(
      sid,
      stretches.filter(({ from }) => from < first),
    );
    return 1 + before.reduce((last, { file }) => (file.type === 'mp4' ? Math.max(last, file.index) : last), -1);
  }

  async #store(found: StrayTask, files: readonly RunFile[]): Promise<{ stored: number; accepted: boolean }> {
    const { tables, openTarget, clock, log } = this.#options;
    const { sid } = found.task;
    const own = ownRuns(found);
    const target = await openTarget(found.storage, sid);
    const puts = new PersistentPut({
      ...{ target, clock, backup: undefined, ledger: memoryLedger(), signal: this.#off.signal },
      log: log.child({ sid }),
      random: Math.random,
      onFailed: () => {},
    });
    const summary = { stored: 0, accepted: false };
    try {
      for (const { dir, file } of files) {
        // A report or a manifest of a part must not replace that of the whole.
        if (file.type === 'document' || file.type === 'speakers') continue;
        const generation = own.includes(generationOf(dir)) ? generationOf(dir) : own.at(-1);
        const { storage } = found;
        const record = await this.#noteFree({ sid, storage }, { ...recordOf(storage, file), generation }, own);
        if (!record) continue;
        const source = { path: join(dir, file.name), bytes: file.bytes };
        const outcome = await puts.put({ record, source: () => source });
        if (!outcome) throw new Error(`${file.name} is gone from the spool before it was stored`);
        const { evidence, etag, md5, sha256 } = outcome.receipt;
        const state = evidence === 'accepted' ? 'accepted' : 'stored';
        const { attempts } = outcome;
        await tables.note(sid, { ...record, state, evidence, etag, md5, sha256, attempts }, own);
        summary.stored++;
        summary.accepted ||= state === 'accepted';
      }
    } finally {
      target.close();
    }
    return summary;
  }

  /**
   * Notes a file under a name that is free, and returns how: an MP4 takes the next number that no other node has taken.
   * Undefined when the file is stored already, or when its name is another's.
   */
  async #noteFree(
    { sid, storage }: { sid: string; storage: StorageConfig },
    record: ObjectRecord,
    own: readonly number[],
  ): Promise<ObjectRecord | undefined> {
    const { tables, log } = this.#options;
    const taken = await tables.objectOf(sid, record.name);
    if (taken && own.includes(taken.generation ?? 0) && (taken.state === 'stored' || taken.state === 'accepted'))
      return undefined;
    if (await tables.note(sid, record, own)) return record;
    const { file } = record;
    if (file?.type !== 'mp4') {
      log.warn({ sid, name: record.name }, 'another node has stored a file of this name, which stays as it is');
      return undefined;
    }
    const next = renumbered(file, file.index + 1);
    return this.#noteFree({ sid, storage }, { ...recordOf(storage, next), generation: record.generation }, own);
  }
}

function ownRuns({ runs }: StrayTask): number[] {
  return runs.flatMap(({ generation, elsewhere }: FormerRun) => (elsewhere === undefined ? [generation] : []));
}

function recordOf({ fileNamePrefix }: StorageConfig, file: NonNullable<ObjectRecord['file']>): ObjectRecord {
  const { name, type: kind, bytes } = file;
  return { name, kind, key: [...fileNamePrefix, name].join('/'), bytes, state: 'waiting', attempts: 0, file };
}

function renumbered(file: WholeFile, index: number): WholeFile {
  const base = file.name.replace(/_\d+\.mp4$/, '');
  return { ...file, index, name: mp4Name(base, index) };
}

/** Begins to bring back what strayed, and to mend what has ended. */
export async function openStrays({
  objects,
  database,
  ...options
}: Omit<StraysOptions, 'mending'> & { objects: ObjectTables; database: Database }): Promise<{
  close(): Promise<void>;
}> {
  const { tables, openTarget, clock, log } = options;
  const jobs = new KeyedJobs({ database, queue: 'mending', log, parallel: 2 });
  const mending = new Mending({ tables, objects, jobs, openTarget, clock, log });
  await mending.start();
  const strays = new Strays({ ...options, mending });
  strays.start();
  return {
    async close() {
      await strays.close();
      await mending.close();
    },
  };
}
