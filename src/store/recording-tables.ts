/**
 * Resources and tasks in SQL: the session's RecordingStore.
 */
import { z } from 'zod';
import { changeSchema } from '../contract/line/commands.ts';
import { pageSchema, planSchema } from '../contract/line/plan.ts';
import { PUSH_STATUSES, pushTargetSchema } from '../contract/line/push.ts';
import { lengthMs, qualityMark } from '../contract/line/quality-mark.ts';
import { type QualityReport, qualityReportSchema } from '../contract/line/quality-report.ts';
import { rungSchema } from '../contract/line/rungs.ts';
import { placeOf, storageConfigSchema, storagePlaceSchema } from '../contract/line/storage.ts';
import { WARNING_CODES } from '../contract/lint/warning.ts';
import { TRACK_TYPES } from '../contract/rest/file-list.ts';
import { RETENTION_RULES } from '../contract/rest/retention.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import { fenced, type TaskHold } from '../session/hold.ts';
import { afterwards } from '../session/notices.ts';
import type { ClaimedTasks, LeftElsewhere, PastTask, RecordingStore, Resource } from '../session/ports.ts';
import type { RunRecord } from '../session/run-record.ts';
import { stamp } from '../session/stamp.ts';
import { isRunning, type Task, type TaskDocument, type TaskState } from '../session/task.ts';
import { type Database, isUniqueViolation, type Queryable, type Row } from './database.ts';
import { offerTasks } from './offers.ts';
import type { Outbox } from './outbox-tables.ts';
import { type Ownership, requireHold } from './ownership.ts';
import { addRetention } from './retention-tables.ts';
import { toRun } from './run-row.ts';
import { lockStarts, runningElsewhere } from './running-elsewhere.ts';
import { openDocument, sealDocument } from './sealed-document.ts';
import { storedOf } from './stored-recordings.ts';
import type { Vault } from './vault.ts';

/** Unused resources are forgotten this long after their last possible start. */
const KEEP_UNUSED_MS = 24 * 3_600_000;

const fileSchema = z.object({
  key: z.string(),
  startUtcMs: z.number(),
  owner: z.object({ uid: z.string(), trackType: z.enum(TRACK_TYPES) }).optional(),
  trackType: z.enum(TRACK_TYPES).optional(),
  playable: z.boolean().optional(),
});
const stateSchema = z
  .object({
    phase: z.enum(['new', 'recording', 'stopping', 'uploading', 'ended']),
    status: z.literal([0, 1, 2, 3, 4, 5, 6, 7, 8, 20]),
    healthy: z.boolean(),
    waitingStop: z.number().optional(),
    generation: z.number().default(0),
    zeroUtcMs: z.number().optional(),
    zeroMono: z.object({ bootId: z.string(), us: z.number() }).optional(),
    lossesMs: z.array(z.number()).default([]),
    playlists: z.array(fileSchema).default([]),
    mp4s: z.array(fileSchema),
    snapshot: z.boolean().default(false),
    ending: z.string().optional(),
    // Rows of earlier versions have one playlist, and lack the members below.
    playlist: fileSchema.optional(),
    stoppedBy: z.enum(['call', 'shutdown', 'failure']).optional(),
    refused: z.boolean().default(false),
    joined: z.boolean().default(false),
    uploaderReady: z.boolean().default(false),
    progress: z.number().default(0),
    uploadedTo: z.enum(['uploaded', 'backuped', 'unknown']).optional(),
    pushes: z.array(z.object({ id: z.string(), address: z.string(), status: z.enum(PUSH_STATUSES) })).default([]),
    rung: rungSchema.default('full'),
    sequence: z.number().default(0),
    revision: z.number().default(0),
  })
  // JSON leaves out undefined members.
  .transform(
    ({ waitingStop, zeroUtcMs, zeroMono, playlist, playlists, ending, stoppedBy, uploadedTo, ...rest }): TaskState => ({
      ...rest,
      waitingStop,
      zeroUtcMs,
      zeroMono,
      playlists: playlist ? [playlist, ...playlists] : playlists,
      ending,
      stoppedBy,
      uploadedTo,
    }),
  );
const changedPlanSchema = z.object({
  before: planSchema,
  changes: z.array(z.object({ atUs: z.number(), change: changeSchema })),
});
const lastingSchema = z.object({
  plan: planSchema,
  warnings: z.array(z.object({ code: z.enum(WARNING_CODES), path: z.string(), message: z.string() })).default([]),
});
const documentSchema = lastingSchema.extend({
  storage: storageConfigSchema,
  changed: changedPlanSchema.optional(),
  extinfComma: z.boolean(),
  storeReport: z.boolean().default(false),
  retention: z.object({ days: z.int(), rule: z.enum(RETENTION_RULES) }).optional(),
  standby: z.literal(true).optional(),
  token: z.string().optional(),
  page: pageSchema.optional(),
  pushes: z.array(pushTargetSchema).optional(),
});

export class RecordingTables implements RecordingStore {
  #database: Database;
  #ownership: Ownership;
  #outbox: Outbox | undefined;
  #vault: Vault;
  #inFleet: boolean;

  /**
   * @param vault seals the credentials of recordings that have not ended
   * @param ownership the owner of tasks that are added or claimed
   * @param outbox takes the notices of `saveState`; without one none are kept
   * @param inFleet recordings of other servers count as well where an app may run only so many
   */
  constructor(database: Database, ownership: Ownership, vault: Vault, outbox?: Outbox, inFleet = false) {
    this.#inFleet = inFleet;
    this.#vault = vault;
    this.#database = database;
    this.#ownership = ownership;
    this.#outbox = outbox;
  }

  get shared(): boolean {
    return !this.#database.exclusive;
  }

  get fleet(): boolean {
    return this.#inFleet;
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

  async runningElsewhere(appid: string, most: number): Promise<number> {
    return this.#inFleet ? runningElsewhere(this.#database, appid, this.#ownership.owner, most) : 0;
  }

  async addTask(
    task: Task,
    state: TaskState,
    mostElsewhere = Number.POSITIVE_INFINITY,
  ): Promise<TaskHold | 'used' | 'conflict' | 'full'> {
    const { owner, folder } = this.#ownership;
    const { sid, resourceId, appid, cname, uid, createdMs, document } = task;
    try {
      return await this.#database.transaction(async (inside) => {
        if (this.#inFleet) {
          await lockStarts(inside, appid);
          if ((await runningElsewhere(inside, appid, owner, mostElsewhere)) > mostElsewhere) return 'full';
        }
        const claimed = await inside.query(
          `update resources set sid = $2, started_ms = $3 where resource_id = $1 and sid is null returning 1 as claimed`,
          [resourceId, sid, createdMs],
        );
        if (claimed.length === 0) return 'used';
        await inside.query(
          `insert into tasks
             (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state, document,
              owner, folder, epoch, place)
           values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10::jsonb, $11::jsonb, $12, $13, 1, $14::jsonb)`,
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
            JSON.stringify(sealDocument(this.#vault, document)),
            owner,
            folder,
            JSON.stringify(placeOf(document.storage)),
          ],
        );
        await addRetention(inside, this.#vault, task);
        return { sid, owner, epoch: 1 };
      });
    } catch (error) {
      // The unique index on running tasks decides when two starts come at the same moment.
      if (isUniqueViolation(error)) return 'conflict';
      throw error;
    }
  }

  async dropTask(resourceId: string, sid: string): Promise<void> {
    await this.#database.transaction(async (inside) => {
      // A connection that was given up may still be storing it; the resource is locked until that is over.
      await inside.query('select 1 from resources where resource_id = $1 for update', [resourceId]);
      await inside.query('delete from tasks where sid = $1 and owner = $2', [sid, this.#ownership.owner]);
      await release(inside, resourceId, sid);
    });
  }

  releaseResource(resourceId: string, sid: string): Promise<void> {
    return release(this.#database, resourceId, sid);
  }

  async saveDocument({ sid, owner, epoch }: TaskHold, document: TaskDocument): Promise<void> {
    const sealed = sealDocument(this.#vault, document);
    const saved = await this.#database.query(
      // A node that comes back with files of the recording stores them with the same credentials.
      `with saved as (
         update tasks set document = $4::jsonb, place = $6::jsonb
         where sid = $1 and owner = $2 and epoch = $3 and ended_ms is null
         returning sid
       ), strayed as (
         update strays set storage = $5 from saved where strays.sid = saved.sid
       ), retained as (
         update retentions set storage = $5 from saved where retentions.sid = saved.sid and retentions.days is not null
       )
       select 1 from saved`,
      [sid, owner, epoch, JSON.stringify(sealed), sealed.storage, JSON.stringify(placeOf(document.storage))],
    );
    if (saved.length === 0) throw fenced(sid);
  }

  async saveQuality(hold: TaskHold, report: QualityReport): Promise<void> {
    await this.#database.transaction(async (inside) => {
      await requireHold(inside, hold);
      await inside.query(
        `insert into quality_reports (sid, report, mark, length_ms) values ($1, $2::json, $3, $4)
         on conflict (sid) do update set report = excluded.report, mark = excluded.mark, length_ms = excluded.length_ms`,
        [hold.sid, JSON.stringify(report), qualityMark(report), lengthMs(report) ?? null],
      );
    });
  }

  async saveRun(hold: TaskHold, run: RunRecord): Promise<void> {
    const { generation, kind, phase, process, startedMs, endedMs, why } = run;
    await this.#database.transaction(async (inside) => {
      await requireHold(inside, hold);
      await inside.query(
        `insert into runs
           (sid, generation, kind, owner, epoch, phase, pid, process_started, boot_id, started_ms, ended_ms, why, folder)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         on conflict (sid, generation) do update set phase = excluded.phase, pid = excluded.pid,
           process_started = excluded.process_started, boot_id = excluded.boot_id, ended_ms = excluded.ended_ms,
           why = excluded.why`,
        [
          hold.sid,
          generation,
          kind,
          hold.owner,
          hold.epoch,
          phase,
          process?.pid ?? null,
          process?.startTicks ?? null,
          process?.bootId ?? null,
          startedMs,
          endedMs ?? null,
          why ?? null,
          this.#ownership.folder,
        ],
      );
    });
  }

  async findTask(appid: string, sid: string): Promise<PastTask | undefined> {
    const [row] = await this.#database.query(
      `select tasks.*, report from tasks left join quality_reports using (sid) where sid = $1 and appid = $2`,
      [sid, appid],
    );
    // A report of a version with other members cannot be read.
    const quality = qualityReportSchema.safeParse(row?.['report']);
    const place = storagePlaceSchema.safeParse(row?.['place']);
    return (
      row && {
        ...toStored(row, lastingSchema),
        endedMs: row['ended_ms'] === null ? undefined : Number(row['ended_ms']),
        quality: quality.data,
        place: place.data,
      }
    );
  }

  async saveState(hold: TaskHold, state: TaskState, nowMs: number, notices: readonly Notice[] = []): Promise<void> {
    const outbox = this.#outbox;
    if (!outbox || notices.length === 0) {
      await this.#updateState(this.#database, hold, state, nowMs);
      return;
    }
    await this.#database.transaction(async (inside) => {
      await this.#updateState(inside, hold, state, nowMs);
      await outbox.add(inside, notices, nowMs);
    });
    outbox.added(hold.sid);
  }

  /**
   * Tells, once, what became of a recording's files in the backup store, and keeps it. Other recordings do not change.
   */
  async tellAfterwards(sid: string, what: 'moved' | { gaveUp: string }, nowMs: number): Promise<void> {
    const outbox = this.#outbox;
    await this.#database.transaction(async (inside) => {
      const [row] = await inside.query('select * from tasks where sid = $1 for update', [sid]);
      if (!row) return;
      const { task, state } = toStored(row, lastingSchema);
      if (state.uploadedTo !== 'backuped') return;
      const notices = stamp([afterwards(task, state, what)], task, state.sequence, nowMs, newHexId);
      const told: TaskState = {
        ...state,
        uploadedTo: what === 'moved' ? 'uploaded' : 'unknown',
        sequence: state.sequence + notices.length,
        revision: state.revision + 1,
      };
      await inside.query('update tasks set state = $2::jsonb, updated_ms = $3::bigint where sid = $1', [
        sid,
        JSON.stringify(told),
        Math.round(nowMs),
      ]);
      await outbox?.add(inside, notices, nowMs);
    });
    outbox?.added(sid);
  }

  /** A state that arrives after a newer one changes nothing, nor does one of a task that another server owns. */
  async #updateState(inside: Queryable, hold: TaskHold, state: TaskState, nowMs: number): Promise<void> {
    const ended = state.phase === 'ended';
    const { sid, owner, epoch } = hold;
    // The row is touched in both cases, which tells a late state from a task that was taken over.
    const held = await inside.query(
      `with news as (
         select t.sid, coalesce((t.state->>'revision')::integer, 0) <= $9 as is_new
         from tasks t where t.sid = $1 and t.owner = $7 and t.epoch = $8 for update
       )
       update tasks set
         state = case when is_new then $2::jsonb else tasks.state end,
         status = case when is_new then $3 else tasks.status end,
         running = case when is_new then $4 else tasks.running end,
         updated_ms = case when is_new then $5::bigint else tasks.updated_ms end,
         ended_ms = case when is_new and $6 then $5::bigint else tasks.ended_ms end,
         document = case when is_new and $6 then tasks.document - 'storage' - 'token' - 'page' - 'pushes' - 'changed' #- '{plan,video,backgrounds}' #- '{plan,video,overlays,watermark}' else tasks.document end
       from news where tasks.sid = news.sid returning 1`,
      [sid, JSON.stringify(state), state.status, isRunning(state), nowMs, ended, owner, epoch, state.revision],
    );
    if (held.length === 0) throw fenced(sid);
  }

  async claimTasks(spooled: readonly string[]): Promise<ClaimedTasks> {
    const tasks: ClaimedTasks['tasks'] = [];
    const unreadable: ClaimedTasks['unreadable'] = [];
    const { isDue, leaseEndsInMs } = await this.#ownership.mayClaim(spooled);
    if (!isDue) return { tasks, unreadable, leaseEndsInMs };
    // In one transaction, because a task that was claimed but could not be read would belong to nobody.
    await this.#database.transaction(async (inside) => {
      const claimed = await this.#ownership.claim(inside, spooled);
      if (claimed.length === 0) return;
      // Of all at once: whoever waits for the last of them waits for each question before it.
      const all = (column: string) => [claimed.map((row) => row[column])];
      const resources = await inside.query('select * from resources where resource_id = any($1)', all('resource_id'));
      const resourceOf = new Map(resources.map((row) => [row['resource_id'], row]));
      const begun = await inside.query('select * from runs where sid = any($1) order by generation', all('sid'));
      const runsOf = Map.groupBy(begun, (run) => String(run['sid']));
      for (const row of claimed) {
        const sid = String(row['sid']);
        const runs = (runsOf.get(sid) ?? []).map((run) => toRun(run, this.#ownership.folder));
        const hold = { sid, owner: this.#ownership.owner, epoch: Number(row['epoch']) };
        try {
          const opened = openDocument(this.#vault, row['document']);
          const { task, state } = toStored({ ...row, document: opened.document }, documentSchema);
          const document = { ...task.document, token: task.document.token };
          if (opened.isStale)
            await inside.query('update tasks set document = $2::jsonb where sid = $1', [
              sid,
              JSON.stringify(sealDocument(this.#vault, document)),
            ]);
          tasks.push({
            task: { ...task, document },
            state,
            hold,
            resource: toResource(resourceOf.get(row['resource_id']) ?? {}),
            runs,
            left: runs.at(-1)?.elsewhere === undefined ? undefined : await leftOf(inside, sid),
          });
        } catch (error) {
          unreadable.push({ sid, why: messageOf(error) });
        }
      }
    });
    return { tasks, unreadable, leaseEndsInMs };
  }

  async unknownOf(sids: readonly string[]): Promise<string[]> {
    if (sids.length === 0) return [];
    const rows = await this.#database.query('select sid from tasks where sid = any($1)', [[...sids]]);
    const known = new Set(rows.map((row) => String(row['sid'])));
    return sids.filter((sid) => !known.has(sid));
  }

  storedOf(sids: readonly string[]): Promise<string[]> {
    return storedOf(this.#database, this.#ownership.folder, sids);
  }

  offer(sids: readonly string[], offered: boolean): Promise<string[]> {
    return offerTasks(this.#database, this.#ownership.owner, { sids, offered });
  }

  async lostOf(holds: readonly TaskHold[]): Promise<string[]> {
    if (holds.length === 0) return [];
    const rows = await this.#database.repeated(
      `select h.sid from unnest($1::text[], $2::integer[]) as h(sid, epoch)
       where not exists (select 1 from tasks t where t.sid = h.sid and t.owner = $3 and t.epoch = h.epoch)`,
      [holds.map(({ sid }) => sid), holds.map(({ epoch }) => epoch), this.#ownership.owner],
    );
    return rows.map((row) => String(row['sid']));
  }
}

/** What another node left in the database of a recording that lies on its disk. */
async function leftOf(inside: Queryable, sid: string): Promise<LeftElsewhere> {
  const [report] = await inside.query('select report from quality_reports where sid = $1', [sid]);
  const [row] = await inside.query(
    `select max((file->>'startUtcMs')::float8 + (file->>'durationUs')::float8 / 1000) as until from objects
     where sid = $1 and kind <> 'document'`,
    [sid],
  );
  return {
    quality: qualityReportSchema.safeParse(report?.['report']).data,
    recordedUntilMs: Number(row?.['until'] ?? 0),
  };
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

async function release(inside: Queryable, resourceId: string, sid: string): Promise<void> {
  await inside.query('update resources set sid = null, started_ms = null where resource_id = $1 and sid = $2', [
    resourceId,
    sid,
  ]);
}
