/** What a task tells its customer about each event (contract §3.4). Pure: state before, event, state after. */
import type { PageReload } from '../contract/line/facts.ts';
import { RUNG_NAMES } from '../contract/line/rungs.ts';
import { toEntries } from '../contract/rest/file-list.ts';
import { toPageFiles } from '../contract/rest/page-state.ts';
import type { NoticeDraft } from '../contract/webhook/notice.ts';
import { type LastingTask, listed, type Task, type TaskEvent, type TaskState } from './task.ts';

/** `module` of notice 1. */
const MODULES = { recorder: 0, uploader: 1, page: 6 } as const;
/** `errorLevel` of notice 1: whether the recording goes on or not. */
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
/** `recordingMode` of notice 3, which does not exist for web pages. */
const RECORDING_MODES = { individual: 0, mix: 1, web: undefined } as const;
/** `reason` of notice 73, which knows no other reasons. */
const RELOADS: { [reason in PageReload]?: 'page_load_timeout' | 'audio_silence' } = {
  loadTimeout: 'page_load_timeout',
  audioSilence: 'audio_silence',
};
/** `code` of notice 71, with its words. */
const PAGE_ENDS = {
  ok: 0,
  max_recording_hour: 1,
  start_engine_failed: 3,
  page_load_timeout: 4,
  access_url_failed: 5,
  recorder_error: 6,
} as const;

export function noticesOf(task: Task, before: TaskState, event: TaskEvent, after: TaskState): NoticeDraft[] {
  if (before.phase === 'ended') return [];
  return [...pushesChanged(before, after), ...happened(task, before, event, after)];
}

/** One notice for each push whose status has changed, whatever the event was. */
function pushesChanged(before: TaskState, after: TaskState): NoticeDraft[] {
  if (before.pushes === after.pushes) return [];
  const was = new Map(before.pushes.map(({ id, status }) => [id, status]));
  return after.pushes
    .filter(({ id, status }) => was.get(id) !== status)
    .map(({ address: rtmpUrl, status }) => {
      return { eventType: 100, details: { msgName: 'rtmp_publish_status', rtmpUrl, status } };
    });
}

function happened(task: Task, before: TaskState, event: TaskEvent, after: TaskState): NoticeDraft[] {
  switch (event.type) {
    case 'recorderJoined':
      if (before.joined) return [];
      return [recorderStarted(task, event.atMs), ...(before.uploaderReady ? [uploaderStarted()] : [])];
    case 'uploaderReady':
      // The recorder is told of first, whichever was faster; a recording that never began has no uploader to tell of.
      return before.uploaderReady || !before.joined ? [] : [uploaderStarted()];
    case 'streamStateChanged':
      return [streamState(event)];
    case 'sliceStarted':
      return [sliceStart(event)];
    case 'holdChanged':
      // The contract has no such notice for web mode, and the call that puts a web page on hold is the contract's own.
      return isPage(task) ? [] : [holdChanged(event)];
    case 'rungChanged':
      return before.rung === after.rung ? [] : [degradationChanged(event)];
    case 'outputFailed':
      return [error(own(task), MAJOR, ERROR_CODES.notWritten, event.message)];
    case 'pageReloaded':
      return [pageReloaded(event)];
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
      return before.healthy && !after.healthy ? [error(own(task), FATAL, ERROR_CODES.failed, event.message)] : [];
    case 'stopRequested':
      return before.phase === 'stopping' || before.phase === 'uploading' ? misplacedCall(task, before) : [];
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
  return { eventType: 2, details: { msgName: 'cloud_recording_warning', module: MODULES.uploader, warnCode } };
}

function recorderStarted(task: Task, atMs: number): NoticeDraft {
  return isPage(task)
    ? { eventType: 70, details: { msgName: 'web_recorder_started', recorderStartTime: Math.floor(atMs) } }
    : { eventType: 40, details: { msgName: 'recorder_started', status: 0 } };
}

function uploaderStarted(): NoticeDraft {
  return { eventType: 30, details: { msgName: 'uploader_started', status: 0 } };
}

/** The contract has notice 73 for two reasons only; a page that crashed, say, is told as an error that was mended. */
function pageReloaded({ reason, message }: Extract<TaskEvent, { type: 'pageReloaded' }>): NoticeDraft {
  const told = RELOADS[reason];
  return told
    ? { eventType: 73, details: { msgName: 'web_recorder_reload', reason: told } }
    : error('page', MAJOR, ERROR_CODES.failed, message);
}

function streamState({ uid, kind, receiving, atMs }: Extract<TaskEvent, { type: 'streamStateChanged' }>): NoticeDraft {
  const utcMs = Math.floor(atMs);
  const details = { streamUid: uid, state: receiving ? 0 : 1, utcMs, UtcMs: utcMs } as const;
  return kind === 'audio'
    ? { eventType: 43, details: { msgName: 'recorder_audio_stream_state_changed', ...details } }
    : { eventType: 44, details: { msgName: 'recorder_video_stream_state_changed', ...details } };
}

function holdChanged({ onhold, atMs }: Extract<TaskEvent, { type: 'holdChanged' }>): NoticeDraft {
  return { eventType: 9001, details: { msgName: 'aircheck_hold_changed', onhold, utcMs: Math.floor(atMs) } };
}

function degradationChanged({ rung, lagMs, atMs }: Extract<TaskEvent, { type: 'rungChanged' }>): NoticeDraft {
  const utcMs = Math.floor(atMs);
  const details = { depth: RUNG_NAMES.indexOf(rung), rung, lagMs: Math.round(lagMs), utcMs };
  return { eventType: 9002, details: { msgName: 'aircheck_degradation_changed', ...details } };
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

function misplacedCall({ document }: Task, { status, playlists }: TaskState): NoticeDraft[] {
  const recordingMode = RECORDING_MODES[document.plan.mode];
  if (recordingMode === undefined) return [];
  const fileList = playlists[0]?.key ?? '';
  return [{ eventType: 3, details: { msgName: 'cloud_recording_status_update', status, recordingMode, fileList } }];
}

function refused(
  before: TaskState,
  event: Extract<TaskEvent, { type: 'storeRefused' }>,
  after: TaskState,
): NoticeDraft[] {
  // The recording was given up for this refusal, which was told then.
  if (before.refused) return [];
  if (!after.refused) return [error('uploader', MAJOR, ERROR_CODES.storeRefused, event.message)];
  const told = error('uploader', FATAL, ERROR_CODES.storeRefused, event.message);
  // Otherwise the notice waits until the recorder has left.
  return before.phase === 'uploading' ? [told, exit(after)] : [told];
}

type RunEvent = Extract<TaskEvent, { type: 'recorderEnded' | 'recorderLost' | 'launchFailed' | 'orphansEnded' }>;

/** A run is over: another one goes on, or the recording ends with it. */
function ran(task: Task, before: TaskState, event: RunEvent, after: TaskState): NoticeDraft[] {
  if (before.phase === 'uploading') return [];
  if (after.phase !== 'uploading') {
    const goesOn = after.generation > before.generation && before.generation > 0;
    // The new recorder joins under the uid of the old one, which the channel never saw leave.
    const newUid = Number(task.uid);
    return goesOn ? [{ eventType: 12, details: { msgName: 'session_failover', newUid } }] : [];
  }
  const notices: NoticeDraft[] = [];
  // A recording that was ended in order was told of then.
  if (!after.healthy && before.healthy) {
    const code = event.type === 'launchFailed' ? event.errorCode : ERROR_CODES.failed;
    notices.push(error(own(task), FATAL, code, after.ending ?? ''));
  }
  if (isPage(task)) notices.push(pageStopped(task, before, event, after));
  // A recorder that never came does not leave, and one that crashed did not leave either.
  else if (before.joined && event.type === 'recorderEnded' && (after.healthy || !before.healthy))
    notices.push(leave(leaveCodeOf(before, event.reason)));
  else if (before.joined && event.type === 'orphansEnded') notices.push(leave(leaveCodeOf(before, 'stopped')));
  // The exit is told now, because the files of a refused recording may stay on the spool for long.
  if (before.refused) notices.push(exit(after));
  return notices;
}

function leaveCodeOf(before: TaskState, reason: Extract<TaskEvent, { type: 'recorderEnded' }>['reason']): number {
  if (reason === 'idle') return LEAVE.idle;
  if (reason !== 'stopped') return LEAVE.failed;
  if (before.stoppedBy === 'failure' && !before.refused) return LEAVE.failed;
  // Of these only a shutdown stops a recorder without a call.
  return before.stoppedBy === 'shutdown' ? LEAVE.signal : LEAVE.stopped;
}

/** Told however far the recording came: from this notice its customer learns why there is no more of it. */
function pageStopped(task: Task, before: TaskState, event: RunEvent, after: TaskState): NoticeDraft {
  const message = pageEndOf(before, event, after);
  return {
    eventType: 71,
    details: {
      msgName: 'web_recorder_stopped',
      code: PAGE_ENDS[message],
      message,
      details: after.ending ?? '',
      fileList: toPageFiles(listed(task, after), 'ms'),
    },
  };
}

function pageEndOf(before: TaskState, event: RunEvent, after: TaskState): keyof typeof PAGE_ENDS {
  const failed = before.joined ? 'recorder_error' : 'start_engine_failed';
  if (event.type === 'orphansEnded') return 'ok';
  if (event.type !== 'recorderEnded') return failed;
  switch (event.reason) {
    case 'stopped':
      return after.healthy ? 'ok' : 'recorder_error';
    case 'idle':
      return 'ok';
    case 'aged':
      return 'max_recording_hour';
    case 'pageLate':
      return 'page_load_timeout';
    case 'pageUnreachable':
      return 'access_url_failed';
    default:
      return failed;
  }
}

/** The module under which errors of a task's recorder are told. */
function own(task: LastingTask): 'page' | 'recorder' {
  return isPage(task) ? 'page' : 'recorder';
}

function isPage({ document }: LastingTask): boolean {
  return document.plan.mode === 'web';
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
    return [error('uploader', FATAL, ERROR_CODES.uploadAbandoned, event.message), ...exits];
  const files = filesOf(task, after);
  if (toEntries(listed(task, after), 'ms').length === 0) return exits;
  if (event.where === 'backuped')
    return [{ eventType: 32, details: { msgName: 'backuped', status: 0, ...files } }, ...exits];
  return [uploaded(files), ...exits];
}

/** The contract's notices of web pages name no files here (§3.4). */
function filesOf(task: LastingTask, state: TaskState): { fileList?: ReturnType<typeof toEntries> } {
  return isPage(task) ? {} : { fileList: toEntries(listed(task, state), 'ms') };
}

function exit({ healthy }: TaskState): NoticeDraft {
  return { eventType: 11, details: { msgName: 'session_exit', exitStatus: healthy ? 0 : 1 } };
}

function uploaded(files: ReturnType<typeof filesOf>): NoticeDraft {
  return { eventType: 31, details: { msgName: 'uploaded', status: 0, ...files } };
}

/** What is told of a recording that has ended: its files have reached their store, or never will. */
export function afterwards(task: LastingTask, state: TaskState, what: 'moved' | { gaveUp: string }): NoticeDraft {
  if (what === 'moved') return uploaded(filesOf(task, state));
  return error('uploader', MAJOR, ERROR_CODES.uploadAbandoned, what.gaveUp);
}

function error(who: keyof typeof MODULES, errorLevel: number, errorCode: number, errorMsg: string): NoticeDraft {
  return {
    eventType: 1,
    details: { msgName: 'cloud_recording_error', module: MODULES[who], errorLevel, errorCode, stat: 0, errorMsg },
  };
}
