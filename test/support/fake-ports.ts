/**
 * The session's ports as fakes whose hands a test can move: recorders that send the facts they are told to, uploads
 * that finish when they are let.
 */
import type { ChangeCommand, StartCommand } from '../../src/contract/line/commands.ts';
import type { CompleteCommand } from '../../src/contract/line/complete.ts';
import type { Fact } from '../../src/contract/line/facts.ts';
import type { MixPlan, Plan } from '../../src/contract/line/plan.ts';
import type { PushTarget } from '../../src/contract/line/push.ts';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import { placeOf, type StorageConfig } from '../../src/contract/line/storage.ts';
import type { Stretch } from '../../src/contract/line/stretches.ts';
import type { UploadingStatus } from '../../src/contract/rest/stop.ts';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { Fault } from '../../src/kernel/fault.ts';
import { newSid } from '../../src/kernel/ids.ts';
import type { SpooledDocument, SpooledFile } from '../../src/media/segment.ts';
import { fenced, type TaskHold } from '../../src/session/hold.ts';
import type {
  ClaimedTask,
  ClaimedTasks,
  FileElsewhere,
  LeftElsewhere,
  PastTask,
  Resource,
  RunFile,
  RunListener,
  Stray,
  TaskPorts,
  TokenRefusal,
  UploadEvent,
} from '../../src/session/ports.ts';
import type { Admission } from '../../src/session/recordings.ts';
import type { FormerRun, RunRecord } from '../../src/session/run-record.ts';
import type { Task, TaskDocument, TaskState } from '../../src/session/task.ts';
import { isRunning } from '../../src/session/task.ts';
import { ManualClock } from './manual-clock.ts';

type StoredTask = { task: Task; state: TaskState };
type Unstamped<F> = F extends Fact ? Omit<F, 'atMs' | 'generation'> : never;

export class FakeRecorder {
  readonly start: StartCommand;
  stoppedAtUs: number | undefined;
  killed = false;
  #listener: RunListener;
  constructor(start: StartCommand, listener: RunListener) {
    this.start = start;
    this.#listener = listener;
    queueMicrotask(() => listener.onProcess({ pid: 4242, startTicks: 1, bootId: 'boot' }));
  }
  readonly changes: ChangeCommand[] = [];
  /** What it is told to push to. */
  get targets(): PushTarget[] {
    const pushes = this.changes.filter((change) => change.type === 'changePushes');
    return pushes.at(-1)?.targets ?? this.start.pushes?.targets ?? [];
  }
  stop(atMonoUs: number): void {
    this.stoppedAtUs ??= atMonoUs;
  }
  change(command: ChangeCommand): void {
    this.changes.push(command);
  }
  kill(): void {
    this.killed = true;
  }
  tell(fact: Unstamped<Fact>): void {
    this.#listener.onFact({ ...fact, atMs: 0, generation: this.start.generation } as Fact);
  }
  exit(why: string): void {
    this.#listener.onExit(why);
  }
}

export class FakeUpload {
  readonly files: SpooledFile[] = [];
  readonly options: { extinfComma: boolean; stretches: readonly Stretch[] };
  /** The folder that each file was said to lie in, by name. */
  readonly dirs = new Map<string, string>();
  finishing = false;
  aborted = false;
  readonly tested: Promise<string | undefined>;
  readonly #end = Promise.withResolvers<UploadingStatus>();
  #onEvent: (event: UploadEvent) => void;
  constructor(
    options: { extinfComma: boolean; stretches: readonly Stretch[] },
    onEvent: (event: UploadEvent) => void,
    tested: Promise<string | undefined>,
  ) {
    this.options = options;
    this.tested = tested;
    this.#onEvent = onEvent;
  }
  add(file: SpooledFile, dir: string): void {
    this.files.push(file);
    this.dirs.set(file.name, dir);
  }
  finish(): Promise<UploadingStatus> {
    this.finishing = true;
    return this.#end.promise;
  }
  abort(): void {
    this.aborted = true;
    this.#end.reject(new Error('aborted'));
    this.#end.promise.catch(() => {});
  }
  stored = { storedBytes: 0, addedBytes: 0 };
  /** What updates brought. */
  readonly storages: StorageConfig[] = [];
  progress(): { storedBytes: number; addedBytes: number } {
    return this.stored;
  }
  async useStorage(storage: StorageConfig): Promise<void> {
    this.storages.push(storage);
  }
  recalls = 0;
  async recall(): Promise<void> {
    this.recalls++;
  }
  retries = 0;
  retry(): void {
    this.retries++;
  }
  tell(event: UploadEvent): void {
    this.#onEvent(event);
  }
  letFinish(where: UploadingStatus = 'uploaded'): void {
    this.#end.resolve(where);
  }
}

/** A store in memory, for tests that need no SQL. */
export class FakeStore {
  shared = false;
  fleet = false;
  readonly resources = new Map<string, Resource>();
  readonly tasks = new Map<string, StoredTask>();
  /** What was told, of all tasks, in the order it was stored. */
  readonly notices: Notice[] = [];
  /** Set to make the next writes of a state fail. */
  broken = false;
  async addResource(resource: Resource): Promise<void> {
    this.resources.set(resource.resourceId, resource);
  }
  async findResource(resourceId: string): Promise<Resource | undefined> {
    return this.resources.get(resourceId);
  }
  async findRunning(appid: string, cname: string, uid: string): Promise<string | undefined> {
    for (const { task, state } of this.tasks.values())
      if (task.appid === appid && task.cname === cname && task.uid === uid && isRunning(state)) return task.sid;
    return undefined;
  }
  /** Recordings that other servers run, of any app. */
  elsewhere = 0;
  async runningElsewhere(): Promise<number> {
    return this.elsewhere;
  }
  async addTask(
    task: Task,
    state: TaskState,
    mostElsewhere = Number.POSITIVE_INFINITY,
  ): Promise<TaskHold | 'used' | 'conflict' | 'full'> {
    if (this.elsewhere > mostElsewhere) return 'full';
    const resource = this.resources.get(task.resourceId);
    if (!resource || resource.sid !== undefined) return 'used';
    if (await this.findRunning(task.appid, task.cname, task.uid)) return 'conflict';
    this.resources.set(task.resourceId, { ...resource, sid: task.sid, startedMs: task.createdMs });
    this.tasks.set(task.sid, { task, state });
    this.claimed.add(task.sid);
    if (this.broken) throw new Error('the database is gone');
    return this.holdOf(task.sid);
  }
  async dropTask(resourceId: string, sid: string): Promise<void> {
    if (this.broken) throw new Error('the database is gone');
    this.tasks.delete(sid);
    await this.releaseResource(resourceId, sid);
  }
  async releaseResource(resourceId: string, sid: string): Promise<void> {
    const resource = this.resources.get(resourceId);
    if (resource?.sid === sid) this.resources.set(resourceId, { ...resource, sid: undefined, startedMs: undefined });
  }
  /** Tasks that another server has taken over. */
  readonly taken = new Set<string>();
  /** Runs by sid, oldest first. */
  readonly runs = new Map<string, FormerRun[]>();
  /** What another node left in the database, by sid. */
  readonly left = new Map<string, LeftElsewhere>();
  /** How this server holds a task. */
  holdOf(sid: string): TaskHold {
    return { sid, owner: 'me', epoch: 1 };
  }
  #write(sid: string): void {
    if (this.broken) throw new Error('the database is gone');
    if (this.taken.has(sid)) throw fenced(sid);
  }
  async saveRun({ sid }: TaskHold, run: RunRecord): Promise<void> {
    this.#write(sid);
    const others = (this.runs.get(sid) ?? []).filter(({ generation }) => generation !== run.generation);
    this.runs.set(sid, [...others, run]);
  }
  async saveDocument({ sid }: TaskHold, document: TaskDocument): Promise<void> {
    this.#write(sid);
    const stored = this.tasks.get(sid);
    if (stored) this.tasks.set(sid, { ...stored, task: { ...stored.task, document } });
  }
  async findTask(appid: string, sid: string): Promise<PastTask | undefined> {
    const stored = this.tasks.get(sid);
    if (stored?.task.appid !== appid) return undefined;
    const place = placeOf(stored.task.document.storage);
    return { ...stored, endedMs: undefined, quality: this.reports.get(sid), place };
  }
  /** Quality reports by sid. */
  readonly reports = new Map<string, QualityReport>();
  async saveQuality({ sid }: TaskHold, report: QualityReport): Promise<void> {
    this.#write(sid);
    this.reports.set(sid, report);
  }
  async saveState({ sid }: TaskHold, state: TaskState, _nowMs = 0, notices: readonly Notice[] = []): Promise<void> {
    this.#write(sid);
    this.notices.push(...notices);
    const stored = this.tasks.get(sid);
    if (stored) this.tasks.set(sid, { ...stored, state });
  }
  /** Tasks that have not ended, as the next server finds them. */
  get unfinished(): StoredTask[] {
    return [...this.tasks.values()].filter(({ state }) => state.phase !== 'ended');
  }
  /** Tasks that were added or claimed through this store. */
  readonly claimed = new Set<string>();
  /** How soon the lease of a node ends that is overdue. */
  leaseEndsInMs: number | undefined;
  async claimTasks(): Promise<ClaimedTasks> {
    const tasks: ClaimedTask[] = this.unfinished
      .filter(({ task }) => !this.claimed.has(task.sid))
      .map(({ task, state }) => ({
        task,
        state,
        hold: this.holdOf(task.sid),
        resource: this.resources.get(task.resourceId) ?? resourceOf(task),
        runs: this.runs.get(task.sid) ?? [],
        left: this.left.get(task.sid),
      }));
    for (const { hold } of tasks) this.claimed.add(hold.sid);
    return { tasks, unreadable: [], leaseEndsInMs: this.leaseEndsInMs };
  }
  async unknownOf(sids: readonly string[]): Promise<string[]> {
    return sids.filter((sid) => !this.tasks.has(sid));
  }
  async storedOf(sids: readonly string[]): Promise<string[]> {
    return sids.filter((sid) => {
      const { phase, uploadedTo } = this.tasks.get(sid)?.state ?? {};
      return phase === 'ended' && (uploadedTo === 'uploaded' || uploadedTo === 'backuped');
    });
  }
  /** Tasks that other servers may take over. */
  readonly offered = new Set<string>();
  async offer(sids: readonly string[], offered: boolean): Promise<string[]> {
    const own = sids.filter((sid) => !this.taken.has(sid));
    for (const sid of own) if (offered) this.offered.add(sid);
    for (const sid of own) if (!offered) this.offered.delete(sid);
    return own;
  }
  async lostOf(holds: readonly TaskHold[]): Promise<string[]> {
    return holds.map(({ sid }) => sid).filter((sid) => this.taken.has(sid));
  }
}

/** The resource that a task was started with. */
function resourceOf({ resourceId, appid, cname, uid, sid, createdMs }: Task): Resource {
  const rest = { scene: 0, expiresMs: 0, resourceExpiredHour: 72, startHash: undefined } as const;
  return { resourceId, appid, cname, uid, ...rest, sid, startedMs: createdMs };
}

export class FakeWorld {
  readonly clock = new ManualClock();
  readonly store = new FakeStore();
  readonly recorders: FakeRecorder[] = [];
  readonly uploads: FakeUpload[] = [];
  /** What lies on the spool, by sid. */
  readonly spooled = new Map<string, RunFile[]>();
  /** Runs that have a folder, by sid. */
  readonly runs = new Map<string, number[]>();
  readonly removed: string[] = [];
  /** What other nodes recorded, and what the database knows of their files. */
  readonly strays: Stray[] = [];
  readonly filesElsewhere: FileElsewhere[] = [];
  /** The reports of other nodes that were kept for the next run, by sid. */
  readonly left = new Map<string, QualityReport>();
  /** Quality reports that lie on a spool, by name. */
  readonly written = new Map<string, QualityReport>();
  /** What a crash left unfinished on every spool. */
  leftovers: string[] = [];
  /** Of each leftover. */
  leftoverBytes = 1;
  readonly lines: { level: string; details: object; text: string }[] = [];
  readonly alive = new Set<number>();
  feedsOpen = 0;
  /** Channels whose publishers were sent to another node, which have left once `channelEmptied` is resolved. */
  readonly sentAway: { cname: string; graceMs: number }[] = [];
  readonly channelEmptied = Promise.withResolvers<void>();
  /** Recordings that other nodes took over and of which something is not stored. */
  readonly unstored = new Set<string>();
  /** Channels that were told of a recording to come. */
  readonly prepared: string[] = [];
  /** What opening a feed, launching a recorder or beginning an upload fails with. */
  feedFault: Fault | undefined;
  /** What making a folder on the spool fails with. */
  createFault: Fault | undefined;
  launchFault: Fault | undefined;
  repairFault: Fault | undefined;
  /** What the next processes that complete recordings fail with, in order. */
  readonly completeFaults: Fault[] = [];
  /** What recordings were completed with, in order. */
  readonly completed: CompleteCommand[] = [];
  /** Set to have completing wait until it is called off. */
  holdComplete = false;
  /** Processes of former servers that were ended by force. */
  readonly ended: number[] = [];
  uploadFault: Fault | undefined;
  /** What stores say to a test object. */
  tested: Promise<string | undefined> = Promise.resolve(undefined);
  tokenRefusal: TokenRefusal | undefined;

  ports(): TaskPorts {
    const line = (level: string) => (details: object, text: string) => void this.lines.push({ level, details, text });
    return {
      store: this.store,
      clock: this.clock,
      bootId: 'boot',
      lowestRung: 'oneASecond',
      syncStopTimeoutMs: 20_000,
      log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
      channel: {
        prepare: (_appid, cname) => void this.prepared.push(cname),
        sendAway: (_appid, cname, graceMs) => {
          this.sentAway.push({ cname, graceMs });
          return this.channelEmptied.promise;
        },
        refusalOf: () => this.tokenRefusal,
        openFeed: async () => {
          if (this.feedFault) throw this.feedFault;
          this.feedsOpen++;
          return { path: '/tmp/feed.sock', openedMonoUs: this.clock.monoUs(), close: () => void this.feedsOpen-- };
        },
      },
      pushes: { networks: [], refusalOf: () => undefined },
      pages: {
        refusal: undefined,
        sourceOf: (page) => ({
          ...{ kind: 'page', ...page, root: '/tmp/pages', hidden: [], networks: [] },
          ...{ guard: 'namespace', sandboxed: true, limits: { home: {}, memoryBytes: 0, processes: 0, cores: 0 } },
        }),
        sweep: () => {},
      },
      imageNetworks: ['loopback'],
      recorders: {
        isAlive: ({ pid }) => this.alive.has(pid),
        endOrphan: ({ pid }) => {
          this.alive.delete(pid);
          this.ended.push(pid);
        },
        complete: async (command, { signal, onProcess }) => {
          onProcess({ pid: 77, startTicks: 1, bootId: 'boot' });
          if (this.holdComplete)
            await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
          const fault = this.completeFaults.shift() ?? this.repairFault;
          if (fault) throw fault;
          this.completed.push(command);
        },
        launch: (start, listener) => {
          if (this.launchFault) throw this.launchFault;
          const recorder = new FakeRecorder(start, listener);
          this.recorders.push(recorder);
          return recorder;
        },
      },
      uploads: {
        begin: async (options, onEvent) => {
          if (this.uploadFault) throw this.uploadFault;
          const upload = new FakeUpload(options, onEvent, this.tested);
          this.uploads.push(upload);
          return upload;
        },
      },
      spool: {
        sids: async () => [...this.spooled.keys()],
        pathOf: (sid) => `/spool/${sid}`,
        runs: async (sid) =>
          (this.runs.get(sid) ?? []).map((generation) => ({ generation, dir: `/spool/${sid}/${generation}` })),
        create: async (sid, generation) => {
          if (this.createFault) throw this.createFault;
          this.spooled.set(sid, this.spooled.get(sid) ?? []);
          this.runs.set(sid, [...(this.runs.get(sid) ?? []), generation]);
          return `/spool/${sid}/${generation}`;
        },
        read: async (sid) => ({
          files: [...(this.spooled.get(sid) ?? [])],
          problems: [],
          leftovers: this.leftovers.map((name) => ({ dir: `/spool/${sid}/1`, name, bytes: this.leftoverBytes })),
        }),
        readReport: async ({ file }) => {
          const report = this.written.get(file.name);
          if (!report) throw fakeFault('report-unreadable');
          return report;
        },
        writeReport: async (sid, generation, _baseName, report) => {
          const file = documentOf(sid);
          this.written.set(file.name, report);
          return { dir: `/spool/${sid}/${generation}`, file };
        },
        remove: async (sid) => void this.removed.push(sid),
        sweep: async () => {},
        keepLeft: async (sid, generation, report) => {
          this.left.set(sid, report);
          this.runs.set(sid, [...(this.runs.get(sid) ?? []), generation]);
          return `/spool/${sid}/${generation}`;
        },
      },
      strays: {
        of: async (sids) => this.strays.filter(({ sid }) => sids.includes(sid)),
        filesOf: async () => this.filesElsewhere,
        mine: async (sids) => sids.filter((sid) => this.unstored.has(sid)),
      },
    };
  }

  /** Puts a file on a recording's spool and tells of it, as a recorder does. */
  spool(recorder: FakeRecorder, file: SpooledFile): void {
    this.spooled.get(recorder.start.plan.sid)?.push({ dir: recorder.start.spoolDir, file });
    recorder.tell({ type: 'fileSpooled', file });
  }
}

/** Lets every recording in. */
export const OPEN: Admission = { refusalOf: () => undefined, forget: () => {} };

/** The quality report of a recording as a file. */
export function documentOf(sid: string): SpooledDocument {
  const place = { startUtcMs: 1, durationUs: 1, bytes: 1 };
  return { type: 'document', kind: 'report', name: `${sid}_report.json`, ...place };
}

export function fakeFault(code: string, retryable = false): Fault {
  return new Fault(code, `fault ${code}`, { blame: 'self', retryable });
}

/** Lets everything that waits for nothing but its turn run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A task that records sound into a folder of the server. */
export function taskOf(): Task {
  const sid = newSid();
  return {
    sid,
    resourceId: 'r',
    appid: 'a',
    cname: 'c',
    uid: '1',
    createdMs: 0,
    document: {
      plan: {
        mode: 'mix',
        sid,
        baseName: sid,
        audio: { channels: 1, bitrateKbps: 48 },
        subscribe: { audio: { kind: 'all' }, video: { kind: 'none' } },
        files: { hls: true, mp4: true },
        maxIdleMs: 30_000,
        mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
      },
      storage: { vendor: 1000, region: 0, bucket: 'b', accessKey: '', secretKey: '', fileNamePrefix: [] } as never,
      extinfComma: false,
      storeReport: true,
      token: undefined,
      warnings: [],
    },
  };
}

/** The plan of a composite. Throws an Error when it is of another mode. */
export function mixPlanOf({ plan }: { plan: Plan }): MixPlan {
  if (plan.mode !== 'mix') throw new Error(`the plan is of mode ${plan.mode}`);
  return plan;
}
