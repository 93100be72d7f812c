/**
 * A recording as the database knows it, and notices of it, for tests of what becomes of them.
 */
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { type Clock, systemClock } from '../../src/kernel/clock.ts';
import { newHexId, newSid } from '../../src/kernel/ids.ts';
import type { TaskHold } from '../../src/session/hold.ts';
import type { Database, Queryable } from '../../src/store/database.ts';
import { Ownership } from '../../src/store/ownership.ts';

const OWNER = 'a server of the past';

/** Adds a recording that has ended, of a channel of its own, and returns its sid. */
export async function addRecording(database: Database, appid: string): Promise<string> {
  const sid = newSid();
  const resourceId = newHexId();
  await database.query(
    `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, sid, started_ms)
     values ($1, $2, $3, '1', 0, 1, 72, $3, 1)`,
    [resourceId, appid, sid],
  );
  await database.query(
    `insert into tasks
       (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, ended_ms, running, status, state, document,
        owner, epoch)
     values ($1, $2, $3, $1, '1', 'mix', 1, 1, 1, false, 8, '{}', '{}', $4, 1)`,
    [sid, resourceId, appid, OWNER],
  );
  return sid;
}

/** How a recording that `addRecording` added is held. */
export function holdOf(sid: string): TaskHold {
  return { sid, owner: OWNER, epoch: 1 };
}

/**
 * Registers a server, of a data folder and a machine of its own unless told otherwise. By a clock that stands still it
 * never renews its lease by itself.
 */
export function beginOwner(
  database: Database,
  { folder = newHexId(), bootId = newHexId(), clock = systemClock as Clock } = {},
): Promise<Ownership> {
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line };
  return Ownership.begin({ database, folder, bootId, clock, log });
}

/** Registers a node of a fleet with so many free cores. */
export async function beginNode(
  database: Database,
  { freeCores = 1, ...options }: { freeCores?: number; folder?: string; clock?: Clock } = {},
): Promise<Ownership> {
  const owner = await beginOwner(database, options);
  const urls = { nodeUrl: 'http://node', publicUrl: 'http://node' };
  const capacity = { cores: 4, bytes: 4e9 };
  const load = { cores: 4 - freeCores, bytes: 0 };
  await owner.announce({ name: 'node', version: '1', ...urls }, () => ({
    ...{ capacity, load, recordings: 0, publishers: 0, calls: {} },
  }));
  return owner;
}

/** Adds a recording of this owner that goes on, of a channel of its own. */
export async function addRunning(
  database: Database,
  { owner, folder }: { owner: string | null; folder: string | null },
) {
  const sid = newSid();
  await database.query(
    `insert into resources (resource_id, appid, cname, uid, scene, expires_ms, expired_hour, sid, started_ms)
     values ($1, 'a', $1, '1', 0, 1, 72, $1, 1)`,
    [sid],
  );
  await database.query(
    `insert into tasks (sid, resource_id, appid, cname, uid, mode, created_ms, updated_ms, running, status, state,
       document, owner, folder, epoch)
     values ($1, $1, 'a', $1, '1', 'mix', 1, 1, true, 5, '{}', '{"storage":"sealed"}', $2, $3, 1)`,
    [sid, owner, folder],
  );
  return sid;
}

/** What a test needs of an owner whose renewals it dates back. */
type Aged = { renewedS: number; steadyS?: number };

/** Has an owner look as if its last renewal, and the time since which it was steady, were so long ago. */
export async function age(database: Queryable, { owner }: Ownership, { renewedS, steadyS = 0 }: Aged): Promise<void> {
  await database.query(
    `update owners set renewed_at = now() - make_interval(secs => $2), steady_since = now() - make_interval(secs => $3),
       lease_until = now() + interval '4 seconds' - make_interval(secs => $2)
     where owner = $1`,
    [owner, renewedS, steadyS],
  );
}

/** The notice with this number; odd ones are of type 33, even ones of type 4. */
export function noticeOf(sid: string, sequence: number): Notice {
  const progress = sequence % 2 === 1;
  return {
    noticeId: newHexId(),
    productId: 3,
    eventType: progress ? 33 : 4,
    sid,
    payload: {
      cname: 'Zimmer "ü" /部屋',
      uid: '1',
      sid,
      sequence,
      sendts: 1_755_765_617_340 + sequence,
      serviceType: progress ? 2 : 0,
      serviceScene: 'mix_record',
      details: progress
        ? { msgName: 'uploading_progress', progress: 10_000 }
        : { msgName: 'cloud_recording_file_infos', fileList: `a/${sid}_ch1.m3u8` },
    },
  };
}
