/**
 * Resources and tasks in SQL: the session's RecordingStore.
 */
import { z } from 'zod';
import { planSchema } from '../contract/line/plan.ts';
import { type QualityReport, qualityReportSchema } from '../contract/line/quality-report.ts';
import { storageConfigSchema } from '../contract/line/storage.ts';
import { WARNING_CODES } from '../contract/lint/warning.ts';
import { TRACK_TYPES } from '../contract/rest/file-list.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import { messageOf } from '../kernel/fault.ts';
import type { PastTask, RecordingStore, Resource, StoredTask } from '../session/ports.ts';
import { isRunning, type Task, type TaskDocument, type TaskState } from '../session/task.ts';
import { type Database, isUniqueViolation, type Queryable, type Row } from './database.ts';
import type { Outbox } from './outbox-tables.ts';

/** Unused resources are forgotten this long after they could be started. */
const KEEP_UNUSED_MS = 24 * 3_600_000;

const fileSchema = z.object({
  key: z.string(),
  startUtcMs: z.number(),
  owner: z.object({ uid: z.string(), trackType: z.enum(TRACK_TYPES) }).optional(),
  playable: z.boolean().optional(),
});
const stateSchema = z
  .object({
    phase: z.enum(['new', 'recording', 'stopping', 'uploading', 'ended']),
    status: z.literal([0, 1, 2, 3, 4, 5, 6, 7, 8, 20]),
    healthy: z.boolean(),
    orphaned: z.boolean(),
    waitingStop: z.number().optional(),
    recorderPid: z.number().optional(),
    playlists: z.array(fileSchema).default([]),
    mp4s: z.array(fileSchema),
    snapshot: z.boolean().default(false),
    ending: z.string().optional(),
    // Rows of earlier versions have one playlist, and lack what follows.
    playlist: fileSchema.optional(),
    stoppedBy: z.enum(['call', 'shutdown']).optional(),
    joined: z.boolean().default(false),
    uploaderReady: z.boolean().default(false),
    progress: z.number().default(0),
    sequence: z.number().default(0),
    revision: z.number().default(0),
  })
  // JSON leaves out what is undefined.
  .transform(
    ({ waitingStop, recorderPid, playlist, playlists, ending, stoppedBy, ...rest }): TaskState => ({
      ...rest,
      waitingStop,
      recorderPid,
      playlists: playlist ? [playlist, ...playlists] : playlists,
      ending,
      stoppedBy,
    }),
  );
const lastingSchema = z.object({
  plan: planSchema,
  warnings: z.array(z.object({ code: z.enum(WARNING_CODES), path: z.string(), message: z.string() })).default([]),
});
const documentSchema = lastingSchema.extend({
  storage: storageConfigSchema,
  extinfComma: z.boolean(),
  storeReport: z.boolean().default(false),
  token: z.string().optional(),
});

export class RecordingTables implements RecordingStore {
  #database: Database;
  #outbox: Outbox | undefined;

  /** @param outbox takes what `saveState` has to tell; without one nothing is told */
  constructor(database: Database, outbox?: Outbox) {
    this.#database = database;
    this.#outbox = outbox;
  }

  async addResource(resource: Resource): Promise<void> {
    const { resourceId, appid, cname, uid, scene, expiresMs, resourceExpiredHour, startHash } = resource;
    await this.#database.query(
      `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, start_hash)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [resourceId, appid, cname, uid, scene, expiresMs, resourceExpiredHour, startHash ?? null],
    );
    await this.#database.query('delete from resources where sid is null and expires_ms < $1', [
      expiresMs - KEEP_UNUSED_MS,
    ]);
  }

  async findResource(resourceId: string): Promise<Resource | undefined> {
    const [row] = await this.#database.query('select * from resources where resource_id = $1', [resourceId]);
    return row && toResource(row);
  }

  async findRunning(appid: string, cname: string, uid: string): Promise<string | undefined> {
    const [row] = await this.#database.query(
      'select sid from tasks where appid = $1 and cname = $2 and uid = $3 and running',
      [appid, cname, uid],
    );
    return row && String(row['sid']);
  }

  async addTask(task: Task, state: TaskState): Promise<'added' | 'used' | 'conflict'> {
    const { sid, resourceId, appid, cname, uid, createdMs, document } = task;
    try {
      return await this.#database.transaction(async (inside) => {
        const claimed = await inside.query(
          `update resources set sid = $2, started_ms = $3 where resource_id = $1 and sid is null returning 1 as claimed`,
          [resourceId, sid, createdMs],
        );
        if (claimed.length === 0) return 'used';
        await inside.query(
          `insert into tasks
             (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state, document)
           values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10::jsonb, $11::jsonb)`,
          [
            sid,
            resourceId,
            appid,
            cname,
            uid,
            document.plan.mode,
            createdMs,
            isRunning(state),
            state.status,
            JSON.stringify(state),
            JSON.stringify(document),
          ],
        );
        return 'added';
      });
    } catch (error) {
      // The unique index on running tasks decides between two starts at the same moment.
      if (isUniqueViolation(error)) return 'conflict';
      throw error;
    }
  }

  async releaseResource(resourceId: string, sid: string): Promise<void> {
    await this.#database.query(
      'update resources set sid = null, started_ms = null where resource_id = $1 and sid = $2',
      [resourceId, sid],
    );
  }

  async saveDocument(sid: string, document: TaskDocument): Promise<void> {
    await this.#database.query('update tasks set document = $2::jsonb where sid = $1 and ended_ms is null', [
      sid,
      JSON.stringify(document),
    ]);
  }

  async saveQuality(sid: string, report: QualityReport): Promise<void> {
    await this.#database.query(
      `insert into quality_reports (sid, report) values ($1, $2::json)
       on conflict (sid) do update set report = excluded.report`,
      [sid, JSON.stringify(report)],
    );
  }

  async findTask(appid: string, sid: string): Promise<PastTask | undefined> {
    const [row] = await this.#database.query(
      `select tasks.*, report from tasks left join quality_reports using (sid) where sid = $1 and appid = $2`,
      [sid, appid],
    );
    // One of a version that had other members is none.
    const quality = qualityReportSchema.safeParse(row?.['report']);
    return (
      row && {
        ...toStored(row, lastingSchema),
        endedMs: row['ended_ms'] === null ? undefined : Number(row['ended_ms']),
        quality: quality.data,
      }
    );
  }

  async saveState(sid: string, state: TaskState, nowMs: number, notices: readonly Notice[] = []): Promise<void> {
    const outbox = this.#outbox;
    if (!outbox || notices.length === 0) {
      await this.#updateState(this.#database, sid, state, nowMs);
      return;
    }
    await this.#database.transaction(async (inside) => {
      await this.#updateState(inside, sid, state, nowMs);
      await outbox.add(inside, notices, nowMs);
    });
    outbox.added(sid);
  }

  /** One that comes late, after a newer one, changes nothing. */
  async #updateState(inside: Queryable, sid: string, state: TaskState, nowMs: number): Promise<void> {
    const ended = state.phase === 'ended';
    await inside.query(
      `update tasks set state = $2::jsonb, status = $3, running = $4, updated_ms = $5::bigint,
         ended_ms = case when $6 then $5::bigint else ended_ms end,
         document = case when $6 then document - 'storage' - 'token' else document end
       where sid = $1 and coalesce((state->>'revision')::integer, 0) <= $7`,
      [sid, JSON.stringify(state), state.status, isRunning(state), nowMs, ended, state.revision],
    );
  }

  async unfinishedTasks(): Promise<{ tasks: StoredTask[]; unreadable: { sid: string; why: string }[] }> {
    const rows = await this.#database.query('select * from tasks where ended_ms is null order by created_ms');
    const tasks: StoredTask[] = [];
    const unreadable: { sid: string; why: string }[] = [];
    for (const row of rows) {
      try {
        tasks.push(toStoredTask(row));
      } catch (error) {
        unreadable.push({ sid: String(row['sid']), why: messageOf(error) });
      }
    }
    return { tasks, unreadable };
  }
}

function toResource(row: Row): Resource {
  const scene = Number(row['scene']);
  return {
    resourceId: String(row['resource_id']),
    appid: String(row['appid']),
    cname: String(row['cname']),
    uid: String(row['uid']),
    scene: scene === 1 ? 1 : scene === 2 ? 2 : 0,
    expiresMs: Number(row['expires_ms']),
    resourceExpiredHour: Number(row['expired_hour']),
    startHash: row['start_hash'] === null ? undefined : String(row['start_hash']),
    sid: row['sid'] === null ? undefined : String(row['sid']),
    startedMs: row['started_ms'] === null ? undefined : Number(row['started_ms']),
  };
}

function toStoredTask(row: Row): StoredTask {
  const { task, state } = toStored(row, documentSchema);
  return { task: { ...task, document: { ...task.document, token: task.document.token } }, state };
}

function toStored<T extends z.ZodType>(row: Row, schema: T) {
  return {
    task: {
      sid: String(row['sid']),
      resourceId: String(row['resource_id']),
      appid: String(row['appid']),
      cname: String(row['cname']),
      uid: String(row['uid']),
      createdMs: Number(row['created_ms']),
      document: schema.parse(row['document']),
    },
    state: stateSchema.parse(row['state']),
  };
}
