/** StoredFiles: the files of recordings as an app's customer sees them, and the calls that made the recordings. */
import { z } from 'zod';
import type { RecordingCallsReply } from '../contract/rest/recording-calls.ts';
import type { RecordingFilesReply } from '../contract/rest/recording-files.ts';
import type { Database, Row } from './database.ts';

const MOST_FILES = 5_000;
const MOST_CALLS = 100;
const placeSchema = z.object({ vendor: z.int(), region: z.int(), bucket: z.string() }).nullable().catch(null);
/** Where a file lies; `place` is null in rows of versions that did not keep it. */
export type StoredFile = { key: string; place: RecordingFilesReply['place'] };
type KeptCall = RecordingCallsReply['calls'][number];

export class StoredFiles {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Slices last, because there are many. Undefined when the app has no such recording. */
  async of(appid: string, sid: string): Promise<Omit<RecordingFilesReply, 'served'> | undefined> {
    const [task] = await this.#database.query('select place from tasks where appid = $1 and sid = $2', [appid, sid]);
    if (!task) return undefined;
    const rows = await this.#database.query(
      `select name, kind, key, bytes, sha256, deleted_ms,
         case when deleted_ms is null then state else 'deleted' end as state, (file->>'startUtcMs')::float8 as start_ms,
         (file->>'durationUs')::float8 / 1000 as duration_ms, count(*) over () as total
       from objects where sid = $1 order by (kind = 'slice'), kind = 'document', name limit $2`,
      [sid, MOST_FILES],
    );
    const total = Number(rows[0]?.['total'] ?? 0);
    return { place: placeSchema.parse(task['place']), files: rows.map(toFile), more: total - rows.length };
  }

  /** A file that its store has; undefined when the app has no such recording, or the recording no such file. */
  async find(appid: string, sid: string, name: string): Promise<StoredFile | undefined> {
    const [row] = await this.#database.query(
      `select o.key, t.place from tasks t join objects o using (sid)
       where t.appid = $1 and t.sid = $2 and o.name = $3 and o.state in ('stored', 'accepted')
         and o.deleting_ms is null`,
      [appid, sid, name],
    );
    return row && { key: String(row['key']), place: placeSchema.parse(row['place']) };
  }

  /** Keeps a call as it came, without its secrets; of very many only the first. */
  async keepCall(sid: string, { atMs, call, body }: KeptCall): Promise<void> {
    await this.#database.query(
      `insert into calls (sid, at_ms, call, body) select $1, $2, $3, $4::json
       where (select count(*) from calls where sid = $1) < $5`,
      [sid, Math.round(atMs), call, JSON.stringify(body ?? null), MOST_CALLS],
    );
  }

  /** The calls of a recording in their order; undefined when the app has no such recording. */
  async calls(appid: string, sid: string): Promise<KeptCall[] | undefined> {
    const found = await this.#database.query('select 1 from tasks where appid = $1 and sid = $2', [appid, sid]);
    if (found.length === 0) return undefined;
    const rows = await this.#database.query('select at_ms, call, body from calls where sid = $1 order by position', [
      sid,
    ]);
    return rows.map((row) => ({
      atMs: Number(row['at_ms']),
      call: row['call'] as KeptCall['call'],
      body: row['body'],
    }));
  }
}

function toFile(row: Row): RecordingFilesReply['files'][number] {
  const number = (value: unknown) => (value === null ? null : Number(value));
  return {
    name: String(row['name']),
    kind: row['kind'] as RecordingFilesReply['files'][number]['kind'],
    key: String(row['key']),
    bytes: Number(row['bytes']),
    state: row['state'] as RecordingFilesReply['files'][number]['state'],
    sha256: row['sha256'] === null ? null : String(row['sha256']),
    startMs: number(row['start_ms']),
    durationMs: number(row['duration_ms']),
    deletedMs: number(row['deleted_ms']),
  };
}
