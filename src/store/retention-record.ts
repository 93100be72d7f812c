/** What is told of the retention of a recording: how long its files are kept, and what was done. */
import { z } from 'zod';
import {
  RETENTION_RULES,
  type RetentionAct,
  type RetentionReply,
  type RetentionRule,
} from '../contract/rest/retention.ts';
import type { Queryable, Row } from './database.ts';
import { LOST_AT, livesOn } from './whose-files.ts';

const MOST_ACTS = 200;

/** Files o of recording t with retention r that no other server is sure to reach. */
const OUT_OF_REACH = `o.deleted_ms is null and o.state <> 'lost' and case when r.left_ms is null
  then t.place->>'vendor' = '1000' or o.state in ('backup', 'gaveUp') else o.left_ms is not null end`;
/** The server of a recording t that is gone while its files are due, and what it is waited for. */
const AWAY = `select coalesce(k.name, t.folder) as away, k.seen_ms, case when r.left_ms is null then k.lost_ms end as lost_ms,
    n.files as away_files, n.bytes as away_bytes
  from (select count(*) as files, coalesce(sum(bytes), 0) as bytes from objects o where o.sid = t.sid and ${OUT_OF_REACH}) n
  left join lateral (
    select w.name, extract(epoch from w.renewed_at) * 1000 as seen_ms, extract(epoch from ${LOST_AT}) * 1000 as lost_ms
    from owners w where w.folder = t.folder order by w.lease_until desc limit 1
  ) k on true
  where $4::boolean and t.folder <> $3 and r.deleted_ms is null and r.due_ms <= extract(epoch from now()) * 1000
    and (n.files > 0 or r.left_ms is not null or exists (select 1 from moves m where m.sid = t.sid))
    and not ${livesOn('t.folder')}`;

/**
 * Everything that is told of an app's recording; undefined when there is none.
 * @param asks the server that asks
 */
export async function retentionOf(
  database: Queryable,
  appid: string,
  sid: string,
  asks: { folder: string; inFleet: boolean },
): Promise<RetentionReply | undefined> {
  const [row] = await database.query(
    `select r.*, d.files, d.bytes, d.begun, a.* from tasks t left join retentions r using (sid) left join lateral (
       select count(*) filter (where deleted_ms is not null) as files,
         coalesce(sum(bytes) filter (where deleted_ms is not null), 0) as bytes, count(*) as begun
       from objects o where o.sid = t.sid and o.deleting_ms is not null and not exists (
         select 1 from removed_files f where f.sid = o.sid and f.name = o.name
           and f.outcome is distinct from 'rewritten')
     ) d on true left join lateral (${AWAY}) a on true where t.appid = $1 and t.sid = $2`,
    [appid, sid, asks.folder, asks.inFleet],
  );
  if (!row) return undefined;
  const acts = await database.query(
    'select * from (select * from acts where sid = $1 order by position desc limit $2) a order by position',
    [sid, MOST_ACTS],
  );
  return toReply(row, acts);
}

const nullableNumber = (value: unknown) => (value === null || value === undefined ? null : Number(value));
const rounded = (value: unknown) => (value === null || value === undefined ? null : Math.round(Number(value)));
const nullableText = (value: unknown) => (value === null || value === undefined ? null : String(value));

function toReply(row: Row, acts: readonly Row[]): RetentionReply {
  const deletedMs = nullableNumber(row['deleted_ms']);
  const sinceMs = nullableNumber(row['held_ms']);
  const state =
    deletedMs !== null
      ? 'deleted'
      : nullableNumber(row['left_ms']) !== null
        ? 'left'
        : nullableNumber(row['gave_up_ms']) !== null
          ? 'refused'
          : Number(row['begun']) > 0
            ? 'deleting'
            : 'kept';
  return {
    days: nullableNumber(row['days']),
    rule: z.enum(RETENTION_RULES).nullable().catch(null).parse(row['rule']) satisfies RetentionRule | null,
    dueMs: nullableNumber(row['due_ms']),
    legalHold:
      sinceMs === null
        ? null
        : {
            sinceMs,
            by: String(row['held_by']),
            byOperator: row['held_by_operator'] === true,
            reason: nullableText(row['held_reason']),
          },
    state,
    deletedMs,
    files: Number(row['files']),
    bytes: Number(row['bytes']),
    error: nullableText(row['last_error']),
    nextTryMs: nullableNumber(row['next_try_ms']),
    away:
      nullableText(row['away']) === null
        ? null
        : {
            server: String(row['away']),
            seenMs: rounded(row['seen_ms']),
            untilMs: rounded(row['lost_ms']),
            files: Number(row['away_files']),
            bytes: Number(row['away_bytes']),
          },
    history: acts.map((act) => ({
      atMs: Number(act['at_ms']),
      act: act['act'] as RetentionAct,
      by: nullableText(act['by_whom']),
      details: nullableText(act['details']),
    })),
  };
}
