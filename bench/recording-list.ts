/**
 * How soon a list of recordings is answered where an app has 10,000 of them, over the database that a server has by
 * default: from the request to the whole answer, in the process of the server.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { RecordingApi } from '../src/http/api.ts';
import { recordingApi } from '../src/http/recording-api.ts';
import { buildHttp } from '../src/http/server.ts';
import type { Database } from '../src/store/database.ts';
import { openDatabase } from '../src/store/open-database.ts';
import { RecordingList } from '../src/store/recording-list.ts';
import { median } from '../test/support/judge/offsets.ts';
import { atMost, type Figure } from './measure.ts';

const RECORDINGS = 10_000;
/** As of a quarter of an hour in slices of 15 s. */
const FILES = 60;
const TAKES = 15;
const GOAL_MS = 100;
const APP = 'a'.repeat(32);

export async function measureRecordingList(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  const database = await openDatabase({ url: '', pgliteDir: join(dir, 'db') });
  const http = buildHttp({ log: pino({ level: 'silent' }) });
  try {
    await fill(database);
    const api: Partial<RecordingApi> = {
      customers: [{ id: 'id', secret: 'secret', apps: undefined }],
      isApp: (appid) => appid === APP,
      list: new RecordingList(database),
    };
    recordingApi(http, api as RecordingApi);
    const authorization = `Basic ${Buffer.from('id:secret').toString('base64')}`;
    const ask = async (query: string): Promise<{ ms: number; found: number; next: string | null }> => {
      const from = performance.now();
      const { statusCode, body } = await http.inject({
        url: `/v1/apps/${APP}/aircheck/recordings${query}`,
        headers: { authorization },
      });
      const ms = performance.now() - from;
      if (statusCode !== 200) throw new Error(`${query} was answered ${statusCode}: ${body}`);
      const { recordings, next } = JSON.parse(body) as { recordings: unknown[]; next: string | null };
      return { ms, found: recordings.length, next };
    };
    let deep = (await ask('?limit=200')).next;
    for (let page = 1; page < 45; page++) deep = (await ask(`?limit=200&before=${deep}`)).next;
    const queries: [string, string, number][] = [
      ['the first page', '', 50],
      ['a page of 200', '?limit=200', 200],
      ['the 181st page', `?before=${deep}`, 50],
      ['those of one channel', '?cname=room-17', 50],
      ['those that failed', '?state=failed', 50],
      ['a search that finds one', '?search=only-one', 1],
      ['a search that finds none', '?search=nowhere&mode=web', 0],
      ['those of one day', '?from=1790000000000&until=1790086400000', 50],
    ];
    const figures: { what: string; medianMs: number; worstMs: number }[] = [];
    for (const [what, query, wanted] of queries) {
      const times: number[] = [];
      for (let take = 0; take < TAKES; take++) {
        const { ms, found } = await ask(query);
        if (found !== wanted) throw new Error(`${what}: ${found} recordings instead of ${wanted}`);
        times.push(ms);
      }
      figures.push({ what, medianMs: median(times), worstMs: Math.max(...times) });
    }
    const slowest = figures.toSorted((a, b) => b.medianMs - a.medianMs)[0]!;
    const detail = figures
      .map(({ what, medianMs, worstMs }) => `${what} ${medianMs.toFixed(0)} (worst ${worstMs.toFixed(0)})`)
      .join(', ');
    return [atMost(`list of ${RECORDINGS} recordings, slowest median`, slowest.medianMs, GOAL_MS, 'ms', detail)];
  } finally {
    await http.close();
    await database.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Recordings of 40 channels, four minutes apart, each with its files and its report. */
async function fill(database: Database): Promise<void> {
  const state = {
    ...{ phase: 'ended', status: 8, healthy: true, generation: 1, ending: 'stopped', sequence: 12, revision: 30 },
    playlists: [{ key: `recordings/${'x'.repeat(40)}.m3u8`, startUtcMs: 1 }],
    mp4s: Array.from({ length: 2 }, (_, n) => ({ key: `recordings/${'x'.repeat(40)}_${n}.mp4`, startUtcMs: 1 })),
  };
  const document = { plan: { mode: 'mix', baseName: 'x'.repeat(60), regions: 'y'.repeat(1500) }, warnings: [{}] };
  const of = (prefix: string) => `'${prefix}' || lpad(to_hex(n), ${32 - prefix.length}, '0')`;
  await database.script(`
    insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, sid)
      select ${of('')}, '${APP}', 'room-' || n % 40, '1', 0, 1, 72, ${of('')} from generate_series(1, ${RECORDINGS}) n;
    insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, ended_ms, running, status, state, document)
      select ${of('')}, ${of('')}, '${APP}', case when n = 4711 then 'the only-one' else 'room-' || n % 40 end, n::text,
        case when n % 3 = 0 then 'individual' else 'mix' end, 1790000000000 + n * 240000::bigint, 1, 2, false, 8,
        case when n % 100 = 0 then '${JSON.stringify({ ...state, healthy: false })}'::jsonb
          else '${JSON.stringify(state)}'::jsonb end, '${JSON.stringify(document)}'::jsonb
      from generate_series(1, ${RECORDINGS}) n;
    insert into objects (sid, name, kind, key, bytes, state, evidence, sha256, since_ms, updated_ms)
      select ${of('')}, 'file-' || f || '.ts', 'slice', 'recordings/file-' || f || '.ts', 1000000 + f, 'stored', 'size',
        repeat('a', 64), 1, 1 from generate_series(1, ${RECORDINGS}) n, generate_series(1, ${FILES}) f;
    insert into quality_reports (sid, report, mark, length_ms)
      select ${of('')}, ('{"version":1,"filler":"' || repeat(md5(n::text), 60) || '"}')::json, 'good', 900000
      from generate_series(1, ${RECORDINGS}) n;
    analyze;`);
}
