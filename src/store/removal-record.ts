/** removalsOf: what is known of the removals of persons from a recording, as their records tell it. */
import { z } from 'zod';
import { storagePlaceSchema } from '../contract/line/storage.ts';
import { KEPT_RECORDS, OUTCOMES, type RemovalFile, type RemovalReply } from '../contract/rest/removal.ts';
import type { Queryable, Row } from './database.ts';

/** The oldest first; undefined when the app has no such recording. */
export async function removalsOf(database: Queryable, appid: string, sid: string): Promise<RemovalReply[] | undefined> {
  const [task] = await database.query(
    'select t.place, r.held_ms from tasks t left join retentions r using (sid) where t.appid = $1 and t.sid = $2',
    [appid, sid],
  );
  if (!task) return undefined;
  const removals = await database.query('select * from removals where sid = $1 order by asked_ms, uid', [sid]);
  if (removals.length === 0) return [];
  const files = await database.query(
    `select * from removed_files where sid = $1 order by (act = 'rewrite'), (kind = 'slice'), name`,
    [sid],
  );
  const folders = await database.query(
    'select * from removal_folders where sid = $1 and files > 0 order by cleared_ms',
    [sid],
  );
  const place = storagePlaceSchema.safeParse(task['place']).data;
  return removals.map((row): RemovalReply => {
    const isOwn = (each: Row) => each['uid'] === row['uid'];
    return {
      uid: String(row['uid']),
      state: stateOf(row, task['held_ms'] !== null),
      askedMs: Number(row['asked_ms']),
      askedBy: String(row['asked_by']),
      doneMs: numberOrNull(row['done_ms']),
      place: place ? { vendor: place.vendor, region: place.region, bucket: place.bucket } : null,
      files: files.filter(isOwn).map((each) => ({
        ...toRemovalFile(each),
        outcome: z.enum(OUTCOMES).nullable().parse(each['outcome']),
        atMs: numberOrNull(each['done_ms']),
        versions: numberOrNull(each['versions']),
        newBytes: numberOrNull(each['new_bytes']),
        details: textOrNull(each['details']),
      })),
      servers: folders.filter(isOwn).map((each) => ({
        folder: String(each['folder']),
        atMs: Number(each['cleared_ms']),
        files: Number(each['files']),
      })),
      error: textOrNull(row['last_error']),
      nextTryMs: numberOrNull(row['next_try_ms']),
      kept: [...KEPT_RECORDS],
    };
  });
}

/** A row of removed_files. */
export function toRemovalFile(row: Row): RemovalFile {
  return {
    name: String(row['name']),
    kind: row['kind'] as RemovalFile['kind'],
    key: String(row['key']),
    where: row['place'] === 'backup' ? 'backup' : 'store',
    bytes: Number(row['bytes']),
    act: row['act'] === 'rewrite' ? 'rewrite' : 'delete',
  };
}

function stateOf(row: Row, isHeld: boolean): RemovalReply['state'] {
  if (row['done_ms'] !== null) return 'removed';
  if (isHeld) return 'held';
  return row['gave_up_ms'] === null ? 'removing' : 'refused';
}

const numberOrNull = (value: unknown) => (value === null || value === undefined ? null : Number(value));
const textOrNull = (value: unknown) => (value === null || value === undefined ? null : String(value));
