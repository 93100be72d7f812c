/**
 * Objects in SQL: the ledger of where each file lies, and the recordings whose files wait in the backup store to be
 * moved on.
 */
import { z } from 'zod';
import { spooledFileSchema } from '../contract/line/facts.ts';
import { EVIDENCE, OBJECT_STATES, type ObjectRecord, type UploadLedger } from '../contract/line/objects.ts';
import { type StorageConfig, storageConfigSchema } from '../contract/line/storage.ts';
import type { Clock } from '../kernel/clock.ts';
import { fenced, type TaskHold } from '../session/hold.ts';
import type { SessionLog } from '../session/ports.ts';
import type { Database, Row } from './database.ts';
import { HeldLedger } from './held-ledger.ts';
import type { Vault } from './vault.ts';
import { LOST_WITH_DISK, STRAYED, WAITS_FOR } from './whose-files.ts';

const partsSchema = z.object({
  uploadId: z.string(),
  partBytes: z.number(),
  parts: z.array(z.object({ number: z.number(), etag: z.string(), md5: z.string() })),
});

/** A recording whose files this server keeps after its end. Times are Unix milliseconds. */
export type Move = {
  sid: string;
  appid: string;
  storage: StorageConfig;
  sinceMs: number;
  /** Until when moving is tried. */
  keepUntilMs: number;
  attempts: number;
  nextTryMs: number | undefined;
  lastError: string | undefined;
};

/** What waits of one recording, for the operator. */
export type Backlog = {
  sid: string;
  appid: string;
  /** `store`: on the spool, for the customer's store; `backup`: in the backup store, to be moved on. */
  where: 'spool' | 'backup';
  files: number;
  bytes: number;
  sinceMs: number;
  attempts: number;
  lastError: string | undefined;
  nextTryMs: number | undefined;
  /** The node that has the files where they wait for it to be back. */
  waitsFor: string | undefined;
};

export type BacklogTotal = Pick<Backlog, 'files' | 'bytes'> & {
  /** `away`: on the spool of another node, which is to bring them when it is back. */
  place: 'spool' | 'backup' | 'away';
  sinceMs: number | undefined;
};

export type ObjectTablesOptions = {
  database: Database;
  vault: Vault;
  /**
   * The data folder of this server: what a server of another folder keeps is moved on by that server, with its own
   * keys.
   */
  folder: string;
  clock: Clock;
  log: SessionLog;
};

/** Moves of this folder ($1). Tasks from before servers had folders belong to whoever asks. */
const OWN_MOVES = `select m.* from moves m join tasks t using (sid) where (t.folder = $1 or t.folder is null)`;

export class ObjectTables {
  readonly #database: Database;
  readonly #folder: string;
  readonly #vault: Vault;
  readonly #clock: Clock;
  readonly #log: SessionLog;

  constructor({ database, vault, folder, clock, log }: ObjectTablesOptions) {
    this.#database = database;
    this.#folder = folder;
    this.#vault = vault;
    this.#clock = clock;
    this.#log = log;
  }

  /** The ledger of a task that this server owns; once another server has the task, writes to it change nothing. */
  async open(hold: TaskHold): Promise<UploadLedger> {
    const rows = await this.objectsOf(hold.sid);
    const tables = {
      save: (records: readonly ObjectRecord[]) => this.#save(hold, records),
      read: () => this.objectsOf(hold.sid),
    };
    return new HeldLedger(rows, tables, this.#clock, this.#log);
  }

  /** All objects of a recording: slices and other files first, playlists last. */
  async objectsOf(sid: string): Promise<ObjectRecord[]> {
    const rows = await this.#database.query(`select * from objects where sid = $1 order by (kind = 'playlist'), name`, [
      sid,
    ]);
    return rows.map(toRecord);
  }

  async #save(hold: TaskHold, records: readonly ObjectRecord[]): Promise<void> {
    const { sid, owner, epoch } = hold;
    const nowMs = Math.round(this.#clock.nowMs());
    await this.#database.transaction(async (inside) => {
      const held = await inside.query('select 1 from tasks where sid = $1 and owner = $2 and epoch = $3 for share', [
        sid,
        owner,
        epoch,
      ]);
      if (held.length === 0) throw fenced(sid);
      await inside.query(UPSERT, [sid, JSON.stringify(records.map(toRow)), nowMs]);
    });
  }

  /**
   * Notes an object of one of these runs, whoever owns the task. False, and nothing is noted, when another run has an
   * object of that name, or the store has this one already.
   */
  async noteOwn(sid: string, record: ObjectRecord, runs: readonly number[]): Promise<boolean> {
    const rows = [toRow(record)];
    const noted = await this.#database.query(
      `${UPSERT} where objects.generation = any($4) and objects.state not in ('stored', 'accepted') returning 1`,
      [sid, JSON.stringify(rows), Math.round(this.#clock.nowMs()), [...runs]],
    );
    return noted.length > 0;
  }

  /** Notes what became of objects of a recording that has ended and has no owner. */
  async note(sid: string, records: readonly ObjectRecord[]): Promise<void> {
    await this.#database.query(UPSERT, [sid, JSON.stringify(records.map(toRow)), Math.round(this.#clock.nowMs())]);
  }

  /** Has the files of a recording moved on. A move that exists already goes on with the new credentials. */
  async addMove(move: Pick<Move, 'sid' | 'appid' | 'storage' | 'sinceMs' | 'keepUntilMs'>): Promise<void> {
    await this.#database.query(
      `insert into moves (sid, appid, place, storage, since_ms, keep_until_ms) values ($1, $2, $3, $4, $5, $6)
       on conflict (sid) do update set storage = excluded.storage`,
      [
        move.sid,
        move.appid,
        placeOf(move.storage),
        this.#vault.seal(JSON.stringify(move.storage)),
        Math.round(move.sinceMs),
        Math.round(move.keepUntilMs),
      ],
    );
  }

  /** Whether the recording has ended for its own server too: until then only that server may tell events of it. */
  async isEnded(sid: string): Promise<boolean> {
    return (
      (await this.#database.query('select 1 from tasks where sid = $1 and ended_ms is not null', [sid])).length > 0
    );
  }

  /** Whether files of a recording are being deleted because its time is over. */
  async isBeingDeleted(sid: string, nowMs: number): Promise<boolean> {
    const rows = await this.#database.query(
      `select 1 from retentions r where r.sid = $1 and r.deleted_ms is null and r.held_ms is null and r.due_ms <= $2
         and exists (select 1 from objects o where o.sid = r.sid and o.deleting_ms is not null)`,
      [sid, Math.round(nowMs)],
    );
    return rows.length > 0;
  }

  /** This server's moves, oldest first. One whose key is lost is told of, and waits until its keys are renewed. */
  async moves(): Promise<Move[]> {
    const rows = await this.#database.query(`${OWN_MOVES} order by m.since_ms`, [this.#folder]);
    return rows.flatMap((row) => {
      if (this.#vault.openIfKnown(String(row['storage'])) !== undefined) return [this.#toMove(row)];
      const words = 'the key that its credentials were sealed with is missing: its files stay in the backup store';
      this.#log.error({ sid: row['sid'] }, words);
      return [];
    });
  }

  /** Seals the credentials of this server's moves with the present key, so that older keys can be removed. */
  async resealMoves(): Promise<void> {
    for (const row of await this.#database.query(OWN_MOVES, [this.#folder])) {
      const sealed = String(row['storage']);
      const again = this.#vault.resealed(sealed);
      if (again === undefined) continue;
      // Credentials that were renewed meanwhile are sealed with the present key already.
      await this.#database.query('update moves set storage = $3 where sid = $1 and storage = $2', [
        row['sid'],
        sealed,
        again,
      ]);
    }
  }

  /** Bytes in this server's backup store by App ID. */
  async backupBytes(): Promise<Map<string, number>> {
    const rows = await this.#database.query(
      `select t.appid, sum(o.bytes) as bytes from objects o join tasks t using (sid)
       where o.state = 'backup' and o.deleted_ms is null and (t.folder = $1 or t.folder is null) group by t.appid`,
      [this.#folder],
    );
    return new Map(rows.map((row) => [String(row['appid']), Number(row['bytes'])]));
  }

  async findMove(sid: string): Promise<Move | undefined> {
    const [row] = await this.#database.query('select * from moves where sid = $1', [sid]);
    return row && this.#toMove(row);
  }

  async moveFailed(sid: string, lastError: string, nextTryMs: number): Promise<void> {
    await this.#database.query(
      'update moves set attempts = attempts + 1, last_error = $2, next_try_ms = $3 where sid = $1',
      [sid, lastError, Math.round(nextTryMs)],
    );
  }

  /** Forgets a move and its credentials. */
  async endMove(sid: string): Promise<void> {
    await this.#database.query('delete from moves where sid = $1', [sid]);
  }

  /**
   * Makes this server's moves of an app to the same bucket use these credentials. Resolves to the recordings concerned.
   */
  async renewCredentials(appid: string, storage: StorageConfig): Promise<string[]> {
    const moves = await this.#database.query(`${OWN_MOVES} and m.appid = $2 and m.place = $3`, [
      this.#folder,
      appid,
      placeOf(storage),
    ]);
    for (const row of moves) {
      const opened = this.#vault.openIfKnown(String(row['storage']));
      const old = opened === undefined ? storage : storageConfigSchema.parse(JSON.parse(opened));
      const { accessKey, secretKey, stsToken, stsExpiration } = storage;
      const renewed = { ...old, accessKey, secretKey, stsToken, stsExpiration };
      await this.#database.query('update moves set storage = $2 where sid = $1', [
        row['sid'],
        this.#vault.seal(JSON.stringify(renewed)),
      ]);
    }
    return moves.map((row) => String(row['sid']));
  }

  /** What waits, oldest first. */
  async backlog(): Promise<Backlog[]> {
    const rows = await this.#database.query(
      `select w.sid, w.appid, w.state, count(*) as files, sum(w.bytes) as bytes, min(w.since_ms) as since_ms,
         max(case when w.state = 'backup' then coalesce(m.attempts, 0) else w.attempts end) as attempts,
         max(coalesce(m.last_error, w.last_error)) as last_error,
         min(coalesce(m.next_try_ms, w.next_try_ms)) as next_try_ms, w.folder,
         (select k.name from owners k where k.folder = w.folder order by k.lease_until desc limit 1) as name
       from (
         select o.*, t.appid, ${WAITS_FOR} as folder from objects o join tasks t using (sid)
         where o.state in ('waiting', 'backup') and o.deleted_ms is null
       ) w left join moves m using (sid)
       group by w.sid, w.appid, w.state, w.folder order by min(w.since_ms)`,
    );
    return rows.map((row) => {
      const [name, folder] = [row['name'], row['folder']];
      return {
        sid: String(row['sid']),
        appid: String(row['appid']),
        where: row['state'] === 'backup' ? 'backup' : 'spool',
        files: Number(row['files']),
        bytes: Number(row['bytes']),
        sinceMs: Number(row['since_ms']),
        attempts: Number(row['attempts']),
        lastError: row['last_error'] === null ? undefined : String(row['last_error']),
        // Nobody tries before it is back.
        nextTryMs: row['next_try_ms'] === null || folder !== null ? undefined : Number(row['next_try_ms']),
        waitsFor: folder === null ? undefined : String(name ?? folder),
      };
    });
  }

  /**
   * What of this server's recordings waits altogether; `sinceMs` is when the oldest began to, undefined where none
   * does. What counts as lost with the disk of a node that is gone waits no more.
   */
  async backlogTotals(): Promise<BacklogTotal[]> {
    const rows = await this.#database.query(
      `select case when o.state = 'backup' then 'backup' when ${STRAYED} then 'away' else 'spool' end as place,
         count(*) as files, sum(o.bytes) as bytes, min(o.since_ms) as since_ms
       from objects o join tasks t using (sid)
       where o.state in ('waiting', 'backup') and o.deleted_ms is null and (t.folder = $1 or t.folder is null)
         and not ${LOST_WITH_DISK}
       group by 1`,
      [this.#folder],
    );
    return (['spool', 'backup', 'away'] as const).map((place) => {
      const row = rows.find((each) => each['place'] === place);
      return {
        place,
        files: Number(row?.['files'] ?? 0),
        bytes: Number(row?.['bytes'] ?? 0),
        sinceMs: row && Number(row['since_ms']),
      };
    });
  }

  #toMove(row: Row): Move {
    return {
      sid: String(row['sid']),
      appid: String(row['appid']),
      storage: storageConfigSchema.parse(JSON.parse(this.#vault.open(String(row['storage'])))),
      sinceMs: Number(row['since_ms']),
      keepUntilMs: Number(row['keep_until_ms']),
      attempts: Number(row['attempts']),
      nextTryMs: row['next_try_ms'] === null ? undefined : Number(row['next_try_ms']),
      lastError: row['last_error'] === null ? undefined : String(row['last_error']),
    };
  }
}

/** Identifies the bucket, whatever the keys. */
function placeOf({ vendor, region, bucket, extensionParams }: StorageConfig): string {
  return JSON.stringify([vendor, region, bucket, extensionParams?.endpoint ?? '']);
}

const UPSERT = `insert into objects
    (sid, name, kind, generation, key, bytes, state, evidence, etag, md5, sha256, attempts, last_error, next_try_ms, parts,
     file, since_ms, updated_ms)
  select $1, r.name, r.kind, r.generation, r.key, r.bytes, r.state, r.evidence, r.etag, r.md5, r.sha256, r.attempts, r.last_error,
    r.next_try_ms, r.parts, r.file, $3, $3
  from jsonb_to_recordset($2::jsonb) as r(name text, kind text, generation integer, key text, bytes bigint, state text, evidence text,
    etag text, md5 text, sha256 text, attempts integer, last_error text, next_try_ms bigint, parts jsonb, file jsonb)
  on conflict (sid, name) do update set generation = excluded.generation, key = excluded.key, bytes = excluded.bytes, state = excluded.state,
    evidence = excluded.evidence, etag = excluded.etag, md5 = excluded.md5, sha256 = excluded.sha256,
    attempts = excluded.attempts, last_error = excluded.last_error, next_try_ms = excluded.next_try_ms,
    parts = excluded.parts, file = excluded.file, updated_ms = excluded.updated_ms`;

function toRow({ lastError, nextTryMs, ...record }: ObjectRecord): Row {
  return { ...record, last_error: lastError, next_try_ms: nextTryMs && Math.round(nextTryMs) };
}

/** A row of objects. */
export function toRecord(row: Row): ObjectRecord {
  const text = (value: unknown) => (value === null ? undefined : String(value));
  const parts = partsSchema.safeParse(row['parts']);
  const file = spooledFileSchema.safeParse(row['file']);
  return {
    name: String(row['name']),
    kind: z.enum(['playlist', 'slice', 'mp4', 'snapshot', 'document', 'speakers']).parse(row['kind']),
    generation: row['generation'] === null ? undefined : Number(row['generation']),
    key: String(row['key']),
    bytes: Number(row['bytes']),
    state: row['deleted_ms'] ? 'deleted' : z.enum(OBJECT_STATES).parse(row['state']),
    evidence: z.enum(EVIDENCE).safeParse(row['evidence']).data,
    etag: text(row['etag']),
    md5: text(row['md5']),
    sha256: text(row['sha256']),
    attempts: Number(row['attempts']),
    lastError: text(row['last_error']),
    nextTryMs: row['next_try_ms'] === null ? undefined : Number(row['next_try_ms']),
    parts: parts.data,
    file: file.data,
  };
}
