/**
 * A recording of single users that has ended, of user 7 and of user 77, whose uid begins like that of the other: files
 * in its store, and what the database knows of it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../../src/contract/line/manifest.ts';
import type { ObjectRecord } from '../../src/contract/line/objects.ts';
import { placeOf, type StorageConfig } from '../../src/contract/line/storage.ts';
import type { NoticeDraft } from '../../src/contract/webhook/notice.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import { createLog } from '../../src/observe/log.ts';
import { newTaskState } from '../../src/session/task.ts';
import { writeJournal } from '../../src/stages/spool/journal.ts';
import { contentTypeOf, type Target } from '../../src/stages/upload/target/target.ts';
import type { Database } from '../../src/store/database.ts';
import { ObjectTables } from '../../src/store/object-tables.ts';
import type { Vault } from '../../src/store/vault.ts';
import { qualityOf } from './quality.ts';
import { addRecording, holdOf } from './stored-recording.ts';

const UIDS = ['7', '77'] as const;
const place = { startUtcMs: 1_000, durationUs: 15_000_000 };

export type RecordingOfTwo = {
  sid: string;
  /** What was stored under each name. */
  contents: Map<string, string>;
  /** Names of files of this user alone. */
  namesOf(uid: string): string[];
  speakers: string;
  manifest: string;
  report: string;
};
type Options = {
  database: Database;
  vault: Vault;
  appid: string;
  storage: StorageConfig;
  target: Target;
  /** Its folder on the spool, where the files stay as well. */
  spoolDir?: string;
};

/** `speakers` holds the uids of its tracks, a line each. */
export async function recordTwo(options: Options): Promise<RecordingOfTwo> {
  const { database, vault, appid, storage, target, spoolDir } = options;
  const sid = await addRecording(database, appid);
  const base = `${sid}_room`;
  const contents = new Map<string, string>();
  const files: SpooledFile[] = [];
  const kinds = new Map<string, ObjectRecord['kind']>();
  const add = (kind: ObjectRecord['kind'], name: string, content: string, file?: object) => {
    contents.set(name, content);
    kinds.set(name, kind);
    if (file) files.push({ ...place, ...file, name, bytes: content.length } as SpooledFile);
  };
  for (const uid of UIDS) {
    const own = `${base}__uid_s_${uid}__uid_e_`;
    const owner = { uid, trackType: 'video' };
    for (const index of [0, 1]) {
      const slice = { type: 'slice', playlist: `${own}video.m3u8`, index, discontinuity: false, starts: [] };
      const name = `${own}video_2026010100000000${index}.ts`;
      add('slice', name, `picture ${index} of ${uid}`, { ...slice, rotations: [], owner });
    }
    add('playlist', `${own}video.m3u8`, `#EXTM3U of ${uid}`);
    add('mp4', `${own}av_0.mp4`, `whole of ${uid}`, { type: 'mp4', index: 0, owner });
    add('snapshot', `${own}video_20260101000000000.jpg`, `snapshot of ${uid}`, {
      type: 'snapshot',
      uid,
      durationUs: 0,
    });
  }
  const speakers = `${base}_speakers.mka`;
  add('speakers', speakers, `${UIDS.join('\n')}\n`, { type: 'speakers', uids: [...UIDS] });
  const report = `${base}_report.json`;
  const quality = reportOf(sid);
  add('document', report, JSON.stringify(quality), { type: 'document', kind: 'report' });
  const manifest = `${base}_manifest.json`;
  add('document', manifest, JSON.stringify(manifestOf(sid, contents, speakers)), {
    type: 'document',
    kind: 'manifest',
  });

  const ledger = await objectsOf(database, vault).open(holdOf(sid));
  for (const [name, content] of contents) {
    const data = Buffer.from(content);
    await target.put(`${sid}/${name}`, { data }, contentTypeOf(name));
    const file = files.find((each) => each.name === name);
    ledger.note({
      ...{
        name,
        kind: kinds.get(name)!,
        key: `${sid}/${name}`,
        bytes: data.length,
        state: 'stored',
        attempts: 1,
        file,
      },
    });
  }
  await ledger.settled();
  const listed = (name: string, uid?: string) => ({
    ...{ key: `${sid}/${name}`, startUtcMs: 1_000 },
    ...(uid !== undefined && { owner: { uid, trackType: 'video' as const } }),
  });
  const state = {
    ...{ ...newTaskState(), phase: 'ended', status: 8, uploadedTo: 'uploaded', zeroUtcMs: 1_000 },
    playlists: UIDS.map((uid) => listed(`${base}__uid_s_${uid}__uid_e_video.m3u8`, uid)),
    mp4s: [listed(speakers), ...UIDS.map((uid) => listed(`${base}__uid_s_${uid}__uid_e_av_0.mp4`, uid))],
  };
  await database.query(
    `update tasks set folder = 'ours', mode = 'individual', place = $2::jsonb, state = $3::jsonb where sid = $1`,
    [sid, JSON.stringify(placeOf(storage)), JSON.stringify(state)],
  );
  await database.query('insert into quality_reports (sid, report, mark, length_ms) values ($1, $2::json, null, null)', [
    ...[sid, JSON.stringify(quality)],
  ]);
  await addEvents(database, sid, appid, base);
  if (spoolDir !== undefined) {
    const dir = join(spoolDir, sid, '1');
    mkdirSync(dir, { recursive: true });
    for (const { name } of files) writeFileSync(join(dir, name), contents.get(name)!);
    await writeJournal(dir, files as Parameters<typeof writeJournal>[1]);
    writeFileSync(join(dir, 'attendance.json'), JSON.stringify({ stays: UIDS }));
    writeFileSync(join(dir, `${base}__uid_s_7__uid_e_audio_20260101000000009.ts.part`), 'torn sound of 7');
    writeFileSync(join(dir, `${base}__uid_s_77__uid_e_audio_20260101000000009.ts.part`), 'torn sound of 77');
  }
  const namesOf = (uid: string) => [...contents.keys()].filter((name) => name.includes(`__uid_s_${uid}__uid_e_`));
  return { sid, contents, namesOf, speakers, manifest, report };
}

function objectsOf(database: Database, vault: Vault): ObjectTables {
  return new ObjectTables({ database, vault, folder: 'ours', clock: systemClock, log: createLog('silent') });
}

function reportOf(sid: string) {
  const report = qualityOf(sid, 'stopped');
  const [first] = report.participants;
  return {
    ...report,
    participants: UIDS.map((uid) => ({ ...first!, uid })),
    degraded: UIDS.map((uid) => ({ atMs: 0, what: `files of user ${uid} lack something`, count: 1 })),
  };
}

function manifestOf(sid: string, contents: ReadonlyMap<string, string>, speakers: string): Manifest {
  const named = (pattern: RegExp) =>
    [...contents].flatMap(([name, content]) => {
      const uid = /__uid_s_(\d+)__uid_e_/.exec(name)?.[1];
      return uid !== undefined && pattern.test(name)
        ? [{ name, uid, trackType: 'video' as const, startUs: 0, durationUs: 1, bytes: content.length }]
        : [];
    });
  return {
    ...{ version: 1, sid, cname: 'room', zeroUtcMs: 1_000, endUs: 30_000_000, holds: [] },
    users: UIDS.map((uid) => ({ uid, stays: [{ joinedUs: 0, leftUs: 1 }] })),
    slices: named(/\.ts$/).map((slice, index) => ({ ...slice, playlist: 'x.m3u8', index, shapes: [] })),
    mp4s: named(/\.mp4$/),
    speakers: { name: speakers, startUs: 0, durationUs: 1, bytes: contents.get(speakers)!.length, uids: [...UIDS] },
    snapshots: named(/\.jpg$/).map(({ name, uid, bytes }) => ({ name, uid, atUs: 0, bytes })),
  };
}

async function addEvents(database: Database, sid: string, appid: string, base: string): Promise<void> {
  const fileOf = (uid: string) => ({
    ...{ fileName: `${base}__uid_s_${uid}__uid_e_video.m3u8`, trackType: 'video' as const, uid },
    ...{ mixedAllUser: false, isPlayable: true, sliceStartTime: 1 },
  });
  const drafts: NoticeDraft[] = [
    { eventType: 40, details: { msgName: 'recorder_started', status: 0 } },
    ...UIDS.flatMap((uid): NoticeDraft[] => [
      {
        eventType: 44,
        details: { msgName: 'recorder_video_stream_state_changed', streamUid: uid, state: 0, utcMs: 1, UtcMs: 1 },
      },
      { eventType: 4, details: { msgName: 'cloud_recording_file_infos', fileList: fileOf(uid).fileName } },
    ]),
    { eventType: 31, details: { msgName: 'uploaded', status: 0, fileList: UIDS.map(fileOf) } },
  ];
  for (const [sequence, { eventType, details }] of drafts.entries()) {
    const payload = {
      cname: 'room',
      uid: '1',
      sid,
      sequence,
      sendts: 1,
      serviceType: 0,
      serviceScene: 'rtc_record',
      details,
    };
    const notice = { noticeId: newHexId(), productId: 3, eventType, sid, payload };
    await database.query(
      `insert into events (notice_id, sid, appid, sequence, event_type, notice, created_ms, state)
       values ($1, $2, $3, $4, $5, $6::json, 1, 'delivered')`,
      [notice.noticeId, sid, appid, sequence, eventType, JSON.stringify(notice)],
    );
  }
}
