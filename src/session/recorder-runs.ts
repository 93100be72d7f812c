/**
 * RecorderRuns: the runs that make a task's recording, one after another, on one feed. What an older run still says is
 * ignored.
 */

import type { ChangeCommand, Source } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import { type Stretch, stretchOf } from '../contract/line/stretches.ts';
import { Fault, isOutOfRoom, messageOf } from '../kernel/fault.ts';
import { type HostUs, toRecording } from '../kernel/time.ts';
import type { SpooledFile } from '../media/segment.ts';
import { keepChanges, toCommands } from './changes.ts';
import { isReport } from './completion.ts';
import { isFenced, type TaskHold } from './hold.ts';
import { ERROR_CODES } from './notices.ts';
import type { Feed, RecorderProcess, TaskPorts } from './ports.ts';
import type { RunRecord } from './run-record.ts';
import type { Task, TaskEvent, TaskState } from './task.ts';
import { ToldStreams } from './told-streams.ts';

export type RecorderRunsOptions = {
  ports: TaskPorts;
  hold: TaskHold;
  /** The task as it is now: calls change it. */
  task(): Task;
  state(): TaskState;
  onEvent(event: TaskEvent): void;
  /** A finished file, and the folder it lies in. */
  onFile(file: SpooledFile, dir: string): void;
  onReport(report: QualityReport): void;
  onFenced(): void;
  /** As of stretchesOf. */
  stretches(): readonly Stretch[];
};

type Run = {
  record: RunRecord;
  spoolDir: string;
  process: RecorderProcess;
  /** Resolves when its process has ended. */
  ended: Promise<void>;
};
/** Publishers who do not move by themselves are disconnected after this time. */
const MOVE_MS = 10_000;

export class RecorderRuns {
  #options: RecorderRunsOptions;
  #feed: Feed | undefined;
  #zeroMonoUs: HostUs | undefined;
  /** The run whose facts count. */
  #run: Run | undefined;
  #hasRun = false;
  #stopAtMonoUs: HostUs | undefined;
  /** What kept the first run from being launched. */
  #failure: unknown;
  #isLeaving = false;
  readonly #streams = new ToldStreams();

  constructor(options: RecorderRunsOptions) {
    this.#options = options;
  }

  /**
   * Why the first run could not be launched; undefined when it was, and for a recording that fails after a good start
   * call.
   */
  get failure(): unknown {
    return this.#failure;
  }

  /** The recording's zero in this machine's monotonic time; undefined before the first run. */
  get zeroMonoUs(): HostUs | undefined {
    return this.#zeroMonoUs;
  }

  /**
   * Finds the zero of a recording that was claimed.
   * @param recordedUntilMs up to when files of it are known that lie elsewhere, Unix milliseconds
   */
  async recall(recordedUntilMs = 0): Promise<void> {
    const { state, ports } = this.#options;
    const { clock, bootId } = ports;
    const { zeroUtcMs, zeroMono } = state();
    if (zeroUtcMs === undefined) return;
    if (zeroMono !== undefined && zeroMono.bootId === bootId) {
      this.#zeroMonoUs = zeroMono.us;
      return;
    }
    // After a restart of the machine only wall time is left to go by. It may have been set back meanwhile; but the
    // present cannot lie before the end of what is recorded, or the next run would wait until it is past that.
    const endMs = Math.max(clock.nowMs(), await this.#spooledUntilMs(), recordedUntilMs);
    this.#zeroMonoUs = Math.round(clock.monoUs() - (endMs - zeroUtcMs) * 1000);
  }

  /** Where the newest file on the spool ends, Unix milliseconds. */
  async #spooledUntilMs(): Promise<number> {
    const { ports, task } = this.#options;
    const { sid } = task();
    try {
      const { files } = await ports.spool.read(sid);
      return files.reduce((end, { file }) => Math.max(end, file.startUtcMs + file.durationUs / 1000), 0);
    } catch (error) {
      ports.log.error({ sid, error: messageOf(error) }, 'the spool of a recording cannot be read');
      return 0;
    }
  }

  /** Launches the next run. Resolves to whether that worked; what prevented it is dispatched as an event. */
  async launch(generation: number): Promise<boolean> {
    const { task, state, onEvent } = this.#options;
    const isFirst = state().zeroUtcMs === undefined;
    const refusal = isFirst ? this.#refusal() : undefined;
    if (refusal) {
      onEvent({ type: 'launchFailed', ...refusal });
      return false;
    }
    try {
      await this.#begin(generation);
      return true;
    } catch (error) {
      const message = messageOf(error);
      // When a user has the uid, the recording fails after a good start call (contract §6.10); any other fault fails
      // the call.
      const taken = (error as { code?: unknown }).code === 'uid-taken';
      if (taken) onEvent({ type: 'launchFailed', message, errorCode: ERROR_CODES.uidTaken });
      else if (isFirst) {
        this.#failure = error;
        onEvent({ type: 'launchFailed', message, errorCode: ERROR_CODES.failed });
      } else if (isOutOfRoom(error)) onEvent({ type: 'launchFailed', message, errorCode: ERROR_CODES.failed });
      else onEvent({ type: 'recorderLost', atMs: this.#options.ports.clock.nowMs(), message });
      this.#options.ports.log.warn({ sid: task().sid, generation, error: message }, 'no recorder could be launched');
      return false;
    }
  }

  /**
   * Ends the recording at this moment, also for the run that replaces one being lost just now. False when none was ever
   * launched.
   */
  stop(atMonoUs: HostUs): boolean {
    this.#stopAtMonoUs ??= atMonoUs;
    this.#run?.process.stop(this.#stopAtMonoUs);
    return this.#hasRun;
  }

  change(command: ChangeCommand): void {
    this.#run?.process.change(command);
  }

  async releaseChannel(): Promise<void> {
    const feed = this.#feed;
    this.#feed = undefined;
    await feed?.close();
  }

  /** Ends at once whatever process is at work. */
  kill(): void {
    this.#run?.process.kill();
    this.#run = undefined;
  }

  /**
   * Another node has the recording, as was planned. The run at work records on until the channel's publishers have gone
   * there; what it makes is brought from the spool, and nobody is told of it. Resolves once its process has ended.
   */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    const { ports, task } = this.#options;
    const { appid, cname, document } = task();
    const { plan } = document;
    // Where they came to the other node later than that, the recording would have ended there.
    const idleMs = plan.mode === 'web' ? MOVE_MS : plan.maxIdleMs / 2;
    await ports.channel.sendAway(appid, cname, Math.min(MOVE_MS, idleMs));
    const run = this.#run;
    this.stop(ports.clock.monoUs());
    await run?.ended;
    await this.releaseChannel();
  }

  /** Keeps the record of a run; a database that does not answer holds nothing up. */
  async keep(record: RunRecord): Promise<void> {
    const { ports, hold, onFenced } = this.#options;
    try {
      await ports.store.saveRun(hold, record);
    } catch (error) {
      if (isFenced(error)) onFenced();
      else
        ports.log.warn(
          { sid: hold.sid, generation: record.generation, error: messageOf(error) },
          'the database did not keep what is known of a run',
        );
    }
  }

  #refusal(): { message: string; errorCode: number } | undefined {
    const { ports, task } = this.#options;
    const { appid, cname, uid, document } = task();
    // A page needs no token (contract §1.2.1).
    if (document.plan.mode === 'web') return undefined;
    return ports.channel.refusalOf({ appid, cname, uid, token: document.token });
  }

  async #begin(generation: number): Promise<void> {
    const { ports, task, state, onEvent } = this.#options;
    const { recorders, spool, clock } = ports;
    const { sid, document } = task();
    const { source, openedMonoUs } = await this.#openSource();
    // Every run counts from the same zero, on this server and on the next.
    const zeroMonoUs = this.zeroMonoUs ?? openedMonoUs;
    this.#zeroMonoUs = zeroMonoUs;
    const zeroUtcMs = state().zeroUtcMs ?? Math.round(clock.nowMs() - (clock.monoUs() - openedMonoUs) / 1000);
    const earlierDirs = generation > 1 ? await this.#earlierDirs(sid, generation) : [];
    const spoolDir = await spool.create(sid, generation, 'record');
    const kept = document.changed ?? { before: document.plan, changes: [] };
    const { before, changes } = keepChanges(kept, [], toRecording(clock.monoUs(), zeroMonoUs));
    const record: RunRecord = {
      generation,
      kind: 'record',
      phase: 'starting',
      process: undefined,
      startedMs: clock.nowMs(),
      endedMs: undefined,
      why: undefined,
    };
    const ended = Promise.withResolvers<void>();
    const process = recorders.launch(
      {
        type: 'start',
        plan: before,
        generation,
        source,
        spoolDir,
        earlierDirs,
        ...(document.pushes && { pushes: { targets: document.pushes, networks: [...ports.pushes.networks] } }),
        changes: toCommands(changes, zeroMonoUs),
        ...(before.mode === 'mix' && { imageNetworks: [...ports.imageNetworks] }),
        ...(document.standby && { isTwin: true as const }),
        ...(before.mode !== 'individual' && { lowestRung: ports.lowestRung }),
        zeroUtcMs,
        zeroMonoUs,
      },
      {
        onProcess: (found) => {
          run.record = { ...record, phase: 'running', process: found };
          void this.keep(run.record);
        },
        onFact: (fact) => this.#hear(generation, spoolDir, fact),
        onExit: (why) => {
          this.#lose(run, why);
          ended.resolve();
        },
      },
    );
    const run: Run = { record, spoolDir, process, ended: ended.promise };
    this.#run = run;
    this.#hasRun = true;
    const zeroMono = ports.bootId === undefined ? undefined : { bootId: ports.bootId, us: zeroMonoUs };
    onEvent({ type: 'runLaunched', zeroUtcMs, zeroMono });
    if (this.#stopAtMonoUs !== undefined) process.stop(this.#stopAtMonoUs);
  }

  /**
   * The folders of the runs that this one goes on from: those of its own stretch, before them what another node left.
   * The runs of an earlier stretch of this node are not gone on from, because another node recorded after them.
   */
  async #earlierDirs(sid: string, generation: number): Promise<string[]> {
    const { ports, stretches } = this.#options;
    const own = stretchOf(stretches(), generation);
    const isNeeded = (each: number) => each === own || (each === own - 1 && stretches()[each]?.isHere === false);
    const runs = await ports.spool.runs(sid);
    return runs.filter((run) => isNeeded(stretchOf(stretches(), run.generation))).map(({ dir }) => dir);
  }

  /** The source of the runs, and since when it exists, monotonic. */
  async #openSource(): Promise<{ source: Source; openedMonoUs: HostUs }> {
    const { ports, task } = this.#options;
    const { sid, appid, cname, uid, document } = task();
    const { plan, page } = document;
    if (plan.mode === 'web') {
      if (!page) throw new Fault('page-unknown', 'the address of the page was not kept', { blame: 'self' });
      return { source: ports.pages.sourceOf(page), openedMonoUs: ports.clock.monoUs() };
    }
    const { videoStreamType = 0 } = plan;
    // Its home is gone, or another by now.
    if (this.#feed?.isOver) await this.releaseChannel();
    this.#feed ??= await ports.channel.openFeed({ appid, cname, uid, sid, videoStreamType });
    const { openedMonoUs, path } = this.#feed;
    return { source: { kind: 'feed', path }, openedMonoUs };
  }

  #lose(run: Run, why: string): void {
    const { ports, task, onEvent } = this.#options;
    const atMs = ports.clock.nowMs();
    if (task().document.plan.mode === 'web') ports.pages.sweep();
    if (!this.#isLeaving) void this.keep({ ...run.record, phase: 'ended', endedMs: atMs, why });
    if (this.#run !== run) return;
    this.#run = undefined;
    onEvent({ type: 'recorderLost', atMs, message: why });
  }

  #hear(generation: number, spoolDir: string, fact: Fact): void {
    const { ports, task, onEvent, onFile, onReport } = this.#options;
    const run = this.#run;
    if (run?.record.generation !== generation || fact.generation !== generation || this.#isLeaving) return;
    const { sid } = task();
    ports.observer?.onFact(task(), fact);
    switch (fact.type) {
      case 'ready':
        onEvent({ type: 'recorderReady' });
        return;
      case 'joined':
        onEvent({ type: 'recorderJoined', atMs: fact.atMs });
        return;
      case 'fileSpooled':
        // The report is stored after everything else, and callers do not see it as a file of the recording.
        if (!isReport(fact.file)) onFile(fact.file, spoolDir);
        return;
      case 'qualityMeasured':
        onReport(fact.report);
        return;
      case 'ended':
        // Whatever a process says after its last fact is ignored.
        this.#run = undefined;
        onEvent({ type: 'recorderEnded', atMs: fact.atMs, reason: fact.reason, message: fact.message });
        return;
      case 'streamStateChanged':
      case 'pageReloaded':
      case 'pushChanged':
      case 'sliceStarted': {
        const { generation: _its, ...event } = fact;
        if (event.type !== 'streamStateChanged' || this.#streams.isNews(event)) onEvent(event);
        return;
      }
      case 'rungChanged': {
        const { rung, lagMs, atMs } = fact;
        const text =
          rung === 'full' ? 'the whole picture is recorded' : 'the machine is too slow for the whole picture';
        ports.log.warn({ sid, rung, lagMs }, text);
        onEvent({ type: 'rungChanged', rung, lagMs, atMs });
        return;
      }
      case 'outputFailed':
        onEvent({ type: 'outputFailed', message: fact.what });
        return;
      case 'degraded':
        ports.log.warn({ sid, count: fact.count }, `recording degraded: ${fact.what}`);
        return;
      case 'pong':
        return;
      default: {
        const { type, ...details } = fact;
        ports.log.info({ sid, ...details }, type);
        return;
      }
    }
  }
}
