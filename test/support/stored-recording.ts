/**
 * A recording as the database knows it, and notices of it, for tests of what becomes of them.
 */
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { type Clock, systemClock } from '../../src/kernel/clock.ts';
import { newHexId, newSid } from '../../src/kernel/ids.ts';
import type { TaskHold } from '../../src/session/hold.ts';
import type { Database } from '../../src/store/database.ts';
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
