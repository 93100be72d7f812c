/** forgetPerson: takes one person out of what the database knows of a recording. */
import { filesWithout, noticeWithout, reportWithout } from '../contract/line/person.ts';
import { lengthMs, qualityMark } from '../contract/line/quality-mark.ts';
import { type QualityReport, qualityReportSchema } from '../contract/line/quality-report.ts';
import type { ListedFile } from '../contract/rest/file-list.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import type { Queryable } from './database.ts';

/**
 * Afterwards its lists of files, its quality report, those of other nodes and its events do not name the user, and no
 * mix has the user in it. What was
 * done already is done once more without harm.
 */
export async function forgetPerson(inside: Queryable, sid: string, uid: string): Promise<void> {
  await forgetFiles(inside, sid, uid);
  await forgetInReports(inside, sid, uid);
  await forgetEvents(inside, sid, uid);
  await forgetMixes(inside, sid, uid);
}

/** Forgets mixes that the user is in. */
export async function forgetMixes(inside: Queryable, sid: string, uid: string): Promise<void> {
  await inside.query('delete from mixes where sid = $1 and users::jsonb @> to_jsonb($2::text)', [sid, uid]);
}

async function forgetFiles(inside: Queryable, sid: string, uid: string): Promise<void> {
  const [row] = await inside.query('select state from tasks where sid = $1 for update', [sid]);
  if (!row) return;
  const state = { ...(row['state'] as Record<string, unknown>) };
  const lost = await inside.query('select name from objects where sid = $1 and deleted_ms is not null', [sid]);
  const gone = new Set(lost.map((each) => String(each['name'])));
  for (const list of ['playlists', 'mp4s'])
    if (Array.isArray(state[list])) state[list] = filesWithout(uid, state[list] as ListedFile[], gone);
  await inside.query('update tasks set state = $2::jsonb where sid = $1', [sid, JSON.stringify(state)]);
}

async function forgetInReports(inside: Queryable, sid: string, uid: string): Promise<void> {
  const without = (report: unknown) => (report === null ? null : JSON.stringify(reportLess(uid, report)));
  const [row] = await inside.query('select report from quality_reports where sid = $1 for update', [sid]);
  if (row) {
    const left = reportLess(uid, row['report']);
    const read = qualityReportSchema.safeParse(left).data;
    // The mark is that of who is left.
    await inside.query(
      `update quality_reports set report = $2::json, mark = coalesce($3, mark), length_ms = coalesce($4, length_ms)
       where sid = $1`,
      [sid, JSON.stringify(left), read ? qualityMark(read) : null, read ? (lengthMs(read) ?? null) : null],
    );
  }
  for (const each of await inside.query('select * from brought_reports where sid = $1', [sid]))
    await inside.query(
      'update brought_reports set report = $4::json, left_report = $5::json where sid = $1 and folder = $2 and since_ms = $3',
      [sid, each['folder'], each['since_ms'], without(each['report']), without(each['left_report'])],
    );
  for (const each of await inside.query('select * from strays where sid = $1 and left_report is not null', [sid]))
    await inside.query('update strays set left_report = $3::json where sid = $1 and folder = $2', [
      ...[sid, each['folder'], without(each['left_report'])],
    ]);
}

/** Reports of versions with other members too. */
function reportLess(uid: string, report: unknown): unknown {
  const { participants = [], degraded = [] } = report as Partial<QualityReport>;
  const left = reportWithout(uid, { participants, degraded } as unknown as QualityReport);
  return { ...(report as object), ...left };
}

/** Events that tell of nobody else go; the others keep their numbers. */
async function forgetEvents(inside: Queryable, sid: string, uid: string): Promise<void> {
  const gone: string[] = [];
  for (const row of await inside.query('select notice_id, notice from events where sid = $1', [sid])) {
    const notice = row['notice'] as Notice;
    const left = noticeWithout(uid, notice);
    if (left === undefined) gone.push(String(row['notice_id']));
    else if (left !== notice)
      await inside.query('update events set notice = $2::json where notice_id = $1', [
        ...[row['notice_id'], JSON.stringify(left)],
      ]);
  }
  await inside.query('delete from events where notice_id = any($1)', [gone]);
}
