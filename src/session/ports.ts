/**
 * What the session needs from the world, as narrow as it uses it. The app joins the real ones; tests bring their own.
 */
import type { StartCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { SpooledFile } from '../media/segment.ts';
import type { Task, TaskState } from './task.ts';

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
  /** The recording it started, and when. */
  sid: string | undefined;
  startedMs: number | undefined;
};

export type StoredTask = { task: Task; state: TaskState };

export type RecordingStore = {
  addResource(resource: Resource): Promise<void>;
  findResource(resourceId: string): Promise<Resource | undefined>;
  /** The running task of a channel and uid. */
  findRunning(appid: string, cname: string, uid: string): Promise<string | undefined>;
  /** Uses the resource up and adds the task, in one transaction. `used` and `conflict` say who was faster. */
  addTask(task: Task, state: TaskState): Promise<'added' | 'used' | 'conflict'>;
  /** Keeps a task's new state; the credentials of an ended task are forgotten. */
  saveState(sid: string, state: TaskState, nowMs: number): Promise<void>;
  /** Tasks that have not ended: after a start of the server, those its forerunner left behind. One that is damaged does not hide the others. */
  unfinishedTasks(): Promise<{ tasks: StoredTask[]; unreadable: { sid: string; why: string }[] }>;
};

export type Feed = { path: string; openedMonoUs: number; close(): unknown };
export type ChannelPort = {
  /** A recording of this channel is about to begin: the channel gets a whole picture of everyone ready. */
  prepare(appid: string, cname: string): void;
  /** Joins the channel and keeps all it sends from this instant on. Throws a Fault, `uid-taken` when a user has the uid. */
  openFeed(who: { appid: string; cname: string; uid: string; sid: string }): Promise<Feed>;
  /** Why the token does not let the recorder in; undefined when it does, or when the app wants none. */
  refusalOf(who: { appid: string; cname: string; uid: string; token: string | undefined }): string | undefined;
};

export type RecorderProcess = {
  readonly pid: number;
  /** Ends the recording at monotonic `atMonoUs`; the process is ended by force when it takes too long. */
  stop(atMonoUs: number): void;
};
export type RecorderPort = {
  /** Starts a process; `onExit` comes once, after the last fact. Throws a Fault when there can be none. */
  launch(start: StartCommand, onFact: (fact: Fact) => void, onExit: (why: string) => void): RecorderProcess;
  /** Whether the process of a former server is still there. */
  isAlive(pid: number): boolean;
  /** Finishes what a recorder that died left unfinished in its spool folder, in a process of its own. */
  repair(spoolDir: string, mp4: { durationMs: number; bytes: number } | undefined): Promise<void>;
};

export type UploadEvent =
  | { type: 'mp4Stored'; key: string; startUtcMs: number }
  | { type: 'playlistStored'; key: string; startUtcMs: number };
export type Upload = {
  add(file: SpooledFile): void;
  /** Resolves when all that was added, and the playlist, is stored. Rejects when aborted. */
  finish(): Promise<void>;
  abort(): void;
};
export type UploadPort = {
  /** Throws a Fault when the store can never be reached with this configuration. */
  begin(
    options: { sid: string; storage: StorageConfig; spoolDir: string; extinfComma: boolean },
    onEvent: (event: UploadEvent) => void,
  ): Promise<Upload>;
};

export type SpoolPort = {
  /** Makes the recording's own folder and returns its path. */
  create(sid: string): Promise<string>;
  pathOf(sid: string): string;
  /** All files that lie finished in the folder, what is wrong with others, in words, and the names of those a crash left unfinished. */
  read(sid: string): Promise<{ files: SpooledFile[]; problems: string[]; leftovers: string[] }>;
  remove(sid: string): Promise<void>;
};

/** As much of a pino logger as the session uses. */
export type SessionLog = {
  debug(details: object, text: string): void;
  info(details: object, text: string): void;
  warn(details: object, text: string): void;
  error(details: object, text: string): void;
};
