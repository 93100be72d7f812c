/**
 * What the session needs from the world, no wider than it uses it. The app connects the real parts; tests bring their
 * own.
 */

import type { ChangeCommand, Source, StartCommand } from '../contract/line/commands.ts';
import type { CompleteCommand } from '../contract/line/complete.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { PageAddress } from '../contract/line/plan.ts';
import type { QualityReport, Takeover } from '../contract/line/quality-report.ts';
import type { RungName } from '../contract/line/rungs.ts';
import type { StorageConfig, StoragePlace } from '../contract/line/storage.ts';
import type { Stretch } from '../contract/line/stretches.ts';
import type { UploadingStatus } from '../contract/rest/stop.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import type { Clock } from '../kernel/clock.ts';
import type { HostUs } from '../kernel/time.ts';
import type { FileOwner, SpooledFile } from '../media/segment.ts';
import type { TaskHold } from './hold.ts';
import type { FormerRun, ProcessIdentity, RunRecord } from './run-record.ts';
import type { Task, TaskDocument, TaskEvent, TaskState } from './task.ts';

/** What acquire gave out (contract §1.1). Times are Unix milliseconds. */
export type Resource = {
  resourceId: string;
  appid: string;
  cname: string;
  uid: string;
  scene: 0 | 1 | 2;
  /** Until when `start` takes it. */
  expiresMs: number;
  resourceExpiredHour: number;
  startHash: string | undefined;
  /** The recording that it started, and when. */
  sid: string | undefined;
  startedMs: number | undefined;
};

/** A task that was claimed, as its former owner left it. */
export type ClaimedTask = {
  task: Task;
  state: TaskState;
  hold: TaskHold;
  resource: Resource;
  /** Oldest first. */
  runs: FormerRun[];
  /** What another node left in the database; undefined where the files of all runs lie here. */
  left: LeftElsewhere | undefined;
};

export type ClaimedTasks = {
  tasks: ClaimedTask[];
  /** Those that were claimed and are damaged. */
  unreadable: { sid: string; why: string }[];
  /** How soon the lease of an overdue node ends, where there may be something for this one to claim right then. */
  leaseEndsInMs: number | undefined;
};

/** What the database knows of a recording whose files lie on another node's disk. */
export type LeftElsewhere = {
  /** The newest quality report that was kept; undefined before the first. */
  quality: QualityReport | undefined;
  /** Where the newest file ends, Unix milliseconds; 0 when there is none. */
  recordedUntilMs: number;
};

/** What is kept of a task for ever; what it needed to run is removed when it ends. */
export type PastTask = {
  task: Omit<Task, 'document'> & {
    document: Pick<TaskDocument, 'plan' | 'warnings'>;
  };
  /** Where its files lie; undefined in rows of versions that did not keep it. */
  place: StoragePlace | undefined;
  state: TaskState;
  endedMs: number | undefined;
  /** The newest quality report of a recorder at work; undefined when there was none. */
  quality: QualityReport | undefined;
};

export type RecordingStore = {
  /** Whether other servers may have the same database. */
  readonly shared: boolean;
  /** Whether nodes go on with each other's recordings. */
  readonly fleet: boolean;
  addResource(resource: Resource): Promise<void>;
  findResource(resourceId: string): Promise<Resource | undefined>;
  /** The running task of a channel and uid. */
  findRunning(appid: string, cname: string, uid: string): Promise<string | undefined>;
  /**
   * How many recordings of an app other servers of the fleet run; 0 outside of a fleet. Where there are no more than
   * `most` it may be too many, but no more than that.
   */
  runningElsewhere(appid: string, most: number): Promise<number>;
  /**
   * Uses up the resource and adds the task as this server's, in one transaction. `used` and `conflict` say which other
   * call was faster, `full` that other servers of the fleet run more recordings of the app than `mostElsewhere`.
   */
  addTask(task: Task, state: TaskState, mostElsewhere?: number): Promise<TaskHold | 'used' | 'conflict' | 'full'>;
  /** Removes a task of which nobody was told, if it was stored, and lets its resource be started once more. */
  dropTask(resourceId: string, sid: string): Promise<void>;
  /** Lets a resource be started once more, after a start that failed. */
  releaseResource(resourceId: string, sid: string): Promise<void>;
  /** Keeps what a call changed of a running task. Rejects as fenced when another server has it. */
  saveDocument(hold: TaskHold, document: TaskDocument): Promise<void>;
  /**
   * Keeps the quality report of a task: the last, or in a fleet the newest. Rejects as fenced when another server has
   * the task.
   */
  saveQuality(hold: TaskHold, report: QualityReport): Promise<void>;
  /** Keeps a run of a task, new or changed. Rejects as fenced when another server has the task. */
  saveRun(hold: TaskHold, run: RunRecord): Promise<void>;
  /** A task of an app, running or ended. */
  findTask(appid: string, sid: string): Promise<PastTask | undefined>;
  /**
   * Keeps a task's new state and the notices about it in one transaction, and removes the credentials of an ended task.
   * Rejects as fenced when another server has the task.
   */
  saveState(hold: TaskHold, state: TaskState, nowMs: number, notices?: readonly Notice[]): Promise<void>;
  /**
   * Takes unfinished tasks whose files lie here and whose owner is gone. A damaged one does not hide the others.
   * @param spooled sids that lie on this server's spool
   */
  claimTasks(spooled: readonly string[]): Promise<ClaimedTasks>;
  /** Which of these recordings are not in the database, neither running nor ended. */
  unknownOf(sids: readonly string[]): Promise<string[]>;
  /** Which of these recordings of this server have ended, with all files in their own store or in the backup store. */
  storedOf(sids: readonly string[]): Promise<string[]>;
  /**
   * Has another node take over tasks of this server, or keeps them here again. Resolves to those that are still this
   * server's.
   */
  offer(sids: readonly string[], offered: boolean): Promise<string[]>;
  /** Which of these tasks belong to another server now. */
  lostOf(holds: readonly TaskHold[]): Promise<string[]>;
};

/** What a node has on its spool of a recording that another node took over. */
export type Stray = {
  sid: string;
  /** The node's data folder. */
  folder: string;
  /** When it was taken over, Unix milliseconds. */
  sinceMs: number;
  /** When the node, back again, had stored all of it; undefined while it has not. */
  storedMs: number | undefined;
};
export type FileElsewhere = { file: SpooledFile; isStored: boolean };
/** What a standby of this node recorded of a task that the node has taken over since (ADR 0037). */
export type AdoptedRun = {
  /** The recording's zero by this machine's monotonic clock. */
  zeroMonoUs: HostUs;
  files: RunFile[];
  /** What the report says of it. */
  takeover: Takeover;
};
type StandbyPort = {
  /**
   * Ends the standby of a task that this node has claimed, and makes what it recorded a run of the task: the channel's
   * next feed is the one that the standby read. Resolves to undefined where nothing was recorded, or where the former
   * owner records on.
   * @param generation the number that the run gets
   */
  adopt(sid: string, generation: number): Promise<AdoptedRun | undefined>;
};
type StrayPort = {
  /** What other nodes recorded of these tasks, oldest first. */
  of(sids: readonly string[]): Promise<Stray[]>;
  /** The files of a task that other nodes made, as far as the database knows of them. */
  filesOf(sid: string, stretches: readonly Stretch[]): Promise<FileElsewhere[]>;
  /** Of which of these recordings, that other nodes took over, this node has something that is not stored yet. */
  mine(sids: readonly string[]): Promise<string[]>;
};

/** 109: the token has expired; 110: it is wrong (contract §5.2). */
export type TokenRefusal = { errorCode: 109 | 110; message: string };
/** @property isOver true once nothing more comes of it, so that the next run needs another */
export type Feed = { path: string; openedMonoUs: HostUs; readonly isOver?: boolean; close(): unknown };
/** @property videoStreamType which of a sender's simulcast streams is wanted: 0 the high one, 1 the low one */
type FeedRequest = { appid: string; cname: string; uid: string; sid: string; videoStreamType: 0 | 1 };
export type ChannelPort = {
  /** Announces a recording of this channel, so that the channel has a whole picture of everyone ready. */
  prepare(appid: string, cname: string): void;
  /**
   * Joins the channel and keeps everything that it sends from this instant on. Throws a Fault, `uid-taken` when a user
   * has the uid.
   */
  openFeed(who: FeedRequest): Promise<Feed>;
  /**
   * Has the publishers of a channel come in at the node that it is at home on now: those who can move by themselves at
   * once, the others after `graceMs`, when they are disconnected. Resolves once all have gone.
   */
  sendAway(appid: string, cname: string, graceMs: number): Promise<void>;
  /** Why the token does not let the recorder in; undefined when it does, or when the app wants none. */
  refusalOf(who: { appid: string; cname: string; uid: string; token: string | undefined }): TokenRefusal | undefined;
};

export type PagePort = {
  /** Why no web page can be recorded here, in words; undefined when pages can. */
  readonly refusal: string | undefined;
  /** The source of a run that records the page. Throws a Fault when it cannot be made ready. */
  sourceOf(page: PageAddress): Source;
  /** Removes what runs left behind whose processes have ended. */
  sweep(): void;
};

/** Told what happens to a run's process. */
export type RunListener = {
  /** The process exists. */
  onProcess(process: ProcessIdentity): void;
  onFact(fact: Fact): void;
  /** Called once, after the last fact. */
  onExit(why: string): void;
};

export type PushPort = {
  /** Addresses and ranges that may be pushed to besides public ones. */
  readonly networks: readonly string[];
  /** Why this address may never be pushed to, in words; undefined when it may. */
  refusalOf(url: string): string | undefined;
};

export type RecorderProcess = {
  /** Ends the recording at monotonic `atMonoUs`; the process is ended by force when it takes too long. */
  stop(atMonoUs: HostUs): void;
  /** Passes on a change; a change that comes before the process is ready waits for it. */
  change(command: ChangeCommand): void;
  /** Ends the process at once, whatever it was finishing. */
  kill(): void;
};
export type RecorderPort = {
  /**
   * Starts a process, or takes one that was kept ready. The listener is called only after this has returned. Throws a
   * Fault when no process can be had.
   */
  launch(start: StartCommand, listener: RunListener): RecorderProcess;
  /** Whether that very process still runs. */
  isAlive(process: ProcessIdentity): boolean;
  /**
   * Ends the process of a former server by force, with all that it started; does nothing when it may be somebody
   * else's.
   */
  endOrphan(process: ProcessIdentity): void;
  /**
   * Finishes what recorders that died left unfinished, and makes what is made after the end, in a process of its own.
   * Waits for its turn. Rejects when it failed or `signal` called it off.
   */
  complete(
    command: CompleteCommand,
    options: { signal: AbortSignal; onProcess(process: ProcessIdentity): void },
  ): Promise<void>;
};

export type UploadEvent =
  /** An MP4, or the file of all speakers, which has a `trackType` of its own: sound, whatever else is recorded. */
  | { type: 'wholeFileStored'; key: string; startUtcMs: number; owner?: FileOwner | undefined; trackType?: 'audio' }
  | { type: 'snapshotStored'; key: string; startUtcMs: number }
  | { type: 'fileResent' }
  | { type: 'fileBackedUp' }
  /** The store refuses files. `forGood`: until somebody mends something; else it may take them again by itself. */
  | { type: 'storeRefused'; message: string; forGood: boolean }
  /** A playlist or MPD; `playable` is false where no player shows it. */
  | { type: 'playlistStored'; key: string; startUtcMs: number; owner?: FileOwner | undefined; playable?: boolean };
export type Upload = {
  /** @param dir the folder it lies in */
  add(file: SpooledFile, dir: string): void;
  /** Resolves, when all that was added and the playlist are stored, to where they lie. Rejects when aborted. */
  finish(): Promise<UploadingStatus>;
  abort(): void;
  /** Tries now everything that waits to be tried again. */
  retry(): void;
  /** Gives what other nodes have stored since its place in the playlists. Rejects when the database cannot be read. */
  recall(): Promise<void>;
  /** Why the store refused a test object, in words; undefined when it took it or was not tested. Never rejects. */
  readonly tested: Promise<string | undefined>;
  /** How much of what was added is in the store, bytes. */
  progress(): { storedBytes: number; addedBytes: number };
  /**
   * Goes on with other credentials for the same bucket. Throws a Fault when the store can never be reached with them.
   */
  useStorage(storage: StorageConfig): Promise<void>;
};
export type UploadPort = {
  /**
   * Waits for a database that is away, until `signal` calls it off: then it rejects with the signal's reason, and so
   * does `finish`. Throws a Fault when the store can never be reached with this configuration.
   */
  begin(
    options: {
      hold: TaskHold;
      appid: string;
      storage: StorageConfig;
      extinfComma: boolean;
      /** Empty where only one node has ever had the recording. */
      stretches: readonly Stretch[];
      signal: AbortSignal;
    },
    onEvent: (event: UploadEvent) => void,
  ): Promise<Upload>;
};

/** A finished file and the folder it lies in. */
export type RunFile = { dir: string; file: SpooledFile };
/** A file that a crash left unfinished, and how much of it there is. */
type RunLeftover = { dir: string; name: string; bytes: number };
export type SpoolPort = {
  /** The recordings that have a folder here. */
  sids(): Promise<string[]>;
  pathOf(sid: string): string;
  /** Makes the folder of a run and returns its path. Rejects with a Fault, `spool-full` when a recorder has no room. */
  create(sid: string, generation: number, kind: RunRecord['kind']): Promise<string>;
  /** The runs that have a folder, oldest first; 0 is that of a version which made none for each. */
  runs(sid: string): Promise<{ generation: number; dir: string }[]>;
  /**
   * All finished files in the folders of all runs, what is wrong with others, in words, and the files that a crash left
   * unfinished.
   */
  read(sid: string): Promise<{ files: RunFile[]; problems: string[]; leftovers: RunLeftover[] }>;
  /** Reads a quality report from the spool. Throws a Fault when it cannot be read. */
  readReport(file: RunFile): Promise<QualityReport>;
  /**
   * Keeps what another node knew of a recording where the next run looks for what earlier runs knew: in a folder of
   * that node's newest run, which has no files here. Returns the folder.
   */
  keepLeft(sid: string, generation: number, report: QualityReport): Promise<string>;
  /** Writes a quality report into the folder of a run, which is made when it is missing. */
  writeReport(sid: string, generation: number, baseName: string, report: QualityReport): Promise<RunFile>;
  /** Removes a recording's folder, of which nothing is seen any more once this is called. */
  remove(sid: string): Promise<void>;
  /** Removes what a crash left of folders that were being removed. */
  sweep(): Promise<void>;
};

/** The part of a pino logger that the session uses. */
export type SessionLog = {
  debug(details: object, text: string): void;
  info(details: object, text: string): void;
  warn(details: object, text: string): void;
  error(details: object, text: string): void;
};

/** What carries one task through its life. */
export type TaskPorts = {
  store: RecordingStore;
  channel: ChannelPort;
  pages: PagePort;
  pushes: PushPort;
  /** Networks that images may be fetched from besides the public internet, as EndpointGuard takes them. */
  imageNetworks: readonly string[];
  /** How much may be taken from the picture where the machine is too slow. */
  lowestRung: RungName;
  recorders: RecorderPort;
  uploads: UploadPort;
  spool: SpoolPort;
  strays: StrayPort;
  /** Absent outside of a fleet. */
  standbys?: StandbyPort | undefined;
  clock: Clock;
  /** Which start of the machine this is; undefined where the system does not say. */
  bootId: string | undefined;
  log: SessionLog;
  syncStopTimeoutMs: number;
  /** Told of what happens to tasks; nothing waits for it. */
  observer?: TaskObserver | undefined;
  /** What query answers of this recording may be something else from now on. It must not throw. */
  onChanged?: ((sid: string) => void) | undefined;
};

/** Whoever counts or traces what happens to tasks. It must not throw. */
export type TaskObserver = {
  /** An event was taken, which made of `before` the state `after`. */
  onEvent(task: Task, event: TaskEvent, before: TaskState, after: TaskState): void;
  /** The recorder at work told this of the task. */
  onFact(task: Task, fact: Fact): void;
  /** Another server has the task now; nothing more is told of it. */
  onLeft(task: Task): void;
};
