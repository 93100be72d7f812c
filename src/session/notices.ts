/**
 * What a task tells its customer, by what happened to it (contract §3.4). Pure: state before, event, state after.
 */
import { toEntries } from '../contract/rest/file-list.ts';
import type { NoticeDraft } from '../contract/webhook/notice.ts';
import { type LastingTask, listed, type Task, type TaskEvent, type TaskState } from './task.ts';

/** `module` of notice 1. */
const RECORDER = 0;
const UPLOADER = 1;
/** `errorLevel` of notice 1: the recording goes on, or it does not. */
const MAJOR = 4;
const FATAL = 5;
/** `errorCode` of notice 1 where the contract leaves it open; `docs/guide/notifications.md` lists them. */
export const ERROR_CODES = {
  storeRefused: 32,
  uploadAbandoned: 47,
  uidTaken: 53,
  failed: 500,
  notWritten: 501,
} as const;
/** `leaveCode` of notice 41. */
const LEAVE = { failed: 0, signal: 2, idle: 4, stopped: 16 } as const;
/** `recordingMode` of notice 3. */
const RECORDING_MODES = { individual: 0, mix: 1 } as const;

export function noticesOf(task: Task, before: TaskState, event: TaskEvent, after: TaskState): NoticeDraft[] {
  if (before.phase === 'ended') return [];
  switch (event.type) {
    case 'recorderJoined':
      return before.joined ? [] : [started('recorder'), ...(before.uploaderReady ? [started('uploader')] : [])];
    case 'uploaderReady':
      // The recorder comes first, whoever was faster; a recording that never began has no uploader to tell of.
      return before.uploaderReady || !before.joined ? [] : [started('uploader')];
    case 'streamStateChanged':
      return [streamState(event)];
    case 'sliceStarted':
      return [sliceStart(event)];
    case 'outputFailed':
      return [error(RECORDER, MAJOR, ERROR_CODES.notWritten, event.message)];
    case 'playlistStored':
      return before.playlists.some(({ key }) => key === event.file.key) ? [] : [fileInfos(event.file.key)];
    case 'snapshotStored':
      return [{ eventType: 45, details: { msgName: 'recorder_snapshot_file', fileName: event.file.key } }];
    case 'uploadProgressed':
      return [{ eventType: 33, details: { msgName: 'uploading_progress', progress: after.progress } }];
    case 'fileResent':
      return [warning(31)];
    case 'fileBackedUp':
      return [warning(32)];
    case 'storeRefused':
      return refused(before, event, after);
    case 'roomRanOut':
      return before.healthy && !after.healthy ? [error(RECORDER, FATAL, ERROR_CODES.failed, event.message)] : [];
    case 'stopRequested':
      return before.phase === 'stopping' || before.phase === 'uploading' ? [misplacedCall(task, before)] : [];
    case 'recorderEnded':
    case 'recorderLost':
    case 'launchFailed':
    case 'orphansEnded':
      return ran(task, before, event, after);
    case 'uploadsFinished':
    case 'uploadsAbandoned':
      return after.phase === 'ended' ? ended(task, event, after) : [];
    default:
      return [];
  }
}

function warning(warnCode: 31 | 32): NoticeDraft {
  return { eventType: 2, details: { msgName: 'cloud_recording_warning', module: UPLOADER, warnCode } };
}

function started(who: 'recorder' | 'uploader'): NoticeDraft {
  return who === 'recorder'
    ? { eventType: 40, details: { msgName: 'recorder_started', status: 0 } }
    : { eventType: 30, details: { msgName: 'uploader_started', status: 0 } };
}

function streamState({ uid, kind, receiving, atMs }: Extract<TaskEvent, { type: 'streamStateChanged' }>): NoticeDraft {
  const utcMs = Math.floor(atMs);
  const details = { streamUid: uid, state: receiving ? 0 : 1, utcMs, UtcMs: utcMs } as const;
  return kind === 'audio'
    ? { eventType: 43, details: { msgName: 'recorder_audio_stream_state_changed', ...details } }
    : { eventType: 44, details: { msgName: 'recorder_video_stream_state_changed', ...details } };
}

function sliceStart(event: Extract<TaskEvent, { type: 'sliceStarted' }>): NoticeDraft {
  return {
    eventType: 42,
    details: {
      msgName: 'recorder_slice_start',
      startUtcMs: Math.floor(event.startUtcMs),
      discontinueUtcMs: Math.floor(event.discontinueUtcMs),
      mixedAllUser: event.uid === undefined,
      streamUid: event.uid ?? '0',
      trackType: event.trackType,
    },
  };
}

function fileInfos(fileList: string): NoticeDraft {
  return { eventType: 4, details: { msgName: 'cloud_recording_file_infos', fileList } };
}

function misplacedCall({ document }: Task, { status, playlists }: TaskState): NoticeDraft {
  return {
    eventType: 3,
    details: {
      msgName: 'cloud_recording_status_update',
      status,
      recordingMode: RECORDING_MODES[document.plan.mode],
      fileList: playlists[0]?.key ?? '',
    },
  };
}

function refused(
  before: TaskState,
  event: Extract<TaskEvent, { type: 'storeRefused' }>,
  after: TaskState,
): NoticeDraft[] {
  // The recording was given up for it, and that was told.
  if (before.refused) return [];
  if (!after.refused) return [error(UPLOADER, MAJOR, ERROR_CODES.storeRefused, event.message)];
  const told = error(UPLOADER, FATAL, ERROR_CODES.storeRefused, event.message);
  // Otherwise the recorder has to leave first.
  return before.phase === 'uploading' ? [told, exit(after)] : [told];
}

type RunEvent = Extract<TaskEvent, { type: 'recorderEnded' | 'recorderLost' | 'launchFailed' | 'orphansEnded' }>;

/** A run is over: another one goes on, or the recording ends with it. */
function ran(task: Task, before: TaskState, event: RunEvent, after: TaskState): NoticeDraft[] {
  if (before.phase === 'uploading') return [];
  if (after.phase !== 'uploading') {
    const goesOn = after.generation > before.generation && before.generation > 0;
    // It joins under the uid of the one before: the channel never saw that one leave.
    const newUid = Number(task.uid);
    return goesOn ? [{ eventType: 12, details: { msgName: 'session_failover', newUid } }] : [];
  }
  const notices: NoticeDraft[] = [];
  // What ended a recording that was ended in order was told then.
  if (!after.healthy && before.healthy) {
    const code = event.type === 'launchFailed' ? event.errorCode : ERROR_CODES.failed;
    notices.push(error(RECORDER, FATAL, code, after.ending ?? ''));
  }
  // Who never came does not leave, and who crashed did not leave either.
  if (before.joined && event.type === 'recorderEnded' && (after.healthy || !before.healthy))
    notices.push(leave(leaveCodeOf(before, event.reason)));
  if (before.joined && event.type === 'orphansEnded') notices.push(leave(leaveCodeOf(before, 'stopped')));
  // Its files may stay on the spool for long.
  if (before.refused) notices.push(exit(after));
  return notices;
}

function leaveCodeOf(before: TaskState, reason: Extract<TaskEvent, { type: 'recorderEnded' }>['reason']): number {
  if (reason === 'idle') return LEAVE.idle;
  if (reason !== 'stopped') return LEAVE.failed;
  if (before.stoppedBy === 'failure' && !before.refused) return LEAVE.failed;
  // Of the rest only a shutdown stops a recorder without a call.
  return before.stoppedBy === 'shutdown' ? LEAVE.signal : LEAVE.stopped;
}

function leave(leaveCode: number): NoticeDraft {
  return { eventType: 41, details: { msgName: 'recorder_leave', leaveCode } };
}

function ended(
  task: Task,
  event: Extract<TaskEvent, { type: 'uploadsFinished' | 'uploadsAbandoned' }>,
  after: TaskState,
): NoticeDraft[] {
  const exits = after.refused ? [] : [exit(after)];
  if (event.type === 'uploadsAbandoned')
    return [error(UPLOADER, FATAL, ERROR_CODES.uploadAbandoned, event.message), ...exits];
  const fileList = toEntries(listed(task, after), 'ms');
  if (fileList.length === 0) return exits;
  if (event.where === 'backuped')
    return [{ eventType: 32, details: { msgName: 'backuped', status: 0, fileList } }, ...exits];
  return [uploaded(fileList), ...exits];
}

function exit({ healthy }: TaskState): NoticeDraft {
  return { eventType: 11, details: { msgName: 'session_exit', exitStatus: healthy ? 0 : 1 } };
}

function uploaded(fileList: ReturnType<typeof toEntries>): NoticeDraft {
  return { eventType: 31, details: { msgName: 'uploaded', status: 0, fileList } };
}

/** What an ended recording still has to tell: its files are where they belong, or will never be. */
export function afterwards(task: LastingTask, state: TaskState, what: 'moved' | { gaveUp: string }): NoticeDraft {
  if (what === 'moved') return uploaded(toEntries(listed(task, state), 'ms'));
  return error(UPLOADER, MAJOR, ERROR_CODES.uploadAbandoned, what.gaveUp);
}

function error(module: 0 | 1, errorLevel: number, errorCode: number, errorMsg: string): NoticeDraft {
  return {
    eventType: 1,
    details: { msgName: 'cloud_recording_error', module, errorLevel, errorCode, stat: 0, errorMsg },
  };
}
