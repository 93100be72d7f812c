import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { recordingListQuerySchema } from '../contract/rest/recording-list.ts';
import { newHexId, newSid } from '../kernel/ids.ts';
import type { Database } from './database.ts';
import { RecordingList } from './recording-list.ts';

// One suite over both databases; Postgres when there is one to test with.
const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);

type Given = {
  appid?: string;
  cname?: string;
  uid?: string;
  mode?: string;
  createdMs?: number;
  endedMs?: number | null;
  running?: boolean;
  state?: object;
  document?: object;
};

describe.each(targets)('%s', (_name, url) => {
  let database: Database;
  let list: RecordingList;
  let app: string;
  beforeAll(async () => {
    database = await openTestDatabase(url);
    list = new RecordingList(database);
  }, 60_000);
  afterAll(() => database?.close());
  beforeEach(() => {
    app = newHexId();
  });

  async function add(given: Given = {}): Promise<string> {
    const { appid = app, cname = 'ch', uid = '1', mode = 'mix', createdMs = 1000, endedMs = 2000 } = given;
    const { running = false, state = { phase: 'ended', healthy: true }, document = {} } = given;
    const sid = newSid();
    await database.query(
      `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, sid)
       values ($1, $2, $3, $4, 0, 1, 72, $1)`,
      [sid, appid, cname, uid],
    );
    await database.query(
      `insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, ended_ms, running, status,
         state, document)
       values ($1, $1, $2, $3, $4, $5, $6, $6, $7, $8, 8, $9::jsonb, $10::jsonb)`,
      [sid, appid, cname, uid, mode, createdMs, endedMs, running, JSON.stringify(state), JSON.stringify(document)],
    );
    return sid;
  }
  const page = (query: Record<string, string> = {}) => list.page(app, recordingListQuerySchema.parse(query));
  const sidsOf = async (query: Record<string, string>) => (await page(query)).recordings.map(({ sid }) => sid);

  test('has what is known of a recording', async () => {
    const state = { phase: 'ended', healthy: false, ending: 'no room', uploadedTo: 'backuped', sequence: 7 };
    const sid = await add({ state, document: { warnings: [{}, {}], plan: { onhold: true } } });
    for (const [name, bytes, where] of [
      ['a.ts', 10, 'stored'],
      ['b.ts', 20, 'backup'],
    ] as const)
      await database.query(
        `insert into objects (sid, name, kind, key, bytes, state, since_ms, updated_ms)
         values ($1, $2, 'slice', $2, $3, $4, 1, 1)`,
        [sid, name, bytes, where],
      );
    await database.query(`insert into quality_reports (sid, report, mark, length_ms) values ($1, '{}', 'fair', 900)`, [
      sid,
    ]);
    expect(await page()).toEqual({
      recordings: [
        {
          ...{ sid, resourceId: sid, cname: 'ch', uid: '1', mode: 'mix', status: 8, phase: 'ended', healthy: false },
          ...{ onhold: false, ending: 'no room', startedMs: 1000, endedMs: 2000, lengthMs: 900, files: 2, bytes: 30 },
          ...{ waiting: 1, uploadedTo: 'backuped', mark: 'fair', warnings: 2, events: 7, standby: null },
        },
      ],
      next: null,
    });
  });

  test('a row of an earlier version can be read', async () => {
    await add({ state: {} });
    expect((await page()).recordings).toMatchObject([{ phase: 'ended', healthy: true, mark: null, warnings: 0 }]);
  });

  test('pages have every recording once, the newest first, also those of one moment', async () => {
    const made: [number, string][] = [];
    for (const createdMs of [5, 3, 3, 3, 9, 1, 3]) made.push([createdMs, await add({ createdMs })]);
    const wanted = made.toSorted(([a, x], [b, y]) => b - a || (x < y ? 1 : -1)).map(([, sid]) => sid);
    const seen: string[] = [];
    let before: string | undefined;
    for (;;) {
      const { recordings, next } = await page({ limit: '2', ...(before && { before }) });
      seen.push(...recordings.map(({ sid }) => sid));
      if (next === null) break;
      before = next;
    }
    expect(seen).toEqual(wanted);
  });

  test('another app sees nothing of it', async () => {
    const sid = await add();
    expect((await list.page(newHexId(), recordingListQuerySchema.parse({}))).recordings).toEqual([]);
    expect(await list.of(newHexId(), [sid])).toEqual([]);
    expect(await list.of(app, [sid])).toMatchObject([{ sid }]);
  });

  test('states are told apart', async () => {
    const state = { phase: 'recording', healthy: true, revision: 4 };
    const running = await add({ createdMs: 4, running: true, endedMs: null, uid: '2', state });
    const uploading = await add({ createdMs: 3, endedMs: null, state: { phase: 'uploading', healthy: true } });
    const failed = await add({ createdMs: 2, state: { phase: 'ended', healthy: false } });
    const ended = await add({ createdMs: 1 });
    expect(await sidsOf({ state: 'running' })).toEqual([running]);
    expect(await sidsOf({ state: 'uploading' })).toEqual([uploading]);
    expect(await sidsOf({ state: 'failed' })).toEqual([failed]);
    expect(await sidsOf({ state: 'ended' })).toEqual([failed, ended]);
    const unfinished = await list.unfinished(app);
    expect(unfinished).toHaveLength(2);
    expect(unfinished).toContainEqual({ sid: running, revision: 4 });
  });

  test('filters hold together', async () => {
    const wanted = await add({ cname: 'ch1', mode: 'web', createdMs: 10 });
    await add({ cname: 'ch1', mode: 'mix', createdMs: 10 });
    await add({ cname: 'ch12', mode: 'web', createdMs: 10 });
    await add({ cname: 'ch1', mode: 'web', createdMs: 9 });
    await add({ cname: 'ch1', mode: 'web', createdMs: 11 });
    expect(await sidsOf({ cname: 'ch1', mode: 'web', from: '10', until: '11' })).toEqual([wanted]);
  });

  test('what is searched for is text and no pattern', async () => {
    const odd = await add({ cname: '50%_Off\\', uid: '77', createdMs: 3 });
    const plain = await add({ cname: '50 off', uid: '8', createdMs: 2 });
    expect(await sidsOf({ search: '50%' })).toEqual([odd]);
    expect(await sidsOf({ search: '_off\\' })).toEqual([odd]);
    expect(await sidsOf({ search: 'OFF' })).toEqual([odd, plain]);
    expect(await sidsOf({ search: '77' })).toContain(odd);
    expect(await sidsOf({ search: plain.slice(0, 12).toUpperCase() })).toEqual([plain]);
    expect(await sidsOf({ search: '%' })).toEqual([odd]);
  });
});
