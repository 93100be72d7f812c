/**
 * RecordingList: recordings of an app as a list shows them, the newest first. It reads only what a list needs, and of a
 * page only as many rows as the page has (keyset, not offset).
 */
import { z } from 'zod';
import type { ListedRecordingReply, RecordingListQuery, RecordingListReply } from '../contract/rest/recording-list.ts';
import { listedRecordingSchema } from '../contract/rest/recording-list.ts';
import type { Database, Row } from './database.ts';

/** What stands in a row of tasks under these names, of a page that `page` selects. */
const SELECT = `
  select page.*, coalesce(of_files.files, 0) as files, coalesce(of_files.bytes, 0) as bytes,
    coalesce(of_files.waiting, 0) as waiting, q.mark, q.length_ms, n.name as standby,
    extract(epoch from s.stands_at) * 1000 as stands_ms, extract(epoch from s.protected_at) * 1000 as protected_ms
  from page
  left join lateral (
    select count(*) as files, sum(o.bytes) as bytes, count(*) filter (where o.state in ('waiting', 'backup')) as waiting
    from objects o where o.sid = page.sid and o.deleted_ms is null
  ) of_files on true
  left join quality_reports q on q.sid = page.sid and page.phase in ('uploading', 'ended')
  left join standbys s on s.sid = page.sid and page.ended_ms is null
  left join owners n on n.owner = s.owner and n.lease_until > now()
  order by page.created_ms desc, page.sid desc`;
const COLUMNS = `sid, resource_id, cname, uid, mode, status, created_ms, ended_ms, running, state,
  state->>'phase' as phase, coalesce((document->'plan'->>'onhold')::boolean, false) as onhold,
  case when jsonb_typeof(document->'warnings') = 'array' then jsonb_array_length(document->'warnings') else 0 end
    as warnings`;

const STATES: Record<NonNullable<RecordingListQuery['state']>, string> = {
  running: 'ended_ms is null and running',
  uploading: 'ended_ms is null and not running',
  ended: 'ended_ms is not null',
  failed: `state->>'healthy' = 'false'`,
};

/** Of a recording that goes on, how often its state has changed. */
export type Revision = { sid: string; revision: number };

export class RecordingList {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async page(appid: string, query: RecordingListQuery): Promise<RecordingListReply> {
    const { limit, before, search } = query;
    const params: unknown[] = [appid];
    const bind = (value: unknown): string => `$${params.push(value)}`;
    const conditions = ['appid = $1'];
    if (query.mode) conditions.push(`mode = ${bind(query.mode)}`);
    if (query.state) conditions.push(STATES[query.state]);
    if (query.cname !== undefined) conditions.push(`cname = ${bind(query.cname)}`);
    if (query.from !== undefined) conditions.push(`created_ms >= ${bind(query.from)}`);
    if (query.until !== undefined) conditions.push(`created_ms < ${bind(query.until)}`);
    if (search !== undefined) conditions.push(searchOf(search, bind));
    if (before !== undefined) {
      const [createdMs, sid] = before.split('.');
      conditions.push(`(created_ms, sid) < (${bind(Number(createdMs))}::bigint, ${bind(sid)}::text)`);
    }
    const rows = await this.#database.query(
      // One more than the page has says whether there is another page.
      `with page as (
         select ${COLUMNS} from tasks where ${conditions.join(' and ')}
         order by created_ms desc, sid desc limit ${bind(limit + 1)}
       ) ${SELECT}`,
      params,
    );
    const recordings = rows.slice(0, limit).map(toListed);
    const last = recordings.at(-1);
    return { recordings, next: rows.length > limit && last ? `${last.startedMs}.${last.sid}` : null };
  }

  /** Those of an app that have not ended. */
  async unfinished(appid: string): Promise<Revision[]> {
    const rows = await this.#database.query(
      `select sid, coalesce((state->>'revision')::integer, 0) as revision from tasks
       where ended_ms is null and appid = $1`,
      [appid],
    );
    return rows.map((row) => ({ sid: String(row['sid']), revision: Number(row['revision']) }));
  }

  /** These recordings of an app, the newest first. */
  async of(appid: string, sids: readonly string[]): Promise<ListedRecordingReply[]> {
    if (sids.length === 0) return [];
    const rows = await this.#database.query(
      `with page as (select ${COLUMNS} from tasks where appid = $1 and sid = any($2)) ${SELECT}`,
      [appid, [...sids]],
    );
    return rows.map(toListed);
  }
}

/** Part of the channel's name or of the uid, in whatever case, or the beginning of a sid. */
function searchOf(search: string, bind: (value: unknown) => string): string {
  const literal = search.replaceAll(/[\\%_]/g, '\\$&');
  const part = bind(`%${literal}%`);
  return `(cname ilike ${part} or uid like ${part} or sid like ${bind(`${literal.toLowerCase()}%`)})`;
}

const stateSchema = z.looseObject({
  healthy: z.boolean().catch(true),
  ending: z.string().nullish().catch(null),
  uploadedTo: listedRecordingSchema.shape.uploadedTo.optional().catch(null),
  sequence: z.int().catch(0),
});

function toListed(row: Row): ListedRecordingReply {
  const number = (name: string) => (row[name] === null || row[name] === undefined ? null : Number(row[name]));
  const wholeMs = (name: string) => {
    const ms = number(name);
    return ms === null ? null : Math.round(ms);
  };
  const state = stateSchema.parse(row['state'] ?? {});
  return {
    sid: String(row['sid']),
    resourceId: String(row['resource_id']),
    cname: String(row['cname']),
    uid: String(row['uid']),
    mode: row['mode'] as ListedRecordingReply['mode'],
    status: Number(row['status']) as ListedRecordingReply['status'],
    phase: row['phase'] === null ? (row['ended_ms'] === null ? 'recording' : 'ended') : String(row['phase']),
    healthy: state.healthy,
    onhold: row['onhold'] === true && row['ended_ms'] === null,
    standby:
      row['standby'] === null || row['standby'] === undefined
        ? null
        : { node: String(row['standby']), sinceMs: wholeMs('stands_ms'), protectedMs: wholeMs('protected_ms') },
    ending: state.ending ?? null,
    startedMs: Number(row['created_ms']),
    endedMs: number('ended_ms'),
    lengthMs: number('length_ms'),
    files: Number(row['files']),
    bytes: Number(row['bytes']),
    waiting: Number(row['waiting']),
    uploadedTo: state.uploadedTo ?? null,
    mark: listedRecordingSchema.shape.mark.catch(null).parse(row['mark']),
    warnings: Number(row['warnings']),
    events: state.sequence,
  };
}
