/**
 * TaskRunner: carries one task through its life. Events are taken one after another; each new state is kept before its
 * effects are carried out, so that after a crash the store never knows less than the world.
 */
import type { Fact } from '../contract/line/facts.ts';
import { type Clock, sleep, type Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { SpooledFile } from '../media/segment.ts';
import { transition } from './machine.ts';
import type {
  ChannelPort,
  Feed,
  RecorderPort,
  RecorderProcess,
  RecordingStore,
  SessionLog,
  SpoolPort,
  Upload,
  UploadEvent,
  UploadPort,
} from './ports.ts';
import type { StopOutcome, Task, TaskEffect, TaskEvent, TaskState } from './task.ts';

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

/** How long the recorder of a server that died may take to finish its files before the spool is read without it. */
const ORPHAN_WAIT_MS = 30_000;

export class TaskRunner {
  readonly task: Task;
  /** Settles when the task has ended. */
  readonly ended: Promise<void>;
  #ports: TaskPorts;
  #state: TaskState;
  #turn: Promise<void> = Promise.resolve();
  #markEnded: () => void = () => {};
  #feed: Feed | undefined;
  #recorder: RecorderProcess | undefined;
  #beginning: Promise<Upload> | undefined;
  #upload: Upload | undefined;
  /** Files that were finished before the uploader was there. */
  #early: SpooledFile[] = [];
  #added = new Set<string>();
  #leftovers: string[] = [];
  #requests = 0;
  #answers = new Map<number, (outcome: StopOutcome) => void>();
  #stopTimer: Timer | undefined;
  #launchFailure: unknown;
  #aborted = new AbortController();

  constructor(task: Task, state: TaskState, ports: TaskPorts) {
    this.task = task;
    this.#state = state;
    this.#ports = ports;
    this.ended = new Promise((resolve) => {
      this.#markEnded = resolve;
    });
  }

  get state(): TaskState {
    return this.#state;
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

  /** Gives up uploading, so that the process can end; the task stays unfinished and the next server goes on with it. */
  abandon(): void {
    this.#aborted.abort(new Error('the server shuts down'));
    this.#stopTimer?.cancel();
    this.#upload?.abort();
  }

  /** Takes an event after all earlier ones; resolves when its effects were carried out. */
  dispatch(event: TaskEvent): Promise<void> {
    this.#turn = this.#turn.then(() => this.#take(event));
    return this.#turn;
  }

  async #take(event: TaskEvent): Promise<void> {
    const { store, clock, log } = this.#ports;
    const before = this.#state;
    const { state, effects } = transition(before, event);
    this.#state = state;
    if (state !== before) {
      try {
        await store.saveState(this.task.sid, state, clock.nowMs());
      } catch (error) {
        // The recording matters more than its row: it goes on, and the next transition writes the row again.
        log.error({ sid: this.task.sid, error: messageOf(error) }, 'the state of a recording could not be stored');
      }
      if (state.phase !== before.phase) this.#sayPhase(state);
    }
    for (const effect of effects) {
      try {
        await this.#carryOut(effect);
      } catch (error) {
        log.error({ sid: this.task.sid, effect: effect.type, error: messageOf(error) }, 'a step of a recording failed');
      }
    }
    if (state.phase === 'ended' && before.phase !== 'ended') this.#markEnded();
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
        void this.dispatch({ type: 'recorderLost', message: refusal });
        return;
      }
      this.#feed = await channel.openFeed({ appid, cname, uid, sid });
      const { openedMonoUs, path } = this.#feed;
      const spoolDir = await spool.create(sid);
      const zeroUtcMs = Math.round(clock.nowMs() - (clock.monoUs() - openedMonoUs) / 1000);
      this.#recorder = recorders.launch(
        { type: 'start', plan: document.plan, feedPath: path, spoolDir, zeroUtcMs, zeroMonoUs: openedMonoUs },
        (fact) => this.#onFact(fact),
        (why) => void this.dispatch({ type: 'recorderLost', message: why }),
      );
      void this.dispatch({ type: 'recorderLaunched', pid: this.#recorder.pid });
    } catch (error) {
      // A uid that a user has makes the recording fail after a good start call (contract §6.10); all else fails the call.
      if ((error as { code?: unknown }).code !== 'uid-taken') this.#launchFailure = error;
      void this.dispatch({ type: 'recorderLost', message: messageOf(error) });
      return;
    }
    // Not awaited: the client of a store may take a second to load, and the start call need not wait for it.
    void this.#beginUpload().catch((error) => {
      log.error({ sid, error: messageOf(error) }, 'the store cannot be used; the recording is stopped');
      this.#recorder?.stop(clock.monoUs());
    });
  }

  #beginUpload(): Promise<Upload> {
    const { uploads, spool } = this.#ports;
    const { sid, document } = this.task;
    this.#beginning ??= uploads
      .begin(
        { sid, storage: document.storage, spoolDir: spool.pathOf(sid), extinfComma: document.extinfComma },
        (event) => this.#onUploadEvent(event),
      )
      .then(
        (upload) => {
          this.#upload = upload;
          for (const file of this.#early.splice(0)) upload.add(file);
          return upload;
        },
        (error) => {
          // A later attempt may do better; until then the spool holds the files.
          this.#beginning = undefined;
          throw error;
        },
      );
    return this.#beginning;
  }

  #add(file: SpooledFile): void {
    if (this.#added.has(file.name)) return;
    this.#added.add(file.name);
    if (this.#upload) this.#upload.add(file);
    else this.#early.push(file);
  }

  async #finishUpload(): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.task;
    try {
      if (this.#state.orphaned) await this.#waitForOrphan();
      await this.#repair();
      const { files, problems, leftovers } = await spool.read(sid);
      this.#leftovers = leftovers;
      for (const problem of problems) log.warn({ sid }, `the spool is damaged: ${problem}`);
      if (files.length > 0) {
        const upload = await this.#beginUpload();
        for (const file of files) this.#add(file);
        await upload.finish();
      } else {
        this.#upload?.abort();
      }
      await this.dispatch({ type: 'uploadsFinished' });
    } catch (error) {
      if (this.#aborted.signal.aborted) return;
      const message = `files stay in ${spool.pathOf(sid)}: ${messageOf(error)}`;
      log.error({ sid, error: messageOf(error) }, message);
      await this.dispatch({ type: 'uploadsAbandoned', message });
    }
  }

  /** Keeps the folder when a crash left unfinished files in it: what they hold is nowhere else. */
  async #discardSpool(): Promise<void> {
    const { spool, log } = this.#ports;
    const { sid } = this.task;
    if (this.#leftovers.length === 0) return spool.remove(sid);
    log.warn({ sid, files: this.#leftovers }, `files that a crash left unfinished are kept in ${spool.pathOf(sid)}`);
  }

  /** A recorder that ended as it should leaves nothing to repair. What cannot be repaired must not keep the rest from its store. */
  async #repair(): Promise<void> {
    const { spool, recorders, log } = this.#ports;
    const { sid, document } = this.task;
    const { files, leftovers } = await spool.read(sid);
    const wantsMp4 =
      document.plan.files.mp4 && files.some((f) => f.type === 'slice') && !files.some((f) => f.type === 'mp4');
    if (leftovers.length === 0 && !wantsMp4) return;
    log.warn({ sid, leftovers }, 'the recorder left unfinished files; repairing them');
    try {
      await recorders.repair(spool.pathOf(sid), document.plan.files.mp4 ? document.plan.mp4Limit : undefined);
    } catch (error) {
      log.error({ sid, error: messageOf(error) }, 'unfinished files could not be repaired');
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
        this.#add(fact.file);
        return;
      case 'ended':
        void this.dispatch({ type: 'recorderEnded', reason: fact.reason, message: fact.message });
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

  #onUploadEvent({ type, key, startUtcMs }: UploadEvent): void {
    void this.dispatch({ type, file: { key, startUtcMs } });
  }
}
