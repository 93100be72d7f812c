/**
 * Task: one recording as the session sees it: what is known of it, what can happen to it, and what is to be done then.
 */

import type { EndReason, PageReload } from '../contract/line/facts.ts';
import type { PageAddress, Plan } from '../contract/line/plan.ts';
import type { PushStatus, PushTarget } from '../contract/line/push.ts';
import type { RungName } from '../contract/line/rungs.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { Warning } from '../contract/lint/warning.ts';
import type { ListedFile, ListedRecording, TrackType } from '../contract/rest/file-list.ts';
import type { Status } from '../contract/rest/query.ts';
import type { RetentionRule } from '../contract/rest/retention.ts';
import type { UploadingStatus } from '../contract/rest/stop.ts';
import type { ChangedPlan } from './changes.ts';

/** `new`: accepted, nothing launched; `recording`: a recorder is starting or at work; the others mean what they say. */
type Phase = 'new' | 'recording' | 'stopping' | 'uploading' | 'ended';

/** A moment of monotonic time, microseconds, valid within one start of the machine. */
type MonoMoment = { bootId: string; us: number };

export type TaskState = {
  phase: Phase;
  status: Status;
  /** False once a failure has ended the recording. A lost run is no such failure when another run went on. */
  healthy: boolean;
  /**
   * The store has never taken a file and will not: the recording has ended, and is gone for callers (contract §6.11).
   * Its files stay on the spool and are still offered to the store, in case somebody mends it.
   */
  refused: boolean;
  /** The number of the newest run, of whatever kind; 0 before the first. */
  generation: number;
  /** The recording's zero, Unix milliseconds, the same for all runs; undefined before the first. */
  zeroUtcMs: number | undefined;
  /**
   * The same moment in monotonic time, microseconds, of the start of the machine in which the newest run was launched:
   * wall time may be set while no server runs. Undefined where starts cannot be told apart, and in rows of earlier
   * versions.
   */
  zeroMono: MonoMoment | undefined;
  /** When the latest runs were lost, Unix milliseconds. */
  lossesMs: number[];
  /** The one stop call that is still to be answered. */
  waitingStop: number | undefined;
  /** Playlists and MPDs. */
  playlists: ListedFile[];
  /** And the file of all speakers. */
  mp4s: ListedFile[];
  /** Whether a snapshot lies in the store. */
  snapshot: boolean;
  /** Why the recording ended, in words. */
  ending: string | undefined;
  /** What ended the recording first; undefined when the recorder ended it itself. */
  stoppedBy: 'call' | 'shutdown' | 'failure' | undefined;
  /** The recorder has joined the channel at some time. */
  joined: boolean;
  uploaderReady: boolean;
  /** The upload progress that was told last, in parts of 10 000. */
  progress: number;
  /** Where the files are; undefined until all of them are somewhere. */
  uploadedTo: UploadingStatus | undefined;
  /** The status of each push as it was told last; of those that are over only the latest few. */
  pushes: KnownPush[];
  /** What was last told of what is taken from the picture. */
  rung: RungName;
  /** How many notices the task has sent; the number of the next one. */
  sequence: number;
  /** Counts the states, so that an older one that reaches the database late does not replace a newer one. */
  revision: number;
};

/** `address` is the push's address without its stream key. */
export type KnownPush = { id: string; address: string; status: PushStatus };

/** What a task needs for its whole life, kept in its row. */
export type TaskDocument = {
  /** The plan as it is now, with all changes that calls made. */
  plan: Plan;
  /** The plan before the newest changes, and those changes; undefined when there were none. */
  changed?: ChangedPlan | undefined;
  storage: StorageConfig;
  extinfComma: boolean;
  /** Whether the quality report is stored beside the files. */
  storeReport: boolean;
  /** Whether a second recorder on another node shall make the same files (ADR 0037). */
  standby?: true | undefined;
  token: string | undefined;
  /** The page that a web recording shows; removed with the credentials, as its address may hold some. */
  page?: PageAddress | undefined;
  /** Where a web page is pushed to; absent where start asked for no push. Removed with the credentials. */
  pushes?: PushTarget[] | undefined;
  /** How long its files are kept, where its start or its app says so; 0 days are for ever. */
  retention?: { days: number; rule: RetentionRule } | undefined;
  /** What was doubtful in the calls that started and changed the recording. */
  warnings: Warning[];
};

export type Task = {
  sid: string;
  resourceId: string;
  appid: string;
  cname: string;
  uid: string;
  createdMs: number;
  document: TaskDocument;
};

export type TaskEvent =
  | { type: 'startAccepted' }
  | { type: 'runLaunched'; zeroUtcMs: number; zeroMono: MonoMoment | undefined }
  | { type: 'recorderReady' }
  /** The recorder is in the channel, or its page is ready; `atMs` is when. */
  | { type: 'recorderJoined'; atMs: number }
  | { type: 'uploaderReady' }
  | { type: 'streamStateChanged'; uid: string; kind: 'audio' | 'video'; receiving: boolean; atMs: number }
  /** `uid` is absent where the slice is everybody's. */
  | {
      type: 'sliceStarted';
      startUtcMs: number;
      discontinueUtcMs: number;
      trackType: TrackType;
      uid?: string | undefined;
    }
  /** A call put the recording on hold, or ended the hold. */
  | { type: 'holdChanged'; onhold: boolean; atMs: number }
  /** The machine is too slow for the whole picture, or no longer: so much is taken from it. */
  | { type: 'rungChanged'; rung: RungName; lagMs: number; atMs: number }
  /** One of the recording's outputs lacks something that could not be written; the others go on. */
  | { type: 'outputFailed'; message: string }
  /** A web page was loaded again. */
  | { type: 'pageReloaded'; reason: PageReload; message: string }
  /** The status of a push has changed. */
  | ({ type: 'pushChanged' } & KnownPush)
  /** So many parts of 10 000 of what is recorded are in the store. */
  | { type: 'uploadProgressed'; progress: number }
  /** A file is in the store after more than one try. */
  | { type: 'fileResent' }
  /** A file is in the backup store. */
  | { type: 'fileBackedUp' }
  /** The store refuses files. `forGood`: until somebody mends something; else it may take them again by itself. */
  | { type: 'storeRefused'; message: string; forGood: boolean }
  /** The first or a newer version of a playlist or MPD is in the store. */
  | { type: 'playlistStored'; file: ListedFile }
  /** An MP4 or the file of all speakers is in the store. */
  | { type: 'wholeFileStored'; file: ListedFile }
  | { type: 'snapshotStored'; file: ListedFile }
  /** `request` numbers the call, so that each is answered once. */
  | { type: 'stopRequested'; request: number; wait: boolean }
  | { type: 'stopTimedOut'; request: number }
  | { type: 'shutdownRequested' }
  /** There is no room on the spool for more of the recording. */
  | { type: 'roomRanOut'; message: string }
  | { type: 'recorderEnded'; atMs: number; reason: EndReason; message: string }
  /** The recorder crashed, hung, or could not be launched again; another run goes on. */
  | { type: 'recorderLost'; atMs: number; message: string }
  /** There can be no recorder at all. `errorCode` is as in notice 1. */
  | { type: 'launchFailed'; message: string; errorCode: number }
  /** This server has claimed the task. `newestGeneration` is the highest number that any run of it was seen to have. */
  | { type: 'serverRestarted'; newestGeneration: number }
  /** No process of the former server is at work any more. */
  | { type: 'orphansEnded' }
  /**
   * `where`: all files in the customer's store, some in the backup store, or some of which only the store's word says
   * that they arrived.
   */
  | { type: 'uploadsFinished'; where: UploadingStatus }
  /** The upload can never be finished; the spool is kept. */
  | { type: 'uploadsAbandoned'; message: string };

/**
 * How a stop call is answered. `accepted`: the stop goes on (asynchronous); `stored`: all files are in the store;
 * `backuped`: some are in the backup store; `unproved`: of some only the store's word says that they arrived;
 * `nothing`: there never was a file; `late`: files are still being uploaded; `exiting`: an earlier stop or an idle
 * channel came first; `gone`: there is no such recording any more; `moved`: another node has it, as planned.
 */
export type StopOutcome =
  | 'accepted'
  | 'stored'
  | 'backuped'
  | 'unproved'
  | 'nothing'
  | 'late'
  | 'exiting'
  | 'gone'
  | 'moved';

export type TaskEffect =
  | { type: 'launchRecorder'; generation: number }
  | { type: 'stopRecorder' }
  | { type: 'releaseChannel' }
  /** Wait until the processes that a former server left have ended. */
  | { type: 'awaitOrphans' }
  /** Make what is made of the whole recording, store everything on the spool, and tell when that is done. */
  | { type: 'finishUpload'; generation: number }
  | { type: 'armStopTimer'; request: number }
  | { type: 'answerStop'; request: number; outcome: StopOutcome }
  | { type: 'discardSpool' };

export function newTaskState(): TaskState {
  return {
    phase: 'new',
    status: 1,
    healthy: true,
    refused: false,
    generation: 0,
    zeroUtcMs: undefined,
    zeroMono: undefined,
    lossesMs: [],
    waitingStop: undefined,
    playlists: [],
    mp4s: [],
    snapshot: false,
    ending: undefined,
    stoppedBy: undefined,
    joined: false,
    uploaderReady: false,
    progress: 0,
    uploadedTo: undefined,
    pushes: [],
    rung: 'full',
    sequence: 0,
    revision: 0,
  };
}

/** The part of a task that is kept for ever. */
export type LastingTask = Omit<Task, 'document'> & { document: Pick<TaskDocument, 'plan'> };

/** The files that the task has in its store. */
export function listed({ document }: LastingTask, { playlists, mp4s }: TaskState): ListedRecording {
  const { plan } = document;
  const { audio, video } = kindsOf(plan);
  const trackType = video && audio ? 'audio_and_video' : video ? 'video' : 'audio';
  const text = plan.mode === 'mix' && !plan.files.mp4;
  return { playlists, mp4s, shape: takesSnapshots(plan) ? 'snapshots' : text ? 'text' : 'list', trackType };
}

/** The kinds of stream that a plan records. */
export function kindsOf(plan: Plan): { audio: boolean; video: boolean } {
  if (plan.mode === 'individual') return plan.records;
  return { audio: plan.audio !== undefined, video: plan.video !== undefined };
}

function takesSnapshots(plan: Plan): boolean {
  return plan.mode === 'individual' && plan.snapshots !== undefined;
}

/** True where snapshots are all that a plan makes. */
export function takesOnlySnapshots(plan: Plan): boolean {
  return plan.mode === 'individual' && plan.streamMode === 'none';
}

/** Whether the task occupies its channel and uid, so that no other task may record under them. */
export function isRunning(state: TaskState): boolean {
  return state.phase === 'new' || state.phase === 'recording' || state.phase === 'stopping';
}
