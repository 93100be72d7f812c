/** Retention in SQL: how long the files of recordings are kept, legal holds, and what was deleted (ADR 0038). */
import type { ObjectRecord } from '../contract/line/objects.ts';
import {
  type StorageConfig,
  type StoragePlace,
  storageConfigSchema,
  storagePlaceSchema,
} from '../contract/line/storage.ts';
import type { RetentionAct, RetentionReply } from '../contract/rest/retention.ts';
import type { Task } from '../session/task.ts';
import type { Database, Queryable } from './database.ts';
import { retentionOf } from './retention-record.ts';
import type { Vault } from './vault.ts';
import { OURS_OR_LOST, TO_COME } from './whose-files.ts';

const DAY_MS = 86_400_000;

/** What one file is, for whoever deletes it. */
export type Erasable = Pick<ObjectRecord, 'name' | 'key' | 'bytes' | 'state'> & {
  /** Whether a node made it that another took over from, which itself removes what its disk has of it. */
  isElsewhere: boolean;
};
/**
 * A recording whose files are to be deleted now; `storage` is undefined where all of them are in the backup store, and
 * where the key is lost that it was sealed with.
 */
export type Due = {
  sid: string;
  place: StoragePlace | undefined;
  storage: StorageConfig | undefined;
  /** Whether its files are this server's; else they are those of a server that is gone. */
  isOwn: boolean;
  attempts: number;
  refusals: number;
};
/** What keeps the files of a recording, whatever its rule says. */
export type Keeping = 'unknown' | 'running' | 'uploading' | 'held' | 'deleted' | undefined;
type Act = { act: RetentionAct; by?: string | undefined; details?: string | undefined };

export type RetentionTablesOptions = {
  database: Database;
  vault: Vault;
  /** The data folder of this server: what lies in a folder is deleted by the server that has it. */
  folder: string;
  /** Whether servers go on with each other's recordings: they have the same secret keys then. */
  inFleet: boolean;
};

/** Somebody is being removed from recording r: files of it are made anew, and none is deleted meanwhile (ADR 0041). */
const REMOVING = `exists (select 1 from removals m where m.sid = r.sid and m.done_ms is null and m.gave_up_ms is null)`;
/** What of recording t with retention r was left with a server that is gone is that server's ($1) to delete. */
const UNLEFT = `(r.left_ms is null or t.folder = $1)`;

/** Keeps what the start of a recording, or its app, says, with what opens its store after its end. */
export async function addRetention(inside: Queryable, vault: Vault, { sid, document }: Task): Promise<void> {
  const { retention, storage } = document;
  if (!retention) return;
  const isKept = retention.days === 0;
  await inside.query('insert into retentions (sid, days, rule, storage) values ($1, $2, $3, $4)', [
    sid,
    isKept ? null : retention.days,
    retention.rule,
    isKept ? null : vault.seal(JSON.stringify(storage)),
  ]);
}

export class RetentionTables {
  readonly #database: Database;
  readonly #vault: Vault;
  readonly #folder: string;
  readonly #inFleet: boolean;

  constructor({ database, vault, folder, inFleet }: RetentionTablesOptions) {
    this.#inFleet = inFleet;
    this.#database = database;
    this.#vault = vault;
    this.#folder = folder;
  }

  /** What keeps the files of an app's recording, and where they lie. */
  async keeping(appid: string, sid: string): Promise<{ keeping: Keeping; place: StoragePlace | undefined }> {
    const [row] = await this.#database.query(
      `select t.place, t.ended_ms, ${TO_COME} as unstored, r.held_ms, r.deleted_ms
       from tasks t left join retentions r using (sid) where t.appid = $1 and t.sid = $2`,
      [appid, sid],
    );
    if (!row) return { keeping: 'unknown', place: undefined };
    const place = storagePlaceSchema.safeParse(row['place']).data;
    const keeping =
      row['ended_ms'] === null
        ? 'running'
        : row['deleted_ms'] !== null
          ? 'deleted'
          : row['held_ms'] !== null
            ? 'held'
            : row['unstored'] === true
              ? 'uploading'
              : undefined;
    return { keeping, place };
  }

  /** Everything that is told of an app's recording; undefined when there is none. */
  of(appid: string, sid: string): Promise<RetentionReply | undefined> {
    return retentionOf(this.#database, appid, sid, { folder: this.#folder, inFleet: this.#inFleet });
  }

  /** Has the files kept for so many days; 0 keeps them for ever. What was given up is tried again. */
  async set(sid: string, wish: { days: number; storage: StorageConfig | undefined; by: string; nowMs: number }) {
    const { days, storage, by, nowMs } = wish;
    const sealed = days === 0 ? null : storage && this.#vault.seal(JSON.stringify(storage));
    await this.#database.transaction(async (inside) => {
      await inside.query(
        `insert into retentions (sid, days, rule, storage, due_ms)
         select sid, $2::integer, 'call', $3, ended_ms + $2::bigint * ${DAY_MS} from tasks where sid = $1
         on conflict (sid) do update set days = excluded.days, rule = excluded.rule, due_ms = excluded.due_ms,
           storage = case when excluded.days is null then null else coalesce(excluded.storage, retentions.storage) end,
           attempts = 0, refusals = 0, next_try_ms = null, gave_up_ms = null, last_error = null, left_ms = null`,
        [sid, days === 0 ? null : days, sealed ?? null],
      );
      await lookAgain(inside, sid);
      const details = days === 0 ? 'for ever' : `${days} days`;
      await addAct(inside, sid, nowMs, { act: 'retention', by, details });
    });
  }

  /** Has the files deleted now. */
  async setDue(sid: string, wish: { storage: StorageConfig | undefined; by: string; nowMs: number }): Promise<void> {
    const { storage, by, nowMs } = wish;
    await this.#database.transaction(async (inside) => {
      await inside.query(
        `insert into retentions (sid, rule, storage, due_ms) values ($1, 'call', $2, $3)
         on conflict (sid) do update set rule = 'call', due_ms = excluded.due_ms,
           storage = coalesce(excluded.storage, retentions.storage),
           attempts = 0, refusals = 0, next_try_ms = null, gave_up_ms = null, last_error = null, left_ms = null`,
        [sid, storage ? this.#vault.seal(JSON.stringify(storage)) : null, Math.round(nowMs)],
      );
      await lookAgain(inside, sid);
      await addAct(inside, sid, nowMs, { act: 'deleting', by, details: 'asked for by a call' });
    });
  }

  /** Whether the server has what opens the store of a recording. */
  async hasStorage(sid: string): Promise<boolean> {
    const query = 'select 1 from retentions where sid = $1 and storage is not null';
    return (await this.#database.query(query, [sid])).length > 0;
  }

  /** Nothing is begun to be deleted once this has resolved. */
  async hold(sid: string, wish: { by: string; byOperator: boolean; reason: string | undefined; nowMs: number }) {
    const { by, byOperator, reason, nowMs } = wish;
    await this.#database.transaction(async (inside) => {
      const set = await inside.query(
        `insert into retentions (sid, held_ms, held_by, held_by_operator, held_reason) values ($1, $2, $3, $4, $5)
         on conflict (sid) do update set held_ms = excluded.held_ms, held_by = excluded.held_by,
           held_by_operator = excluded.held_by_operator, held_reason = excluded.held_reason
         where retentions.held_ms is null or (excluded.held_by_operator and not retentions.held_by_operator)
         returning 1`,
        [sid, Math.round(nowMs), by, byOperator, reason ?? null],
      );
      if (set.length > 0) await addAct(inside, sid, nowMs, { act: 'held', by, details: reason });
    });
  }

  /** Lifts the legal hold. False, and nothing changes, when an operator set it and another asks. */
  async release(sid: string, { by, byOperator, nowMs }: { by: string; byOperator: boolean; nowMs: number }) {
    return this.#database.transaction(async (inside) => {
      const [row] = await inside.query('select held_ms, held_by_operator from retentions where sid = $1 for update', [
        sid,
      ]);
      if (!row || row['held_ms'] === null) return true;
      if (row['held_by_operator'] === true && !byOperator) return false;
      await inside.query(
        `update retentions set held_ms = null, held_by = null, held_by_operator = false, held_reason = null
         where sid = $1`,
        [sid],
      );
      await addAct(inside, sid, nowMs, { act: 'released', by });
      return true;
    });
  }

  /** Recordings of which this server is to delete files now, the longest due first. */
  async due(nowMs: number, most: number): Promise<string[]> {
    await this.#database.query(
      `update retentions r set due_ms = t.ended_ms + r.days::bigint * ${DAY_MS} from tasks t
       where t.sid = r.sid and r.due_ms is null and r.days is not null and t.ended_ms is not null`,
    );
    const rows = await this.#database.query(
      `select r.sid from retentions r join tasks t using (sid)
       where r.deleted_ms is null and r.gave_up_ms is null and r.due_ms <= $2 and r.held_ms is null
         and coalesce(r.next_try_ms, 0) <= $2 and t.ended_ms is not null and not ${TO_COME} and not ${REMOVING}
         and ${OURS_OR_LOST} and ${UNLEFT}
       order by r.due_ms limit $3`,
      [this.#folder, Math.round(nowMs), most, this.#inFleet],
    );
    return rows.map((row) => String(row['sid']));
  }

  /** A recording whose files are to be deleted now; undefined when something keeps them. */
  async find(sid: string, nowMs: number): Promise<Due | undefined> {
    const [row] = await this.#database.query(
      `select r.*, t.place, coalesce(t.folder = $1, true) as is_own from retentions r join tasks t using (sid)
       where r.sid = $3 and r.deleted_ms is null and r.gave_up_ms is null and r.due_ms <= $2 and r.held_ms is null
         and coalesce(r.next_try_ms, 0) <= $2 and t.ended_ms is not null and not ${TO_COME} and not ${REMOVING}
         and ${OURS_OR_LOST} and ${UNLEFT}`,
      [this.#folder, Math.round(nowMs), sid, this.#inFleet],
    );
    if (!row) return undefined;
    const sealed = row['storage'] === null ? undefined : this.#vault.openIfKnown(String(row['storage']));
    return {
      sid,
      place: storagePlaceSchema.safeParse(row['place']).data,
      storage: sealed === undefined ? undefined : storageConfigSchema.parse(JSON.parse(sealed)),
      isOwn: row['is_own'] === true,
      attempts: Number(row['attempts']),
      refusals: Number(row['refusals']),
    };
  }

  /**
   * Files that are not deleted yet: playlists first, as they name others. Those that others did not reach are for their
   * own server alone.
   */
  async left({ sid, isOwn }: Due, most: number): Promise<Erasable[]> {
    const rows = await this.#database.query(
      `select o.name, o.key, o.bytes, o.state, exists (
           select 1 from runs n join strays s on s.sid = n.sid and s.folder = n.folder
           where n.sid = o.sid and n.generation = o.generation
         ) as is_elsewhere
       from objects o where o.sid = $1 and o.deleted_ms is null and o.state <> 'lost'
         and ($3::boolean or o.left_ms is null)
       order by (o.kind = 'playlist') desc, o.name limit $2`,
      [sid, most, isOwn],
    );
    return rows.map((row) => ({
      name: String(row['name']),
      key: String(row['key']),
      bytes: Number(row['bytes']),
      state: row['state'] as Erasable['state'],
      isElsewhere: row['is_elsewhere'] === true,
    }));
  }

  /**
   * Notes that these files are about to be deleted. False, and nothing is noted, under a legal hold, while somebody is
   * removed from the recording, and once a server is back that may move files of it.
   */
  async begin(sid: string, names: readonly string[], nowMs: number): Promise<boolean> {
    return this.#database.transaction(async (inside) => {
      const free = await inside.query(
        `select 1 from retentions r join tasks t using (sid)
         where r.sid = $1 and r.held_ms is null and not ${REMOVING} and not ${TO_COME} for update of r`,
        [sid],
      );
      if (free.length === 0) return false;
      await inside.query(
        'update objects set deleting_ms = coalesce(deleting_ms, $3) where sid = $1 and name = any($2)',
        [sid, [...names], Math.round(nowMs)],
      );
      return true;
    });
  }

  /** Notes that these files are deleted. */
  async erased(sid: string, names: readonly string[], nowMs: number): Promise<void> {
    await this.#database.query(
      'update objects set deleted_ms = $3 where sid = $1 and name = any($2) and deleted_ms is null',
      [sid, [...names], Math.round(nowMs)],
    );
  }

  /** Notes that this server does not reach these files, which lie with a server that is gone: they are left to that. */
  async leave(sid: string, names: readonly string[], nowMs: number): Promise<void> {
    if (names.length === 0) return;
    await this.#database.query(
      `update objects set left_ms = $3, parts = null, state = case when state = 'backup' then 'gaveUp' else state end
       where sid = $1 and name = any($2) and deleted_ms is null`,
      [sid, [...names], Math.round(nowMs)],
    );
  }

  /** Notes that files could not be deleted; the first time, a refusal, and giving up stay known. */
  async failed(due: Due, what: { error: string; nextTryMs: number | undefined; isRefusal: boolean; nowMs: number }) {
    const { error, nextTryMs, isRefusal, nowMs } = what;
    await this.#database.transaction(async (inside) => {
      await inside.query(
        `update retentions set attempts = attempts + 1, refusals = refusals + $5, last_error = $2, next_try_ms = $3,
           gave_up_ms = $4 where sid = $1`,
        [
          due.sid,
          error,
          nextTryMs === undefined ? null : Math.round(nextTryMs),
          nextTryMs === undefined ? Math.round(nowMs) : null,
          isRefusal ? 1 : 0,
        ],
      );
      if (nextTryMs === undefined) await addAct(inside, due.sid, nowMs, { act: 'refused', details: error });
      else if (due.attempts === 0) await addAct(inside, due.sid, nowMs, { act: 'failed', details: error });
    });
  }

  /**
   * Notes that no file is left, or none but what lies with the server that is gone, and forgets the credentials.
   * Resolves to whether there may be such files.
   */
  async ended({ sid, isOwn }: Pick<Due, 'sid' | 'isOwn'>, nowMs: number): Promise<{ isLeft: boolean }> {
    return this.#database.transaction(async (inside) => {
      const moves = isOwn ? [] : await inside.query('delete from moves where sid = $1 returning 1', [sid]);
      const [left] = await inside.query(
        `select count(*) as files, coalesce(sum(bytes), 0) as bytes from objects
         where sid = $1 and left_ms is not null and deleted_ms is null`,
        [sid],
      );
      // Of files that were to be moved, its disk may have more than the database knows.
      const isLeft = !isOwn && (moves.length > 0 || Number(left?.['files']) > 0);
      const [row] = await inside.query(
        `update retentions set deleted_ms = case when $3 then null else $2::bigint end,
           left_ms = case when $3 then $2::bigint end, storage = null, last_error = null, next_try_ms = null
         where sid = $1 and deleted_ms is null returning days, rule`,
        [sid, Math.round(nowMs), isLeft],
      );
      if (!row) return { isLeft };
      // What was made of them goes with them; each node removes the MP4s that it has.
      await inside.query(
        `delete from mixes m using retentions r where m.sid = $1 and r.sid = m.sid and r.held_ms is null`,
        [sid],
      );
      const [sum] = await inside.query(
        'select count(*) as files, coalesce(sum(bytes), 0) as bytes from objects where sid = $1 and deleted_ms is not null',
        [sid],
      );
      const why = row['rule'] === 'call' ? 'by a call' : `by the rule of its ${row['rule']}, ${row['days']} days`;
      const details = `${sum?.['files']} files, ${sum?.['bytes']} bytes, ${why}`;
      if (isLeft) {
        const server = await serverOf(inside, sid);
        const rest = `${left?.['files']} files, ${left?.['bytes']} bytes, lie with ${server}, which is gone`;
        await addAct(inside, sid, nowMs, { act: 'left', details: `deleted ${details}; ${rest}` });
      } else await addAct(inside, sid, nowMs, { act: 'deleted', details });
      return { isLeft };
    });
  }

  /** Seals this server's credentials with the present key, so that older keys can be removed. */
  async reseal(): Promise<void> {
    const rows = await this.#database.query(
      `select r.sid, r.storage from retentions r join tasks t using (sid)
       where r.storage is not null and (t.folder is null or t.folder = $1)`,
      [this.#folder],
    );
    for (const row of rows) {
      const sealed = String(row['storage']);
      const again = this.#vault.resealed(sealed);
      if (again === undefined) continue;
      await this.#database.query('update retentions set storage = $3 where sid = $1 and storage = $2', [
        row['sid'],
        sealed,
        again,
      ]);
    }
  }
}

/** What was left with a server that is gone is looked for again by any other. */
async function lookAgain(inside: Queryable, sid: string): Promise<void> {
  await inside.query('update objects set left_ms = null where sid = $1 and left_ms is not null', [sid]);
}

/** The name of the server that has the files of a recording; of one that never told it, its data folder's. */
async function serverOf(inside: Queryable, sid: string): Promise<string> {
  const [row] = await inside.query(
    `select coalesce(w.name, t.folder) as name from tasks t left join owners w using (folder) where t.sid = $1
     order by w.lease_until desc nulls last limit 1`,
    [sid],
  );
  return String(row?.['name']);
}

async function addAct(inside: Queryable, sid: string, nowMs: number, { act, by, details }: Act): Promise<void> {
  await inside.query('insert into acts (sid, at_ms, act, by_whom, details) values ($1, $2, $3, $4, $5)', [
    sid,
    Math.round(nowMs),
    act,
    by ?? null,
    details ?? null,
  ]);
}
