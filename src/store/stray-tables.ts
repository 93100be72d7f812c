/**
 * Strays in SQL: what a node has on its spool of a recording that another node took over (ADR 0027). A row is made by
 * the take-over, and goes when the recording has ended and its playlists name all of it.
 */
import { z } from 'zod';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { planSchema } from '../contract/line/plan.ts';
import { type QualityReport, qualityReportSchema } from '../contract/line/quality-report.ts';
import { type StorageConfig, storageConfigSchema } from '../contract/line/storage.ts';
import { isElsewhere, type Stretch } from '../contract/line/stretches.ts';
import type { FileElsewhere, Stray } from '../session/ports.ts';
import type { FormerRun } from '../session/run-record.ts';
import type { LastingTask } from '../session/task.ts';
import type { Database } from './database.ts';
import type { ObjectTables } from './object-tables.ts';
import type { Ownership } from './ownership.ts';
import { toRun } from './run-row.ts';
import type { Vault } from './vault.ts';

/** What a node that is back needs to know of a recording that strayed from it. */
export type StrayTask = {
  task: Omit<LastingTask, 'createdMs'> & { document: { extinfComma: boolean; storeReport: boolean } };
  storage: StorageConfig;
  zeroUtcMs: number | undefined;
  /** Whether the recording's files were deleted while this node was away, or are to be deleted now. */
  isDeleted: boolean;
  /** Users who were removed from it meanwhile, or are being removed. */
  removed: string[];
  /** Whether somebody is being removed now: files of everybody are made anew. */
  isRemoving: boolean;
  /** Whether nobody records it or stores files of it any more. */
  hasEnded: boolean;
  /** All runs, oldest first; `elsewhere` as seen from the node that asks. */
  runs: FormerRun[];
  /** Those among them that an earlier start of this node's server made. */
  former: FormerRun[];
};

/** The last report of a node that had a recording, and the one of it that whoever took it over went on from. */
export type BroughtReport = {
  key: { folder: string; sinceMs: number };
  brought: QualityReport;
  left: QualityReport | undefined;
};

export type StrayTablesOptions = {
  database: Database;
  /** This start of this node. */
  ownership: Pick<Ownership, 'folder' | 'owner'>;
  objects: ObjectTables;
  /** Opens what any node of the fleet sealed. */
  vault: Vault;
};

const documentSchema = z.object({
  plan: planSchema,
  extinfComma: z.boolean().default(false),
  storeReport: z.boolean().default(false),
});

export class StrayTables {
  readonly #database: Database;
  readonly #folder: string;
  readonly #owner: string;
  readonly #objects: ObjectTables;
  readonly #vault: Vault;

  constructor(options: StrayTablesOptions) {
    this.#database = options.database;
    this.#folder = options.ownership.folder;
    this.#owner = options.ownership.owner;
    this.#objects = options.objects;
    this.#vault = options.vault;
  }

  /** What other nodes recorded of these tasks, oldest first. */
  async of(sids: readonly string[]): Promise<Stray[]> {
    const rows = await this.#database.repeated(
      'select sid, folder, since_ms, stored_ms from strays where sid = any($1) and folder <> $2 order by since_ms',
      [[...sids], this.#folder],
    );
    return rows.map((row) => ({
      sid: String(row['sid']),
      folder: String(row['folder']),
      sinceMs: Number(row['since_ms']),
      storedMs: row['stored_ms'] === null ? undefined : Number(row['stored_ms']),
    }));
  }

  /** The files of a task that other nodes made, as far as the database knows of them. */
  async filesOf(sid: string, stretches: readonly Stretch[]): Promise<FileElsewhere[]> {
    const objects = await this.#objects.objectsOf(sid);
    return objects.flatMap(({ file, generation, state }) =>
      file && isElsewhere(stretches, generation)
        ? [{ file, isStored: state === 'stored' || state === 'accepted' }]
        : [],
    );
  }

  /** When nodes that were back had stored what strayed from them of a recording, Unix milliseconds. */
  async storedAt(sid: string): Promise<number[]> {
    const rows = await this.#database.query(
      'select stored_ms from strays where sid = $1 and stored_ms is not null order by stored_ms',
      [sid],
    );
    return rows.map((row) => Number(row['stored_ms']));
  }

  /** Which of these recordings strayed from this node, and still lie here. */
  async mine(sids: readonly string[]): Promise<string[]> {
    if (sids.length === 0) return [];
    const rows = await this.#database.repeated(
      'select sid from strays where sid = any($1) and folder = $2 and stored_ms is null order by since_ms',
      [[...sids], this.#folder],
    );
    return rows.map((row) => String(row['sid']));
  }

  /** Recordings that have ended while something of them strayed, and that are not mended yet. */
  async unmended(): Promise<string[]> {
    const rows = await this.#database.query(
      `select distinct s.sid from strays s join tasks t using (sid) where s.stored_ms is not null
         and t.ended_ms is not null and s.storage is not null`,
    );
    return rows.map((row) => String(row['sid']));
  }

  /**
   * What is known of a recording that strayed; undefined when none did. Throws a Fault when its credentials cannot be
   * opened.
   */
  async find(sid: string): Promise<StrayTask | undefined> {
    const [row] = await this.#database.query(
      `select t.*, s.storage as sealed_storage, r.deleted_ms,
         r.due_ms <= extract(epoch from now()) * 1000 and r.held_ms is null and r.gave_up_ms is null as due
       from strays s join tasks t using (sid) left join retentions r using (sid)
       where s.sid = $1 and s.storage is not null order by s.since_ms desc limit 1`,
      [sid],
    );
    if (!row) return undefined;
    const rows = await this.#database.query('select * from runs where sid = $1 order by generation', [sid]);
    const runs = rows.map((run) => toRun(run, this.#folder));
    const removals = await this.#database.query(
      'select uid, done_ms is null and gave_up_ms is null as goes_on from removals where sid = $1',
      [sid],
    );
    const state = z.object({ zeroUtcMs: z.number().optional() }).parse(row['state']);
    return {
      task: {
        sid,
        resourceId: String(row['resource_id']),
        appid: String(row['appid']),
        cname: String(row['cname']),
        uid: String(row['uid']),
        document: documentSchema.parse(row['document']),
      },
      storage: storageConfigSchema.parse(JSON.parse(this.#vault.open(String(row['sealed_storage'])))),
      zeroUtcMs: state.zeroUtcMs,
      isDeleted: row['deleted_ms'] !== null || row['due'] === true,
      removed: removals.map(({ uid }) => String(uid)),
      isRemoving: removals.some((removal) => removal['goes_on'] === true),
      hasEnded: row['ended_ms'] !== null,
      runs,
      former: runs.filter(({ elsewhere }, n) => elsewhere === undefined && rows[n]?.['owner'] !== this.#owner),
    };
  }

  /** The newest quality report of a recording; undefined when there is none, or one of a version with other members. */
  async reportOf(sid: string): Promise<QualityReport | undefined> {
    const [row] = await this.#database.query('select report from quality_reports where sid = $1', [sid]);
    return qualityReportSchema.safeParse(row?.['report']).data;
  }

  /**
   * Notes an object of a run that this node made. False, and nothing is noted, when another run has one of that name,
   * or the store has this one already.
   */
  async note(sid: string, record: ObjectRecord, runs: readonly number[]): Promise<boolean> {
    return this.#objects.noteOwn(sid, record, runs);
  }

  /** Names of files of these runs that were put into a backup store and not moved on from there, deleted ones too. */
  async backedUp(sid: string, runs: readonly number[]): Promise<string[]> {
    const rows = await this.#database.query(
      `select name from objects where sid = $1 and generation = any($2) and state in ('backup', 'gaveUp') order by name`,
      [sid, [...runs]],
    );
    return rows.map((row) => String(row['name']));
  }

  /** What is noted of an object of a recording. */
  async objectOf(sid: string, name: string): Promise<ObjectRecord | undefined> {
    return (await this.#objects.objectsOf(sid)).find((record) => record.name === name);
  }

  /**
   * Notes that everything that this node had of a recording is stored. False when the recording is this node's again,
   * and no stray any more.
   * @param report the last that this node made of it
   */
  async setStored(sid: string, nowMs: number, report: QualityReport | undefined): Promise<boolean> {
    return this.#database.transaction(async (inside) => {
      const [stored] = await inside.query(
        'update strays set stored_ms = $3 where sid = $1 and folder = $2 returning since_ms',
        [sid, this.#folder, Math.round(nowMs)],
      );
      if (stored && report)
        await inside.query(
          `insert into brought_reports (sid, folder, since_ms, left_report, report)
           select sid, folder, since_ms, left_report, $3::json from strays where sid = $1 and folder = $2
           on conflict do nothing`,
          [sid, this.#folder, JSON.stringify(report)],
        );
      return stored !== undefined;
    });
  }

  /** What nodes brought back of a recording's report that the report does not have yet, oldest first. */
  async broughtReports(sid: string): Promise<BroughtReport[]> {
    const rows = await this.#database.query('select * from brought_reports where sid = $1 order by since_ms', [sid]);
    return rows.flatMap((row) => {
      const brought = qualityReportSchema.safeParse(row['report']).data;
      const left = qualityReportSchema.safeParse(row['left_report']).data;
      return brought
        ? [{ key: { folder: String(row['folder']), sinceMs: Number(row['since_ms']) }, brought, left }]
        : [];
    });
  }

  /**
   * Keeps the report of a recording that has ended and whose strays have their place, and removes the credentials of
   * those that were stored, and the reports of nodes that it has now. Undefined keeps the report that there is.
   */
  async setMended(
    sid: string,
    report: QualityReport | undefined,
    joined: readonly BroughtReport['key'][] = [],
  ): Promise<void> {
    await this.#database.transaction(async (inside) => {
      if (report)
        await inside.query('update quality_reports set report = $2::json where sid = $1', [
          sid,
          JSON.stringify(report),
        ]);
      for (const { folder, sinceMs } of report ? joined : [])
        await inside.query('delete from brought_reports where sid = $1 and folder = $2 and since_ms = $3', [
          ...[sid, folder, sinceMs],
        ]);
      await inside.query('update strays set storage = null where sid = $1 and stored_ms is not null', [sid]);
    });
  }
}
