/**
 * TaskRunner: carries one task through its life. Events are taken one after another; each new state is kept before its
 * effects are carried out, so that after a crash the store never knows less than the world.
 */

import type { ChangeCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { Layout, Subscription } from '../contract/line/plan.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { Warning } from '../contract/lint/warning.ts';
import type { Notice } from '../contract/webhook/notice.ts';
import { type Clock, sleep, type Timer, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import type { SpooledDocument, SpooledFile } from '../media/segment.ts';
import { isFenced, type TaskHold } from './hold.ts';
import { transition } from './machine.ts';
import { ERROR_CODES, noticesOf } from './notices.ts';
import type {
  ChannelPort,
  Feed,
  RecorderPort,
  RecorderProcess,
  RecordingStore,
  SessionLog,
  SpoolPort,
  UploadPort,
} from './ports.ts';
import { stamp } from './stamp.ts';
import type { StopOutcome, Task, TaskEffect, TaskEvent, TaskState } from './task.ts';
import { TaskUpload } from './task-upload.ts';

export type TaskPorts = {
  store: RecordingStore;
  channel: ChannelPort;
  recorders: RecorderPort;
  uploads: UploadPort;
  spool: SpoolPort;
  clock: Clock;
  log: SessionLog;
  syncStopTimeoutMs: number;
};

const SAVE_TIMEOUT_MS = 5_000;
/** Warnings of later calls are kept up to this many. */
const MAX_WARNINGS = 200;

/** What an update or updateLayout changes; each replaces the whole of what it names. */
export type TaskChange = {
  storage?: StorageConfig;
  subscribe?: { audio: Subscription; video: Subscription };
  layout?: { layout: Layout; backgroundColor: string };
  warnings?: readonly Warning[];
};

/** How long the recorder of a server that died may take to finish its files before the spool is read without it. */
const ORPHAN_WAIT_MS = 30_000;

export class TaskRunner {
  #task: Task;
  /** Settles when the task has ended. */
  readonly ended: Promise<void>;
  #ports: TaskPorts;
  #state: TaskState;
  #turn: Promise<void> = Promise.resolve();
  #markEnded: () => void = () => {};
  #feed: Feed | undefined;
  #recorder: RecorderProcess | undefined;
  readonly #upload: TaskUpload;
  #leftovers: string[] = [];
  #requests = 0;
  #answers = new Map<number, (outcome: StopOutcome) => void>();
  #stopTimer: Timer | undefined;
  #launchFailure: unknown;
  #aborted = new AbortController();
  /** Notices whose state could not be stored yet. */
  #unsaved: Notice[] = [];
  #quality: QualityReport | undefined;

  readonly hold: TaskHold;
  #fenced = false;

  constructor(task: Task, state: TaskState, hold: TaskHold, ports: TaskPorts) {
    this.#task = task;
    this.#state = state;
    this.hold = hold;
    this.#ports = ports;
    this.#upload = new TaskUpload({
      ...ports,
      hold,
      task: () => this.#task,
      onEvent: (event) => void this.dispatch(event),
    });
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
  }

  get task(): Task {
    return this.#task;
  }

  get state(): TaskState {
    return this.#state;
  }

  /** The newest quality report of the recorder; undefined before the first. */
  get quality(): QualityReport | undefined {
    return this.#quality;
  }

  /** Opens the channel's feed and launches the recorder. Rejects when no recorder could be had. */
  async start(): Promise<void> {
    await this.dispatch({ type: 'startAccepted' });
    if (this.#launchFailure !== undefined) throw this.#launchFailure;
  }

  /** Ends the recording. With `wait`, resolves when its files are stored or the time for that is over. */
  stop(wait: boolean): Promise<StopOutcome> {
    const request = ++this.#requests;
    return new Promise((resolve) => {
      this.#answers.set(request, resolve);
      void this.dispatch({ type: 'stopRequested', request, wait });
    });
  }

  /**
   * Changes the running recording, from this instant on. Resolves to false, and changes nothing, when it is not running any more.
   * Rejects with a Fault when the store can never be reached with the new credentials.
   */
  change(change: TaskChange): Promise<boolean> {
    const changed = this.#turn.then(() => this.#change(change));
    this.#turn = changed.then(
      () => undefined,
      () => undefined,
    );
    return changed;
  }

  /**
   * Another server has the task: all that this one does for it ends at once, and nobody is told. Whoever waits for a stop hears
   * that the recording is gone.
   */
  fence(): void {
    if (this.#fenced) return;
    this.#fenced = true;
    this.#ports.log.error({ sid: this.#task.sid }, 'another server has taken this recording over; it ends here');
    this.abandon();
    this.#recorder?.kill();
    void this.#feed?.close();
    for (const answer of this.#answers.values()) answer('gone');
    this.#answers.clear();
    this.#markEnded();
  }

  /** Gives up uploading, so that the process can end; the task stays unfinished and the next server goes on with it. */
  abandon(): void {
    this.#aborted.abort(new Error('the server shuts down'));
    this.#stopTimer?.cancel();
    this.#upload.abort();
  }

  /** Takes an event after all earlier ones; resolves when its effects were carried out. */
  dispatch(event: TaskEvent): Promise<void> {
    this.#turn = this.#turn.then(() => this.#take(event));
    return this.#turn;
  }

  async #take(event: TaskEvent): Promise<void> {
    if (this.#fenced) {
      if (event.type === 'stopRequested') this.#answers.get(event.request)?.('gone');
      return;
    }
    const { clock, log } = this.#ports;
    const before = this.#state;
    const next = transition(before, event);
    const drafts = noticesOf(this.#task, before, event, next.state);
    const notices = stamp(drafts, this.#task, before.sequence, clock.nowMs(), newHexId);
    const news = next.state !== before || notices.length > 0;
    const state = news
      ? { ...next.state, sequence: before.sequence + notices.length, revision: before.revision + 1 }
      : before;
    const { effects } = next;
    this.#state = state;
    if (state !== before) {
      await this.#save(notices);
      if (this.#fenced) return;
      if (state.phase !== before.phase) this.#sayPhase(state);
    }
    for (const effect of effects) {
      try {
        await this.#carryOut(effect);
      } catch (error) {
        log.error({ sid: this.task.sid, effect: effect.type, error: messageOf(error) }, 'a step of a recording failed');
      }
    }
    if (state.phase === 'ended' && before.phase !== 'ended') {
      this.#upload.end();
      this.#markEnded();
    }
  }

  /** The recording matters more than its row: when it cannot be stored, the next transition writes it again, notices and all. */
  async #save(notices: Notice[]): Promise<void> {
    const { store, clock, log } = this.#ports;
    this.#unsaved.push(...notices);
    // A database that does not answer must not hold up a recording. What it does late, the next save repeats or outdoes.
    const late = () => new Error(`the database did not answer within ${SAVE_TIMEOUT_MS} ms`);
    try {
      const saving = store.saveState(this.hold, this.#state, clock.nowMs(), [...this.#unsaved]);
      await within(clock, SAVE_TIMEOUT_MS, saving, late);
      this.#unsaved = [];
    } catch (error) {
      if (isFenced(error)) return this.fence();
      log.error({ sid: this.#task.sid, error: messageOf(error) }, 'the state of a recording could not be stored');
    }
  }

  async #change({ storage, subscribe, layout, warnings = [] }: TaskChange): Promise<boolean> {
    const { store, clock } = this.#ports;
    if (this.#state.phase !== 'new' && this.#state.phase !== 'recording') return false;
    const { document } = this.#task;
    const { plan } = document;
    if (storage) await this.#upload.useStorage(storage);
    const changed = {
      ...document,
      storage: storage ?? document.storage,
      plan: {
        ...plan,
        ...(subscribe && { subscribe }),
        ...(layout && plan.mode === 'mix' && plan.video && { video: { ...plan.video, ...layout } }),
      },
      warnings: [...document.warnings, ...warnings].slice(0, MAX_WARNINGS),
    };
    await store.saveDocument(this.hold, changed);
    this.#task = { ...this.#task, document: changed };
    const atMonoUs = clock.monoUs();
    const commands: ChangeCommand[] = [
      ...(subscribe ? [{ type: 'changeSubscription', atMonoUs, subscribe } as const] : []),
      ...(layout ? [{ type: 'changeLayout', atMonoUs, ...layout } as const] : []),
    ];
    for (const command of commands) this.#recorder?.change(command);
    return true;
  }

  #sayPhase(state: TaskState): void {
    const { sid, appid, cname, uid } = this.task;
    const details = { sid, appid, cname, uid, phase: state.phase, status: state.status, ending: state.ending };
    if (state.healthy) this.#ports.log.info(details, `recording ${state.phase}`);
    else this.#ports.log.warn(details, `recording ${state.phase} after a failure: ${state.ending}`);
  }

  async #carryOut(effect: TaskEffect): Promise<void> {
    const { clock } = this.#ports;
    switch (effect.type) {
      case 'launchRecorder':
        return this.#launch();
      case 'stopRecorder':
        if (this.#recorder) this.#recorder.stop(clock.monoUs());
        // A stop that came before anything was launched: there is nothing to wait for.
        else void this.dispatch({ type: 'recorderEnded', reason: 'stopped', message: 'stopped before it began' });
        return;
      case 'releaseChannel':
        await this.#feed?.close();
        this.#feed = undefined;
        return;
      case 'finishUpload':
        void this.#finishUpload();
        return;
      case 'armStopTimer':
        this.#stopTimer = clock.after(this.#ports.syncStopTimeoutMs, () => {
          void this.dispatch({ type: 'stopTimedOut', request: effect.request });
        });
        return;
      case 'answerStop':
        this.#stopTimer?.cancel();
        this.#answers.get(effect.request)?.(effect.outcome);
        this.#answers.delete(effect.request);
        return;
      case 'discardSpool':
        return this.#discardSpool();
    }
  }

  async #launch(): Promise<void> {
    const { channel, recorders, spool, clock, log } = this.#ports;
    const { sid, appid, cname, uid, document } = this.task;
    try {
      const refusal = channel.refusalOf({ appid, cname, uid, token: document.token });
      if (refusal !== undefined) {
        void this.dispatch({ type: 'recorderLost', ...refusal });
        return;
      }
      const { videoStreamType = 0 } = document.plan;
      this.#feed = await channel.openFeed({ appid, cname, uid, sid, videoStreamType });
      const { openedMonoUs, path } = this.#feed;
      const spoolDir = await spool.create(sid);
      const zeroUtcMs = Math.round(clock.nowMs() - (clock.monoUs() - openedMonoUs) / 1000);
      this.#recorder = recorders.launch(
        {
          type: 'start',
          plan: document.plan,
          generation: 1,
          source: { kind: 'feed', path },
          spoolDir,
          earlierDirs: [],
          changes: [],
          zeroUtcMs,
          zeroMonoUs: openedMonoUs,
        },
        (fact) => this.#onFact(fact),
        (why) => void this.dispatch({ type: 'recorderLost', message: why }),
      );
      void this.dispatch({ type: 'recorderLaunched', pid: this.#recorder.pid });
    } catch (error) {
      // A uid that a user has makes the recording fail after a good start call (contract §6.10); all else fails the call.
      const taken = (error as { code?: unknown }).code === 'uid-taken';
      if (!taken) this.#launchFailure = error;
      const errorCode = taken ? ERROR_CODES.uidTaken : ERROR_CODES.failed;
      void this.dispatch({ type: 'recorderLost', message: messageOf(error), errorCode });
      return;
    }
    // Not awaited: the client of a store may take a second to load, and the start call need not wait for it.
    void this.#upload.begin().catch((error) => {
      log.error({ sid, error: messageOf(error) }, 'the store cannot be used; the recording is stopped');
      void this.dispatch({ type: 'storeRefused', message: messageOf(error), forGood: true });
    });
  }

  async #finishUpload(): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.task;
    try {
      if (this.#state.orphaned) await this.#waitForOrphan();
      await this.#complete();
      const { files, problems, leftovers } = await spool.read(sid);
      this.#leftovers = leftovers;
      for (const problem of problems) log.warn({ sid }, `the spool is damaged: ${problem}`);
      const where = await this.#upload.finish(await this.#withReport(files));
      await this.dispatch({ type: 'uploadsFinished', where });
    } catch (error) {
      if (this.#aborted.signal.aborted) return;
      const message = `files stay in ${spool.pathOf(sid)}: ${messageOf(error)}`;
      log.error({ sid, error: messageOf(error) }, message);
      await this.dispatch({ type: 'uploadsAbandoned', message });
    }
  }

  /**
   * Sees to it that the quality report is kept, and returns the files to store. A recording that has no other files has no
   * report in its store either, and one that has no report lacks nothing else.
   */
  async #withReport(files: SpooledFile[]): Promise<SpooledFile[]> {
    const { spool, store, clock, log } = this.#ports;
    const { sid, document } = this.#task;
    const media = files.filter((file) => !isReport(file));
    let written = files.find(isReport);
    try {
      if (!written && this.#quality && media.length > 0)
        written = await spool.writeReport(sid, document.plan.baseName, { ...this.#quality, state: 'partial' });
      if (!written) return media;
      const report = await spool.readReport(sid, written.name);
      this.#quality = report;
      const late = () => new Error(`the database did not answer within ${SAVE_TIMEOUT_MS} ms`);
      await within(clock, SAVE_TIMEOUT_MS, store.saveQuality(this.hold, report), late);
    } catch (error) {
      log.error({ sid, error: messageOf(error) }, 'the quality report of a recording could not be kept');
    }
    return written && document.storeReport && media.length > 0 ? [...media, written] : media;
  }

  /** Keeps the folder when a crash left unfinished files in it: what they hold is nowhere else. */
  async #discardSpool(): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.task;
    if (this.#leftovers.length === 0) return spool.remove(sid);
    log.warn({ sid, files: this.#leftovers }, `files that a crash left unfinished are kept in ${spool.pathOf(sid)}`);
  }

  /**
   * Repairs what a recorder that crashed left, and makes what is made after the end. What of it fails must not keep the rest from
   * its store.
   */
  async #complete(): Promise<void> {
    const { spool, recorders, log } = this.#ports;
    const { sid, cname, document } = this.task;
    const { plan } = document;
    const { files, leftovers } = await spool.read(sid);
    const hasSlices = files.some(({ type }) => type === 'slice');
    const mp4 = plan.mode === 'mix' && plan.files.mp4 ? plan.mp4Limit : undefined;
    const lacksMp4 = mp4 !== undefined && hasSlices && !files.some(({ type }) => type === 'mp4');
    const extras = plan.mode === 'individual' && (plan.extras.mp4 || plan.extras.manifest) ? plan.extras : undefined;
    if (leftovers.length === 0 && !lacksMp4 && !(extras && hasSlices)) return;
    if (leftovers.length > 0 || lacksMp4)
      log.warn({ sid, leftovers }, 'the recorder left unfinished files; repairing them');
    try {
      await recorders.complete(spool.pathOf(sid), { mp4, extras: extras && { sid, cname, ...extras } });
    } catch (error) {
      log.error({ sid, error: messageOf(error) }, 'unfinished files could not be completed');
    }
  }

  async #waitForOrphan(): Promise<void> {
    const { recorders, clock } = this.#ports;
    const pid = this.#state.recorderPid;
    if (pid === undefined) return;
    const giveUpUs = clock.monoUs() + ORPHAN_WAIT_MS * 1000;
    while (recorders.isAlive(pid) && clock.monoUs() < giveUpUs) await sleep(clock, 500, this.#aborted.signal);
  }

  #onFact(fact: Fact): void {
    const { log } = this.#ports;
    const { sid } = this.task;
    switch (fact.type) {
      case 'ready':
        void this.dispatch({ type: 'recorderReady' });
        return;
      case 'joined':
        void this.dispatch({ type: 'recorderJoined' });
        return;
      case 'fileSpooled':
        // A report is stored when all else is, and is no file of the recording for callers.
        if (!isReport(fact.file)) this.#upload.add(fact.file);
        return;
      case 'qualityMeasured':
        this.#quality = fact.report;
        return;
      case 'ended':
        void this.dispatch({ type: 'recorderEnded', reason: fact.reason, message: fact.message });
        return;
      case 'streamStateChanged':
      case 'sliceStarted':
        void this.dispatch(fact);
        return;
      case 'degraded':
        log.warn({ sid, count: fact.count }, `recording degraded: ${fact.what}`);
        return;
      case 'pong':
        return;
      default: {
        const { type, ...details } = fact;
        log.info({ sid, ...details }, type);
      }
    }
  }
}

function isReport(file: SpooledFile): file is SpooledDocument {
  return file.type === 'document' && file.kind === 'report';
}
