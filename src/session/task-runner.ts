/**
 * TaskRunner: carries one task through its life. Events are taken one after another; each new state is kept before its
 * effects are carried out, so that after a crash the store never knows less than the world.
 */

import type { Change } from '../contract/line/commands.ts';
import type { OverlaysChange } from '../contract/line/overlays.ts';
import type { Layout, Subscription } from '../contract/line/plan.ts';
import type { PushTarget } from '../contract/line/push.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { Stereo } from '../contract/line/stereo.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { Stretch } from '../contract/line/stretches.ts';
import type { Warning } from '../contract/lint/warning.ts';
import { type Timer, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import type { RecordingUs } from '../kernel/time.ts';
import { keepChanges, overlaysChanged, planAfter, toCommands } from './changes.ts';
import { Completion } from './completion.ts';
import { isFenced, type TaskHold } from './hold.ts';
import { transition } from './machine.ts';
import { noticesOf } from './notices.ts';
import { awaitOrphans } from './orphans.ts';
import type { LeftElsewhere, TaskPorts } from './ports.ts';
import { RecorderRuns } from './recorder-runs.ts';
import { type FormerRun, type RunRecord, stretchesOf } from './run-record.ts';
import { stamp } from './stamp.ts';
import { SAVE_TIMEOUT_MS, StateWriter } from './state-writer.ts';
import type { StopOutcome, Task, TaskEffect, TaskEvent, TaskState } from './task.ts';
import { TaskUpload } from './task-upload.ts';

/** How often another node could learn what the quality report of a recording of a fleet says. */
const KEEP_REPORT_EVERY_MS = 15_000;
/** At most this many warnings about later calls are kept. */
const MAX_WARNINGS = 200;

/** What the log says when a task enters a phase. */
const PHASE_WORDS: Record<TaskState['phase'], string> = {
  new: 'recording accepted',
  recording: 'recording started',
  stopping: 'recording stopping',
  uploading: 'recording uploading',
  ended: 'recording ended',
};

/** What an update or updateLayout changes; each member except `overlays` replaces the whole of what it names. */
export type TaskChange = {
  storage?: StorageConfig;
  subscribe?: { audio: Subscription; video: Subscription };
  layout?: { layout: Layout; backgroundColor: string };
  /** Who is heard on which side of a composite in stereo. */
  stereo?: Stereo | undefined;
  /** Has no effect where there is no picture. */
  overlays?: OverlaysChange | undefined;
  /** Whether nothing is recorded for now. */
  onhold?: boolean | undefined;
  /** Where a web page is pushed to. */
  pushes?: PushTarget[] | undefined;
  warnings?: readonly Warning[];
};

export class TaskRunner {
  readonly hold: TaskHold;
  /** Settles when the task has ended here and everything about it is stored, or when another server has it. */
  readonly ended: Promise<void>;
  #task: Task;
  #state: TaskState;
  readonly #ports: TaskPorts;
  readonly #writer: StateWriter;
  readonly #runs: RecorderRuns;
  readonly #upload: TaskUpload;
  readonly #completion: Completion;
  #turn: Promise<void> = Promise.resolve();
  #markEnded: () => void = () => {};
  /** The former server's runs, some of which may still be at work. */
  #former: readonly RunRecord[] = [];
  #requests = 0;
  #answers = new Map<number, (outcome: StopOutcome) => void>();
  #stopTimer: Timer | undefined;
  #aborted = new AbortController();
  #fenced = false;
  #waitsForOrphans = false;
  #quality: QualityReport | undefined;
  #qualityKeptMs = Number.NEGATIVE_INFINITY;
  #stretches: readonly Stretch[] = [];

  constructor(task: Task, state: TaskState, hold: TaskHold, ports: TaskPorts) {
    this.#task = task;
    this.#state = state;
    this.hold = hold;
    this.#ports = ports;
    const own = {
      hold,
      task: () => this.#task,
      state: () => this.#state,
      onEvent: (event: TaskEvent) => void this.dispatch(event),
      onFenced: () => this.fence(),
      stretches: () => this.#stretches,
    };
    this.#writer = new StateWriter({ ...ports, ...own });
    this.#upload = new TaskUpload({ ...ports, ...own });
    this.#runs = new RecorderRuns({
      ...own,
      ports,
      onFile: (file, dir) => this.#upload.add({ file, dir }),
      onReport: (report) => this.#onMeasured(report),
    });
    this.#completion = new Completion({
      ...own,
      ports,
      upload: this.#upload,
      quality: () => this.#quality,
      keep: (run) => this.#runs.keep(run),
      onReport: (report) => {
        this.#quality = report;
        return this.#writer.saveQuality(report);
      },
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
    if (this.#runs.failure !== undefined) throw this.#runs.failure;
  }

  /** Tries at once what waits for the store. False when nothing is being uploaded yet. */
  retryUpload(): boolean {
    return this.#upload.retry();
  }

  /** As of TaskUpload. */
  get storeRefusal(): Promise<string | undefined> {
    return this.#upload.refusal;
  }

  /** Whether another node has recorded a part of it. */
  get wasElsewhere(): boolean {
    return this.#stretches.length > 0;
  }

  /** Gives what other nodes have stored since its place in the playlists. Rejects when the database cannot be read. */
  recall(): Promise<void> {
    return this.#upload.recall();
  }

  /**
   * Goes on with a task that was claimed.
   * @param former its runs, oldest first
   * @param left what another node left of it in the database; undefined where the files of all runs lie here
   */
  async resume(former: readonly FormerRun[], left?: LeftElsewhere): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.#task;
    const own = former.filter(({ elsewhere }) => elsewhere === undefined);
    this.#former = own;
    // The database may not know a run that has a folder; its number must not be used twice.
    const spooled = await spool.runs(sid).catch((error) => {
      log.error({ sid, error: messageOf(error) }, 'the spool of a recording cannot be read');
      return [];
    });
    // What this node stored and removed while another had the recording is not lost.
    const isElsewhere = own.length < former.length;
    for (const { kind, generation } of own)
      if (kind === 'record' && !isElsewhere && !spooled.some((each) => each.generation === generation))
        log.error({ sid, generation }, 'the spool folder of a run is gone: what was not stored of it is lost');
    const newestGeneration = Math.max(0, ...[...former, ...spooled].map(({ generation }) => generation));
    const next = Math.max(this.#state.generation, newestGeneration) + 1;
    const here = spooled.map(({ generation }) => generation);
    this.#stretches = stretchesOf(former, next, here);
    if (left) await this.#takeUp(left, next - 1);
    await this.#runs.recall(left?.recordedUntilMs);
    await this.dispatch({ type: 'serverRestarted', newestGeneration });
  }

  /** Has the next run go on from what another node, up to the run with this number, left in the database. */
  async #takeUp({ quality }: LeftElsewhere, generation: number): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.#task;
    this.#quality = quality;
    if (!quality) return;
    await spool.keepLeft(sid, generation, quality).catch((error) => {
      log.error({ sid, error: messageOf(error) }, 'the quality report says nothing of what another node recorded');
    });
  }

  #onMeasured(report: QualityReport): void {
    const { store, clock } = this.#ports;
    this.#quality = report;
    const nowMs = clock.monoUs() / 1000;
    if (!store.fleet || nowMs - this.#qualityKeptMs < KEEP_REPORT_EVERY_MS) return;
    this.#qualityKeptMs = nowMs;
    void this.#writer.saveQuality(report);
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
   * Changes the running recording, from this instant on. Resolves to false, and changes nothing, when it is not running
   * any more. Rejects with a Fault when the store can never be reached with the new credentials.
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
   * Another server has the task: everything that this one does for it ends at once, and no customer is told. Whoever
   * waits for a stop hears that the recording is gone.
   */
  fence(): void {
    if (this.#fenced) return;
    this.#fenced = true;
    this.#ports.log.error({ sid: this.#task.sid }, 'another server has taken this recording over; it ends here');
    this.abandon();
    this.#runs.kill();
    void this.#runs.releaseChannel().catch(() => {});
    for (const request of [...this.#answers.keys()]) this.#answer(request, 'gone');
    this.#ports.observer?.onLeft(this.#task);
    this.#markEnded();
  }

  /** Gives up completing and uploading, so that the process can end; the next server finishes both. */
  abandon(): void {
    this.#aborted.abort(new Error('the server shuts down'));
    this.#stopTimer?.cancel();
    this.#upload.abort();
    this.#writer.end();
  }

  /** Takes an event after all earlier ones; resolves when its effects have been carried out. */
  dispatch(event: TaskEvent): Promise<void> {
    // A fault in one turn must not keep the next event from being taken.
    this.#turn = this.#turn.then(() => this.#take(event)).catch((error) => this.#failTurn(event, error));
    return this.#turn;
  }

  #failTurn(event: TaskEvent, error: unknown): void {
    this.#ports.log.error({ sid: this.#task.sid, event: event.type, err: error }, 'an event of a recording failed');
    // Nobody else would answer this call any more.
    if (event.type === 'stopRequested') this.#answer(event.request, 'late');
  }

  async #take(event: TaskEvent): Promise<void> {
    const { clock, log } = this.#ports;
    if (this.#fenced) {
      if (event.type === 'stopRequested') this.#answer(event.request, 'gone');
      return;
    }
    const before = this.#state;
    const next = transition(before, event);
    const drafts = noticesOf(this.#task, before, event, next.state);
    const notices = stamp(drafts, this.#task, before.sequence, clock.nowMs(), newHexId);
    const news = next.state !== before || notices.length > 0;
    const state = news
      ? { ...next.state, sequence: before.sequence + notices.length, revision: before.revision + 1 }
      : before;
    this.#state = state;
    this.#ports.observer?.onEvent(this.#task, event, before, state);
    if (state !== before) {
      await this.#writer.save(state, notices);
      if (this.#fenced) return;
      if (state.phase !== before.phase) this.#sayPhase(state);
    }
    for (const effect of next.effects) {
      try {
        await this.#carryOut(effect);
      } catch (error) {
        log.error({ sid: this.task.sid, effect: effect.type, error: messageOf(error) }, 'a step of a recording failed');
      }
    }
    if (state.phase === 'ended' && before.phase !== 'ended') {
      this.#upload.end();
      // Until its end is stored, the recording is known here and is nowhere noted as ended.
      void this.#writer.settled().then(() => this.#markEnded());
    }
  }

  async #change(change: TaskChange): Promise<boolean> {
    const { storage, subscribe, layout, stereo, overlays, onhold, pushes, warnings = [] } = change;
    const { store, clock } = this.#ports;
    if (this.#fenced || (this.#state.phase !== 'new' && this.#state.phase !== 'recording')) return false;
    const { document } = this.#task;
    if (storage) await this.#upload.useStorage(storage);
    const nowUs = this.#recordingUs();
    const changes: Change[] = [
      ...(subscribe ? [{ type: 'changeSubscription', subscribe } as const] : []),
      ...(layout ? [{ type: 'changeLayout', ...layout } as const] : []),
      ...(stereo ? [{ type: 'changeStereo', stereo } as const] : []),
      ...(overlays ? overlaysChanged(document.plan, overlays) : []),
      ...(onhold === undefined ? [] : [{ type: 'changeHold', onhold } as const]),
    ];
    const added = changes.map((change) => ({ atUs: nowUs, change }));
    const kept = keepChanges(document.changed ?? { before: document.plan, changes: [] }, added, nowUs);
    const changed = {
      ...document,
      storage: storage ?? document.storage,
      ...(pushes && { pushes }),
      ...(added.length > 0 && { plan: planAfter(kept), changed: kept }),
      warnings: [...document.warnings, ...warnings].slice(0, MAX_WARNINGS),
    };
    try {
      // Events after this call must not wait for a database that hangs.
      const late = () => new Error(`the database did not answer within ${SAVE_TIMEOUT_MS} ms`);
      await within(clock, SAVE_TIMEOUT_MS, store.saveDocument(this.hold, changed), late);
    } catch (error) {
      if (!isFenced(error)) throw error;
      this.fence();
      return false;
    }
    const wasHeld = document.plan.onhold === true;
    this.#task = { ...this.#task, document: changed };
    for (const command of toCommands(added, this.#runs.zeroMonoUs ?? clock.monoUs())) this.#runs.change(command);
    if (pushes) this.#runs.change({ type: 'changePushes', atMonoUs: clock.monoUs(), targets: pushes });
    if (onhold !== undefined && onhold !== wasHeld)
      await this.#take({ type: 'holdChanged', onhold, atMs: clock.nowMs() });
    return true;
  }

  /** The present in microseconds from the recording's zero; 0 before there is one. */
  #recordingUs(): RecordingUs {
    const { clock } = this.#ports;
    return clock.monoUs() - (this.#runs.zeroMonoUs ?? clock.monoUs());
  }

  #sayPhase(state: TaskState): void {
    const { sid, appid, cname, uid } = this.task;
    const details = { sid, appid, cname, uid, phase: state.phase, status: state.status, ending: state.ending };
    const text = PHASE_WORDS[state.phase];
    if (state.healthy) this.#ports.log.info(details, text);
    else this.#ports.log.warn(details, `${text} after a failure: ${state.ending}`);
  }

  async #carryOut(effect: TaskEffect): Promise<void> {
    const { clock } = this.#ports;
    switch (effect.type) {
      case 'launchRecorder':
        if (await this.#runs.launch(effect.generation)) this.#beginUpload();
        return;
      case 'stopRecorder':
        this.#stopRecorder();
        return;
      case 'awaitOrphans':
        void this.#awaitOrphans();
        return;
      case 'releaseChannel':
        return this.#runs.releaseChannel();
      case 'finishUpload':
        void this.#finishUpload(effect.generation);
        return;
      case 'armStopTimer':
        this.#stopTimer = clock.after(this.#ports.syncStopTimeoutMs, () => {
          void this.dispatch({ type: 'stopTimedOut', request: effect.request });
        });
        return;
      case 'answerStop':
        this.#stopTimer?.cancel();
        this.#answer(effect.request, effect.outcome);
        return;
      case 'discardSpool':
        return this.#completion.discardSpool();
    }
  }

  #answer(request: number, outcome: StopOutcome): void {
    this.#answers.get(request)?.(outcome);
    this.#answers.delete(request);
  }

  #stopRecorder(): void {
    const { clock } = this.#ports;
    if (this.#runs.stop(clock.monoUs()) || this.#waitsForOrphans) return;
    // Nothing was launched yet, so there is nothing to wait for.
    const message = 'stopped before it began';
    void this.dispatch({ type: 'recorderEnded', atMs: clock.nowMs(), reason: 'stopped', message });
  }

  async #awaitOrphans(): Promise<void> {
    const { log } = this.#ports;
    this.#waitsForOrphans = true;
    try {
      await awaitOrphans(this.#ports, { sid: this.#task.sid, former: this.#former }, this.#aborted.signal);
    } catch (error) {
      if (this.#aborted.signal.aborted) return;
      log.error({ sid: this.#task.sid, error: messageOf(error) }, 'processes of a former server cannot be waited for');
    } finally {
      this.#waitsForOrphans = false;
    }
    await this.dispatch({ type: 'orphansEnded' });
  }

  /** Not awaited: the client of a store may take a second to load, and the start call must not wait for it. */
  #beginUpload(): void {
    this.#upload.begin().catch((error) => {
      if (this.#upload.isOver) return;
      this.#ports.log.error(
        { sid: this.#task.sid, error: messageOf(error) },
        'the store cannot be used; the recording is stopped',
      );
      void this.dispatch({ type: 'storeRefused', message: messageOf(error), forGood: true });
    });
  }

  async #finishUpload(generation: number): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.task;
    try {
      const where = await this.#completion.finish(generation, this.#aborted.signal);
      await this.dispatch({ type: 'uploadsFinished', where });
    } catch (error) {
      if (this.#aborted.signal.aborted) return;
      const message = `files stay in ${spool.pathOf(sid)}: ${messageOf(error)}`;
      log.error({ sid, error: messageOf(error) }, message);
      await this.dispatch({ type: 'uploadsAbandoned', message });
    }
  }
}
