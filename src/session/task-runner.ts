/**
 * TaskRunner: carries one task through its life. Events are taken one after another; each new state is kept before its
 * effects are carried out, so that after a crash the store never knows less than the world.
 */

import type { QualityReport, Takeover } from '../contract/line/quality-report.ts';
import type { Stretch } from '../contract/line/stretches.ts';
import { type Timer, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import type { RecordingUs } from '../kernel/time.ts';
import { toCommands } from './changes.ts';
import { Completion } from './completion.ts';
import { isFenced, moved, type TaskHold } from './hold.ts';
import { transition } from './machine.ts';
import { noticesOf } from './notices.ts';
import { awaitOrphans } from './orphans.ts';
import type { LeftElsewhere, TaskPorts } from './ports.ts';
import { RecorderRuns } from './recorder-runs.ts';
import { type FormerRun, type RunRecord, stretchesOf } from './run-record.ts';
import { stamp } from './stamp.ts';
import { SAVE_TIMEOUT_MS, StateWriter } from './state-writer.ts';
import type { StopOutcome, Task, TaskEffect, TaskEvent, TaskState } from './task.ts';
import { documentAfter, type TaskChange } from './task-change.ts';
import { TaskUpload } from './task-upload.ts';

/** How often another node could learn what the quality report of a recording of a fleet says. */
const KEEP_REPORT_EVERY_MS = 15_000;

/** What the log says when a task enters a phase. */
const PHASE_WORDS: Record<TaskState['phase'], string> = {
  new: 'recording accepted',
  recording: 'recording started',
  stopping: 'recording stopping',
  uploading: 'recording uploading',
  ended: 'recording ended',
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
  /** The standby of this node filled a gap before this runner had the task. */
  #takeover: Takeover | undefined;
  #qualityKeptMs = Number.NEGATIVE_INFINITY;
  #stretches: readonly Stretch[] = [];
  /** Whether another node may take it over from this one, which lives. */
  #isOffered = false;
  #leaving: Promise<void> | undefined;

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

  /** Whether another node could go on with it: a channel's publishers can move, and a web page cannot. */
  get mayMove(): boolean {
    return !this.#fenced && this.#state.phase === 'recording' && this.#task.document.plan.mode !== 'web';
  }

  get isOffered(): boolean {
    return this.#isOffered;
  }

  /** Another node may take it over from now on, or must not any more. What another would know of it is kept first. */
  async setOffered(offered: boolean): Promise<void> {
    if (offered && this.#quality) await this.#writer.saveQuality(this.#quality);
    this.#isOffered = offered;
  }

  /**
   * Once another node has taken it over as planned: settles when nothing is recorded here any more. Undefined where
   * none has.
   */
  get leaving(): Promise<void> | undefined {
    return this.#leaving;
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
    const generations = [...former, ...spooled].map(({ generation }) => generation);
    const adopted = await this.#adopt(Math.max(this.#state.generation, ...generations) + 1);
    // A version that made no folder for each run had one run, which is the first for those that follow it.
    const first = spooled.length > 0 ? 1 : 0;
    const newestGeneration = Math.max(first, adopted?.generation ?? 0, ...generations);
    const next = Math.max(this.#state.generation, newestGeneration) + 1;
    const ofStandby = adopted ? [adopted] : [];
    const here = [...spooled, ...ofStandby].map(({ generation }) => generation);
    this.#stretches = stretchesOf([...former, ...ofStandby], next, here);
    if (left) await this.#takeUp(left, next - 1);
    await this.#runs.recall(left?.recordedUntilMs);
    await this.dispatch({ type: 'serverRestarted', newestGeneration });
  }

  /** Makes what the standby of this node recorded a run of the task, where there is one. */
  async #adopt(generation: number): Promise<FormerRun | undefined> {
    const { standbys, bootId, clock, log } = this.#ports;
    const { sid } = this.#task;
    const adopted = await standbys?.adopt(sid, generation).catch((error) => {
      log.error({ sid, error: messageOf(error) }, 'what the standby of a recording made cannot be had');
      return undefined;
    });
    if (!adopted) return undefined;
    log.info({ sid, generation }, 'the standby of a recording goes on with it');
    if (bootId !== undefined) this.#state = { ...this.#state, zeroMono: { bootId, us: adopted.zeroMonoUs } };
    for (const file of adopted.files) this.#upload.add(file);
    this.#takeover = adopted.takeover;
    const nowMs = clock.nowMs();
    const why = 'the standby of the recording was made its recorder';
    const times = { process: undefined, startedMs: nowMs, endedMs: nowMs, why };
    const run: RunRecord = { generation, kind: 'record', phase: 'ended', ...times };
    await this.#runs.keep(run);
    return run;
  }

  /** Has the next run go on from what another node, up to the run with this number, left in the database. */
  async #takeUp({ quality }: LeftElsewhere, generation: number): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.#task;
    this.#quality = quality && withTakeover(quality, this.#takeover);
    if (!this.#quality) return;
    await spool.keepLeft(sid, generation, this.#quality).catch((error) => {
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
   * any more. Rejects with a Fault when the store can never be reached with the new credentials, and as moved when
   * another node has it as planned.
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
   * waits for a stop hears that the recording is gone; of one that was offered, the other node answers. In a fleet the
   * recorder of a channel goes on until the channel's publishers have moved, also where this node was cut off from the
   * database alone: the other has nothing to record before that.
   */
  fence(): void {
    if (this.#fenced) return;
    const isLeaving = this.#isOffered || (this.#ports.store.fleet && this.mayMove);
    this.#fenced = true;
    this.abandon();
    if (isLeaving) this.#leaving = this.#leave();
    else {
      this.#ports.log.error({ sid: this.#task.sid }, 'another server has taken this recording over; it ends here');
      this.#runs.kill();
      void this.#runs.releaseChannel().catch(() => {});
    }
    for (const request of [...this.#answers.keys()]) this.#answer(request, this.#awayOutcome);
    this.#ports.observer?.onLeft(this.#task);
    this.#markEnded();
  }

  async #leave(): Promise<void> {
    const { log } = this.#ports;
    const { sid } = this.#task;
    log.info({ sid }, 'another node has taken this recording over; it goes on here until its publishers are there');
    // A run that is being launched just now must be stopped as well.
    await this.#turn;
    await this.#runs.leave().catch((error) => {
      log.error({ sid, error: messageOf(error) }, 'a recorder whose recording another node has could not be ended');
      this.#runs.kill();
    });
  }

  get #awayOutcome(): 'moved' | 'gone' {
    return this.#isOffered ? 'moved' : 'gone';
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
      if (event.type === 'stopRequested') this.#answer(event.request, this.#awayOutcome);
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
      this.#ports.onChanged?.(this.hold.sid);
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
    const { storage, onhold, pushes } = change;
    const { store, clock } = this.#ports;
    if (this.#fenced && this.#isOffered) throw moved(this.#task.sid);
    if (this.#fenced || (this.#state.phase !== 'new' && this.#state.phase !== 'recording')) return false;
    const { document } = this.#task;
    if (storage) await this.#upload.useStorage(storage);
    const { added, changed } = documentAfter(document, change, this.#recordingUs());
    try {
      // Events after this call must not wait for a database that hangs.
      const late = () => new Error(`the database did not answer within ${SAVE_TIMEOUT_MS} ms`);
      await within(clock, SAVE_TIMEOUT_MS, store.saveDocument(this.hold, changed), late);
    } catch (error) {
      if (!isFenced(error)) throw error;
      this.fence();
      if (this.#isOffered) throw moved(this.#task.sid);
      return false;
    }
    const wasHeld = document.plan.onhold === true;
    this.#task = { ...this.#task, document: changed };
    this.#ports.onChanged?.(this.hold.sid);
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

function withTakeover(report: QualityReport, takeover: Takeover | undefined): QualityReport {
  return takeover ? { ...report, takeovers: [...(report.takeovers ?? []), takeover] } : report;
}
