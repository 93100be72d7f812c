/**
 * Removals of persons in SQL: what was asked, which files go, what of them is done, and what records say afterwards.
 */
import { z } from 'zod';
import { spooledFileSchema } from '../contract/line/facts.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { isFileOf, mayHold } from '../contract/line/person.ts';
import {
  type StorageConfig,
  type StoragePlace,
  storageConfigSchema,
  storagePlaceSchema,
} from '../contract/line/storage.ts';
import type { RemovalFile, RemovalOutcome, RemovalReply } from '../contract/rest/removal.ts';
import type { Database, Queryable, Row } from './database.ts';
import { toRecord } from './object-tables.ts';
import { forgetMixes, forgetPerson } from './person-records.ts';
import { removalsOf, toRemovalFile } from './removal-record.ts';
import type { Vault } from './vault.ts';
import { LOST_AT, livesOn, OURS, UNSTORED } from './whose-files.ts';

/** What keeps a person in a recording. */
export type RemovalObstacle = 'running' | 'uploading' | 'held' | 'deleting' | 'deleted' | 'mixed';
/** An app's recording, before somebody is removed from it. */
export type RemovalScene = {
  mode: string;
  place: StoragePlace | undefined;
  obstacle: RemovalObstacle | undefined;
  holdReason: string | undefined;
  /** Whether the server has what opens its store. */
  hasStorage: boolean;
  /** Whether its quality report names the person. */
  isNamed: boolean;
  files: RemovalFile[];
};
/** A removal that goes on now. */
export type OpenRemoval = {
  sid: string;
  uid: string;
  place: StoragePlace | undefined;
  /** Undefined where none was kept, and where the key is lost that it was sealed with. */
  storage: StorageConfig | undefined;
  attempts: number;
  refusals: number;
};
/** A file that is still as it was; `file` is undefined in rows of versions that did not keep it. */
export type LeftFile = RemovalFile &
  Pick<ObjectRecord, 'file'> & {
    /** The name of another server that may have on its disk what was made anew of it, and may still be back. */
    madeBy?: string | undefined;
  };
/** What became of a file. */
export type Removed = {
  name: string;
  outcome: RemovalOutcome;
  versions?: number | undefined;
  details?: string | undefined;
};
/** A file as it was made anew. */
export type Rewritten = Removed & Pick<ObjectRecord, 'bytes' | 'evidence' | 'etag' | 'md5' | 'sha256' | 'file'>;

export type RemovalTablesOptions = {
  database: Database;
  vault: Vault;
  /** The data folder of this server. */
  folder: string;
  /** Whether servers go on with each other's recordings: they have the same secret keys then. */
  inFleet: boolean;
};

/** Removals m of recordings t with retentions r that go on at $2. */
const OPEN = `m.done_ms is null and m.gave_up_ms is null and coalesce(m.next_try_ms, 0) <= $2 and r.held_ms is null`;
/** Files f that were begun to be made anew, and that their store may lack since. */
const IS_BEGUN_ANEW = `f.act = 'rewrite' and f.begun_ms is not null and f.done_ms is null`;
/** Removals m of recordings t that this server ($1) goes on with: no other is at work on them. */
const FREE = `(${OURS} or exists (select 1 from removed_files f where f.sid = t.sid and f.folder = $1 and ${IS_BEGUN_ANEW}))
  and (m.folder is null or m.folder = $1 or not ${livesOn('m.folder')})`;

export class RemovalTables {
  readonly #o: RemovalTablesOptions;

  constructor(options: RemovalTablesOptions) {
    this.#o = options;
  }

  /** Undefined when the app has no such recording. */
  async scene(appid: string, sid: string, uid: string, nowMs: number): Promise<RemovalScene | undefined> {
    const [row] = await this.#o.database.query(
      `select t.mode, t.place, t.ended_ms, ${UNSTORED} as unstored, q.report, r.held_ms, r.held_reason, r.deleted_ms,
         r.storage, r.gave_up_ms is null and r.due_ms <= $3 as due
       from tasks t left join retentions r using (sid) left join quality_reports q using (sid)
       where t.appid = $1 and t.sid = $2`,
      [appid, sid, Math.round(nowMs)],
    );
    if (!row) return undefined;
    const named = z.looseObject({ participants: z.array(z.looseObject({ uid: z.string() })) }).safeParse(row['report']);
    return {
      mode: String(row['mode']),
      place: storagePlaceSchema.safeParse(row['place']).data,
      obstacle: obstacleOf(row),
      holdReason: row['held_reason'] === null ? undefined : String(row['held_reason']),
      hasStorage: row['storage'] !== null,
      isNamed: named.data?.participants.some((each) => each.uid === uid) ?? false,
      files: await filesOf(this.#o.database, sid, uid),
    };
  }

  /**
   * Keeps that the person is to be removed, with the files that go. One that was given up is tried again. Resolves to
   * what keeps the person there, and then nothing is kept.
   */
  async order(
    sid: string,
    uid: string,
    wish: { storage: StorageConfig | undefined; by: string; nowMs: number },
  ): Promise<RemovalObstacle | undefined> {
    const { database, vault } = this.#o;
    const { storage, by } = wish;
    const nowMs = Math.round(wish.nowMs);
    const sealed = storage ? vault.seal(JSON.stringify(storage)) : null;
    return database.transaction(async (inside) => {
      // Locked, so that neither a legal hold nor the deletion of all files begins meanwhile.
      await inside.query('insert into retentions (sid) values ($1) on conflict (sid) do nothing', [sid]);
      await inside.query('select 1 from retentions where sid = $1 for update', [sid]);
      const [row] = await inside.query(
        `select t.mode, t.ended_ms, ${UNSTORED} as unstored, r.held_ms, r.deleted_ms,
           r.gave_up_ms is null and r.due_ms <= $2 as due
         from tasks t join retentions r using (sid) where t.sid = $1`,
        [sid, nowMs],
      );
      const obstacle = row && obstacleOf(row);
      if (obstacle) return obstacle;
      const added = await inside.query(
        `insert into removals (sid, uid, asked_ms, asked_by, storage)
         values ($1, $2, $3, $4, coalesce($5, (select storage from retentions where sid = $1)))
         on conflict (sid, uid) do update set storage = coalesce($5, removals.storage), attempts = 0, refusals = 0,
           next_try_ms = null, gave_up_ms = null, last_error = null where removals.done_ms is null
         returning 1`,
        [sid, uid, nowMs, by, sealed],
      );
      if (added.length === 0) return undefined;
      const files = await filesOf(inside, sid, uid);
      await inside.query(
        `insert into removed_files (sid, uid, name, kind, key, place, bytes, act)
         select $1, $2, f.name, f.kind, f.key, f."where", f.bytes, f.act
         from json_to_recordset($3::json) as f(name text, kind text, key text, "where" text, bytes bigint, act text)
         on conflict (sid, uid, name) do nothing`,
        [sid, uid, JSON.stringify(files)],
      );
      return undefined;
    });
  }

  /** Recordings in which this server is to go on removing somebody, the longest asked first. */
  async due(nowMs: number, most: number): Promise<string[]> {
    const rows = await this.#o.database.query(
      `select t.sid, min(m.asked_ms) as asked_ms from removals m join tasks t using (sid) join retentions r using (sid)
       where ${OPEN} and ${FREE} group by t.sid order by min(m.asked_ms) limit $3`,
      [this.#o.folder, Math.round(nowMs), most, this.#o.inFleet],
    );
    return rows.map((row) => String(row['sid']));
  }

  /**
   * Takes up the first removal of a recording that goes on now, so that no other server works on it until this one has
   * let go of it, or is gone.
   */
  async take(sid: string, nowMs: number): Promise<OpenRemoval | undefined> {
    const [row] = await this.#o.database.query(
      `update removals set folder = $1 from (
         select m.sid, m.uid, t.place from removals m join retentions r using (sid) join tasks t using (sid)
         where m.sid = $3 and ${OPEN} and ${FREE} order by m.asked_ms limit 1 for update of m
       ) n where removals.sid = n.sid and removals.uid = n.uid returning removals.*, n.place`,
      [this.#o.folder, Math.round(nowMs), sid, this.#o.inFleet],
    );
    if (!row) return undefined;
    const sealed = row['storage'] === null ? undefined : this.#o.vault.openIfKnown(String(row['storage']));
    return {
      ...{ sid, uid: String(row['uid']), place: storagePlaceSchema.safeParse(row['place']).data },
      storage: sealed === undefined ? undefined : storageConfigSchema.parse(JSON.parse(sealed)),
      attempts: Number(row['attempts']),
      refusals: Number(row['refusals']),
    };
  }

  /** Lets go of a removal of which this server has done what it can for now. */
  async letGo(sid: string, uid: string): Promise<void> {
    await this.#o.database.query('update removals set folder = null where sid = $1 and uid = $2 and folder = $3', [
      ...[sid, uid, this.#o.folder],
    ]);
  }

  /** Files that are still as they were: playlists first, as they name others, and those of everybody last. */
  async left(sid: string, uid: string): Promise<LeftFile[]> {
    const rows = await this.#o.database.query(
      `select a.*, o.file, (
         select coalesce(w.name, w.folder) from removed_files f join owners w using (folder)
         where f.sid = a.sid and f.name = a.name and f.folder <> $3 and ${IS_BEGUN_ANEW} and ${LOST_AT} > now()
         order by w.lease_until desc limit 1
       ) as made_by
       from removed_files a left join objects o on o.sid = a.sid and o.name = a.name
       where a.sid = $1 and a.uid = $2 and a.done_ms is null
       order by (a.act = 'rewrite'), (a.kind = 'playlist') desc, (a.kind = 'document'), a.name`,
      [sid, uid, this.#o.folder],
    );
    return rows.map((row) => ({
      ...toRemovalFile(row),
      file: spooledFileSchema.safeParse(row['file']).data,
      madeBy: row['made_by'] === null ? undefined : String(row['made_by']),
    }));
  }

  /** Notes that these files are about to go. False, and nothing is noted, under a legal hold. */
  async begin(sid: string, uid: string, names: readonly string[], nowMs: number): Promise<boolean> {
    return this.#o.database.transaction(async (inside) => {
      const free = await inside.query('select 1 from retentions where sid = $1 and held_ms is null for update', [sid]);
      if (free.length === 0) return false;
      const params = [sid, uid, [...names], Math.round(nowMs), this.#o.folder];
      await inside.query(
        `with begun as (
           update removed_files set begun_ms = coalesce(begun_ms, $4), folder = $5
           where sid = $1 and uid = $2 and name = any($3)
         )
         update objects set deleting_ms = coalesce(deleting_ms, $4) where sid = $1 and name = any($3)`,
        params,
      );
      return true;
    });
  }

  /** Notes what became of files of the person alone. No list names them any more. */
  async removed(sid: string, uid: string, files: readonly Removed[], nowMs: number): Promise<void> {
    await this.#o.database.transaction(async (inside) => {
      for (const file of files) await note(inside, sid, uid, file, nowMs);
      await inside.query('delete from objects where sid = $1 and name = any($2)', [sid, files.map(({ name }) => name)]);
    });
  }

  /** Notes that a file of everybody is gone as well. Lists tell that it was deleted. */
  async lost(sid: string, uid: string, file: Removed, nowMs: number): Promise<void> {
    await this.#o.database.transaction(async (inside) => {
      await note(inside, sid, uid, file, nowMs);
      // Whose tracks it had is nobody's business any more.
      await inside.query('update objects set deleted_ms = $3, file = null where sid = $1 and name = $2', [
        ...[sid, file.name, Math.round(nowMs)],
      ]);
    });
  }

  /** Notes that a file of everybody was made anew; all of it is done unless versions of what was before are left. */
  async rewritten(sid: string, uid: string, made: Rewritten, isDone: boolean, nowMs: number): Promise<void> {
    const { name, bytes, evidence, etag, md5, sha256, file } = made;
    await this.#o.database.transaction(async (inside) => {
      if (isDone) await note(inside, sid, uid, made, nowMs, bytes);
      await inside.query(
        `update objects set deleting_ms = null, bytes = $3, evidence = $4, etag = $5, md5 = $6, sha256 = $7,
           file = $8::jsonb, parts = null,
           state = case when state = 'gaveUp' then state when $4 = 'accepted' then 'accepted' else 'stored' end
         where sid = $1 and name = $2`,
        [sid, name, bytes, evidence, etag ?? null, md5 ?? null, sha256 ?? null, file ? JSON.stringify(file) : null],
      );
    });
  }

  /** Forgets mixes that show or let hear the person: each node then removes their MP4s, and ends what is being made. */
  async forgetMixes(sid: string, uid: string): Promise<void> {
    await forgetMixes(this.#o.database, sid, uid);
  }

  /** The size of a recording's file of every speaker as it is now; undefined where there is none. */
  async speakersBytes(sid: string): Promise<number | undefined> {
    const [row] = await this.#o.database.query(
      `select bytes from objects where sid = $1 and kind = 'speakers' and deleted_ms is null and state <> 'lost'`,
      [sid],
    );
    return row && Number(row['bytes']);
  }

  async report(sid: string): Promise<unknown> {
    const [row] = await this.#o.database.query('select report from quality_reports where sid = $1', [sid]);
    return row?.['report'];
  }

  /** Notes that something could not be removed, and when it is tried again: never where that is undefined. */
  async failed(
    { sid, uid }: Pick<OpenRemoval, 'sid' | 'uid'>,
    what: { error: string; nextTryMs: number | undefined; isRefusal: boolean; nowMs: number },
  ): Promise<void> {
    const { error, nextTryMs, isRefusal, nowMs } = what;
    await this.#o.database.query(
      `update removals set attempts = attempts + 1, refusals = refusals + $5, last_error = $3, next_try_ms = $4,
         gave_up_ms = $6 where sid = $1 and uid = $2`,
      [
        ...[sid, uid, error, nextTryMs === undefined ? null : Math.round(nextTryMs), isRefusal ? 1 : 0],
        nextTryMs === undefined ? Math.round(nowMs) : null,
      ],
    );
  }

  /** Takes the person out of what is known of the recording, notes that all is done, and forgets the credentials. */
  async ended(sid: string, uid: string, nowMs: number): Promise<void> {
    await this.#o.database.transaction(async (inside) => {
      await forgetPerson(inside, sid, uid);
      await inside.query(
        `update removals set done_ms = $3, storage = null, last_error = null, next_try_ms = null
         where sid = $1 and uid = $2 and done_ms is null`,
        [sid, uid, Math.round(nowMs)],
      );
    });
  }

  /** Removals that are done and after which this server has not looked at its own disk. */
  async uncleared(most: number): Promise<{ sid: string; uid: string }[]> {
    const rows = await this.#o.database.query(
      `select m.sid, m.uid from removals m where m.done_ms is not null and not exists
         (select 1 from removal_folders f where f.sid = m.sid and f.uid = m.uid and f.folder = $1) limit $2`,
      [this.#o.folder, most],
    );
    return rows.map((row) => ({ sid: String(row['sid']), uid: String(row['uid']) }));
  }

  /** Whether nobody else is still to be removed from a recording. */
  async isLast(sid: string, uid: string): Promise<boolean> {
    const others = 'select 1 from removals where sid = $1 and uid <> $2 and done_ms is null limit 1';
    return (await this.#o.database.query(others, [sid, uid])).length === 0;
  }

  /** Names of all files that were removed or made anew. */
  async names(sid: string, uid: string): Promise<string[]> {
    const rows = await this.#o.database.query('select name from removed_files where sid = $1 and uid = $2', [sid, uid]);
    return rows.map((row) => String(row['name']));
  }

  /** Notes that this server's own disk has nothing of the person any more, and how many copies it had. */
  async cleared(sid: string, uid: string, files: number, nowMs: number): Promise<void> {
    await this.#o.database.query(
      `insert into removal_folders (sid, uid, folder, cleared_ms, files) values ($1, $2, $3, $4, $5)
       on conflict (sid, uid, folder) do update set files = removal_folders.files + excluded.files`,
      [sid, uid, this.#o.folder, Math.round(nowMs), files],
    );
  }

  /** All removals of an app's recording, the oldest first; undefined when there is no such recording. */
  list(appid: string, sid: string): Promise<RemovalReply[] | undefined> {
    return removalsOf(this.#o.database, appid, sid);
  }

  /** Seals this server's credentials with the present key, so that older keys can be removed. */
  async reseal(): Promise<void> {
    const { database, vault, folder } = this.#o;
    const rows = await database.query(
      `select m.sid, m.uid, m.storage from removals m join tasks t using (sid)
       where m.storage is not null and (t.folder is null or t.folder = $1)`,
      [folder],
    );
    for (const row of rows) {
      const sealed = String(row['storage']);
      const again = vault.resealed(sealed);
      if (again === undefined) continue;
      await database.query('update removals set storage = $4 where sid = $1 and uid = $2 and storage = $3', [
        ...[row['sid'], row['uid'], sealed, again],
      ]);
    }
  }
}

/** What of a recording's files is this person's, and what is everybody's. */
async function filesOf(inside: Queryable, sid: string, uid: string): Promise<RemovalFile[]> {
  const rows = await inside.query(
    `select * from objects where sid = $1 and deleted_ms is null order by (kind = 'slice'), name`,
    [sid],
  );
  return rows.map(toRecord).flatMap((record): RemovalFile[] => {
    const isTheirs = isFileOf(uid, record);
    if (!isTheirs && (record.state === 'lost' || !mayHold(uid, record))) return [];
    const { name, kind, key, bytes, state } = record;
    const where = state === 'gaveUp' ? 'backup' : 'store';
    return [{ name, kind, key, bytes, where, act: isTheirs ? 'delete' : 'rewrite' }];
  });
}

async function note(inside: Queryable, sid: string, uid: string, file: Removed, nowMs: number, newBytes?: number) {
  const { name, outcome, versions, details } = file;
  await inside.query(
    `update removed_files set done_ms = $4, outcome = $5, versions = $6, details = $7, new_bytes = $8
     where sid = $1 and uid = $2 and name = $3 and done_ms is null`,
    [sid, uid, name, Math.round(nowMs), outcome, versions ?? null, details ?? null, newBytes ?? null],
  );
}

function obstacleOf(row: Row): RemovalObstacle | undefined {
  if (row['mode'] !== 'individual') return 'mixed';
  if (row['ended_ms'] === null) return 'running';
  if (row['deleted_ms'] !== null) return 'deleted';
  if (row['held_ms'] !== null) return 'held';
  if (row['unstored'] === true) return 'uploading';
  return row['due'] === true ? 'deleting' : undefined;
}
