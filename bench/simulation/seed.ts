/** Seeds a database with running recordings: one that the server's own code has stored, and copies of it. */
import { Client } from 'pg';
import { newHexId, newResourceId, newSid } from '../../src/kernel/ids.ts';
import { newTaskState, type Task } from '../../src/session/task.ts';
import type { SimulatedNode } from './node.ts';

/** Of all recordings. */
const APP_ID = newHexId();
const HOUR_MS = 3_600_000;

/** A composite of 720p in a channel of its own, as acquire and start store it. */
export function taskIn(cname: string): Task {
  const sid = newSid();
  return {
    ...{ sid, resourceId: newResourceId(), appid: APP_ID, cname, uid: '9', createdMs: Date.now() },
    document: {
      plan: {
        mode: 'mix',
        ...{ sid, baseName: `${sid}_${cname}` },
        audio: { channels: 1, bitrateKbps: 48 },
        video: {
          ...{ width: 1280, height: 720, fps: 15, bitrateKbps: 1130 },
          layout: { kind: 'bestFit' },
          backgroundColor: '#000000',
        },
        subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
        files: { hls: true, mp4: true },
        maxIdleMs: 30_000,
        mp4Limit: { durationMs: 2 * HOUR_MS, bytes: 2_000_000_000 },
      },
      storage: {
        ...{
          vendor: 11,
          region: 0,
          bucket: 'recordings',
          accessKey: 'AKIAEXAMPLE',
          secretKey: 'a secret of forty letters',
        },
        ...{ stsToken: undefined, stsExpiration: undefined, fileNamePrefix: ['2026', 'calls'] },
        extensionParams: { sse: undefined, tag: undefined, endpoint: 's3.example.com' },
      },
      ...{ extinfComma: false, storeReport: false, token: `007${'x'.repeat(200)}`, warnings: [] },
    },
  };
}

/** acquire and start of a recording, as far as the database has to do with them. Returns where it now lies. */
export async function begin({ places, tables }: SimulatedNode, task: Task): Promise<string | undefined> {
  const { appid, cname, uid, resourceId } = task;
  await places.claimHome(appid, cname);
  await tables.runningElsewhere(appid, Number.MAX_SAFE_INTEGER);
  await tables.addResource({
    ...{ resourceId, appid, cname, uid, scene: 0, expiresMs: Date.now() + HOUR_MS / 12, resourceExpiredHour: 72 },
    ...{ startHash: undefined, sid: undefined, startedMs: undefined },
  });
  const home = await places.claimHome(appid, cname);
  const added = await tables.addTask(task, newTaskState(), Number.MAX_SAFE_INTEGER);
  if (typeof added === 'string') throw new Error(`a start was refused: ${added}`);
  return home;
}

/** Gives each node `each` recordings that run, with their channels at home there. */
export async function seed(url: string, nodes: readonly SimulatedNode[], each: number): Promise<void> {
  const [first] = nodes;
  if (!first) return;
  const model = taskIn('a model');
  await begin(first, model);
  // What the server's own connections do is limited in time.
  const database = new Client({ connectionString: url });
  await database.connect();
  await database.query(
    `insert into resources
       select md5('r' || n), r.appid, 'channel-' || n, r.uid, r.scene, r.expires_ms, r.expired_hour, r.start_hash,
         md5('t' || n), r.started_ms
       from resources r, generate_series(1, $2::integer) n where r.resource_id = $1`,
    [model.resourceId, nodes.length * each],
  );
  await database.query(
    `insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state,
         document, owner, folder, epoch)
       select md5('t' || n), md5('r' || n), t.appid, 'channel-' || n, t.uid, t.mode, t.created_ms, t.updated_ms, true, 5,
         t.state, jsonb_set(t.document, '{plan,sid}', to_jsonb(md5('t' || n))), o.owner, o.folder, 1
       from tasks t, generate_series(1, $2::integer) n
         join unnest($3::text[], $4::text[]) with ordinality o(owner, folder, at) on o.at = 1 + n % $5::integer
       where t.sid = $1`,
    [
      ...[model.sid, nodes.length * each, nodes.map(({ ownership }) => ownership.owner)],
      ...[nodes.map(({ ownership }) => ownership.folder), nodes.length],
    ],
  );
  await database.query(
    `insert into homes (appid, cname, owner, claimed_at, used_at)
       select appid, cname, owner, now() - interval '10 minutes', now() from tasks where cname like 'channel-%'`,
  );
  await database.query('delete from tasks where sid = $1', [model.sid]);
  await database.query('delete from resources where resource_id = $1', [model.resourceId]);
  await database.query('delete from homes where cname = $1', [model.cname]);
  const byOwner = new Map(nodes.map((node) => [node.ownership.owner, node]));
  for (const row of (await database.query('select sid, owner from tasks where ended_ms is null')).rows) {
    const [sid, owner] = [String(row['sid']), String(row['owner'])];
    byOwner.get(owner)?.holds.set(sid, { sid, owner, epoch: 1 });
  }
  // As autovacuum leaves it behind in a database that has been in service.
  await database.query('vacuum analyze');
  await database.end();
}
