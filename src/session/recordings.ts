/**
 * Recordings: acquire, start, update, updateLayout, query and stop (contract §1), in the order of checks that callers
 * can rely on (§2.4).
 */

import type { Plan } from '../contract/line/plan.ts';
import { toTargets } from '../contract/line/push.ts';
import { STORAGE_VENDORS, type StorageConfig } from '../contract/line/storage.ts';
import type { Begun } from '../contract/lint/meaning.ts';
import type { Warning } from '../contract/lint/warning.ts';
import { type ProblemName, problem } from '../contract/problems.ts';
import { type AcquireReply, type AcquireRequest, hashOf } from '../contract/rest/acquire.ts';
import { type HandleReply, parseNames } from '../contract/rest/body.ts';
import type { Mode } from '../contract/rest/fields.ts';
import type { QueryReply } from '../contract/rest/query.ts';
import { parseStart, type StartOptions, type StartReply } from '../contract/rest/start.ts';
import { parseStop, parseStopNames, type StopReply, type UploadingStatus } from '../contract/rest/stop.ts';
import { toLayout } from '../contract/rest/to-layout.ts';
import { toPlan } from '../contract/rest/to-plan.ts';
import { pushesOf, toPageAddress } from '../contract/rest/to-web-plan.ts';
import { parseUpdate } from '../contract/rest/update.ts';
import { parseUpdateLayout } from '../contract/rest/update-layout.ts';
import { sleep, within } from '../kernel/clock.ts';
import { type Fault, messageOf } from '../kernel/fault.ts';
import { newHexId, newResourceId, newSid } from '../kernel/ids.ts';
import { extensionOf, queryResponse, stopResponse } from './answers.ts';
import { HeldTasks } from './held-tasks.ts';
import { moved } from './hold.ts';
import { overloaded } from './overload.ts';
import type { PastTask, Resource, TaskPorts } from './ports.ts';
import { type ResourcePath, Resources, refuseOtherMode, refuseUnfound } from './resources.ts';
import { canStandBy } from './standby-plan.ts';
import { isRunning, kindsOf, newTaskState, type Task, type TaskDocument, takesOnlySnapshots } from './task.ts';
import type { TaskChange } from './task-change.ts';
import { TaskRunner } from './task-runner.ts';
import { Turns } from './turns.ts';
import { changeOf, refusePushes } from './update.ts';

export type RecordingsOptions = TaskPorts & {
  resourceLifeMs: number;
  /** A call that waits longer than this for the database, or a start for a recorder, is answered with a timeout. */
  callTimeoutMs: number;
  /** Recordings that one app may run at once. */
  maxRecordings: number;
  /** Whether the machine can carry one more recording. */
  admission: Admission;
  /** What a start call may leave out, and what it may ask for. */
  start: StartOptions;
  sliceStartTimeUnit: 's' | 'ms';
  forceExtinfComma: boolean;
  /** Whether a recorder that takes over names its files anew (`bak<n>_…`, contract §4.1). */
  failoverNames: boolean;
  mp4Limit: { durationMs: number; bytes: number };
  /** Where quality reports are stored beside the files: only in the server's own folder, everywhere, or nowhere. */
  storeReports: 'local' | 'always' | 'never';
  /** Whether composites that do not say have a second recorder on another node (ADR 0037). */
  standby?: boolean | undefined;
  /** The start of every file name of a recording (contract §4.1). */
  baseName(sid: string, cname: string): string;
  /** How many days the files of an app's recordings are kept; 0 or nothing for ever. */
  retentionDaysOf?(appid: string): number;
  /** Whether an app may record. */
  mayRecord(appid: string): boolean;
};
export type Admission = {
  /** Why a recording cannot be begun, in words; undefined when it can, and then it counts from now on. */
  refusalOf(plan: Plan, appid: string): string | undefined;
  /** The recording failed to begin, or is at work and counts by itself. */
  forget(sid: string): void;
};
export type TaskPath = ResourcePath & { sid: string };

/** A recording that somebody watches. `isRecorded` is false once nothing is written any more. */
export type WatchedTask = { plan: Plan; isRecorded(): boolean };

/** The answer to a start, and why its store refused a test object, if that is known by then. */
export type Started = { reply: StartReply; storeRefusal: string | undefined };

/**
 * How long a start waits for the store's answer to the test object. Most have come by then; a later refusal is told by
 * an event.
 */
const STORE_WORD_MS = 1_000;
/** How long after an attempt to take a start back the next one follows. */
const DROP_AGAIN_MS = 1_000;
const SID = /^[0-9a-f]{32}$/;

export class Recordings {
  #options: RecordingsOptions;
  #resources: Resources;
  #tasks: HeldTasks;
  /** Starts under way, their apps by sid: they count as recordings before there is one. */
  #starting = new Map<string, string>();
  #draining = false;
  /** Takes starts with one resource one after another, each until its task is stored. */
  #turns = new Turns();

  constructor(options: RecordingsOptions) {
    this.#options = options;
    this.#resources = new Resources(options);
    this.#tasks = new HeldTasks(options, this.#resources);
  }

  /** As of HeldTasks. */
  get size(): number {
    return this.#tasks.size;
  }

  /** Whether this server takes no new recordings, which it may do long before it ends. */
  drain(draining: boolean): void {
    this.#draining = draining;
  }

  /** As of HeldTasks. */
  offer(offered: boolean): Promise<void> {
    return this.#tasks.offer(offered);
  }

  /** As of HeldTasks. */
  handedOver(timeoutMs: number): Promise<void> {
    return this.#tasks.handedOver(timeoutMs);
  }

  /** Whether this server has the task, and it has not ended. */
  holds(sid: string): boolean {
    return this.#tasks.get(sid) !== undefined;
  }

  /** As of HeldTasks. */
  recover(): Promise<void> {
    return this.#tasks.recover();
  }

  async acquire(appid: string, request: AcquireRequest): Promise<AcquireReply> {
    const { store, clock, channel, resourceLifeMs, maxRecordings, mayRecord } = this.#options;
    if (this.#tasks.closing || this.#draining) throw problem('no-worker-manager');
    if (!mayRecord(appid)) throw problem('app-inactive');
    const mostElsewhere = maxRecordings - this.#running(appid) - 1;
    const elsewhere = await this.#within('allocate-timeout', store.runningElsewhere(appid, mostElsewhere));
    if (elsewhere > mostElsewhere) throw problem('too-many-recordings');
    const { cname, uid, scene, resourceExpiredHour, startHash } = request;
    const resourceId = newResourceId();
    const expiresMs = clock.nowMs() + resourceLifeMs;
    const unused = { sid: undefined, startedMs: undefined };
    await this.#within(
      'allocate-timeout',
      store.addResource({
        resourceId,
        appid,
        cname,
        uid,
        scene,
        expiresMs,
        resourceExpiredHour,
        startHash,
        ...unused,
      }),
    );
    // In web mode the name is a label, not a channel's (contract §0.4).
    if (scene !== 1) channel.prepare(appid, cname);
    return { cname, uid, resourceId };
  }

  /**
   * A start that is not done in time goes on; when the same call comes again it learns the sid.
   * @param warnings what is doubtful in the request, kept with the recording
   */
  async start(path: ResourcePath, body: unknown, warnings: Warning[] = []): Promise<Started> {
    const { clock } = this.#options;
    let stored = false;
    const starting = this.#start(path, body, warnings, () => {
      stored = true;
    });
    const runner = await this.#within(() => (stored ? 'request-incomplete' : 'start-timeout'), starting);
    const { cname, uid, sid } = runner.task;
    const late = new Error('the store has not said anything yet');
    const storeRefusal = await within(clock, STORE_WORD_MS, runner.storeRefusal, () => late).catch(() => undefined);
    return { reply: { cname, uid, resourceId: path.resourceId, sid }, storeRefusal };
  }

  async #start(path: ResourcePath, body: unknown, warnings: Warning[], onStored: () => void): Promise<TaskRunner> {
    const { store, log, admission } = this.#options;
    const { resourceId } = path;
    // When two starts come at once, as when a client asks again before the database has answered, the second must find
    // the recording that the first began and not conflict with it.
    const runner = await this.#turns.take(resourceId, () => this.#begin(path, body, warnings));
    onStored();
    try {
      await runner.start();
    } catch (cause) {
      const { sid, appid, cname, uid } = runner.task;
      log.error({ sid, appid, cname, uid, error: messageOf(cause) }, 'no recorder could be had');
      // Client libraries send the same start again after a 500.
      await store.releaseResource(resourceId, sid).catch((error) => {
        log.error({ sid, error: messageOf(error) }, 'a resource could not be given back');
      });
      this.#resources.forget(resourceId, sid);
      throw problem('allocate-failed', undefined, { cause });
    } finally {
      // From now on its recorder counts, as long as there is one.
      admission.forget(runner.task.sid);
    }
    return runner;
  }

  /** Checks a start, and makes it a task that is stored and owned here. */
  async #begin(path: ResourcePath, body: unknown, warnings: Warning[]): Promise<TaskRunner> {
    const { store, admission, maxRecordings } = this.#options;
    const { task, resource } = await this.#prepare(path, body, warnings);
    const { sid, appid, cname, uid, createdMs } = task;
    const state = newTaskState();
    try {
      // This recording is among those that run here.
      const mostElsewhere = maxRecordings - this.#running(appid);
      const added = await store.addTask(task, state, mostElsewhere).catch(async (error: unknown) => {
        await this.#takeBack(task);
        throw error;
      });
      if (added === 'conflict') throw problem('task-conflict');
      if (added === 'full') throw problem('too-many-recordings', undefined, { details: { cname, uid } });
      if (added === 'used') {
        this.#refuseUsed(await this.#resources.of('start', path, { cname, uid }), path.mode);
        throw problem('internal-error');
      }
      const runner = this.#tasks.add(new TaskRunner(task, state, added, this.#options));
      // From now on calls find it without the database.
      this.#resources.keep({ ...resource, sid, startedMs: createdMs });
      return runner;
    } catch (error) {
      admission.forget(sid);
      throw error;
    } finally {
      this.#starting.delete(sid);
    }
  }

  /**
   * A database that broke off may have stored the task all the same. Nobody was told its sid, and there it would keep
   * every later start from its channel and uid. Resolves when it is gone, or when that must wait for the database.
   */
  async #takeBack({ sid, resourceId }: Task): Promise<void> {
    const { store, clock, log } = this.#options;
    const isDropped = () =>
      store.dropTask(resourceId, sid).then(
        () => true,
        () => false,
      );
    const dropLater = async () => {
      do await sleep(clock, DROP_AGAIN_MS);
      while (!this.#tasks.closing && !(await isDropped()));
    };
    if (await isDropped()) return;
    log.warn({ sid }, 'it is not known whether a start that failed was stored; it is taken back once that can be seen');
    void dropLater();
  }

  /** Makes all checks of a start, in their order; returns the task that would be made, and what it is made of. */
  async #prepare(path: ResourcePath, body: unknown, warnings: Warning[]): Promise<{ task: Task; resource: Resource }> {
    const { store, clock, log, baseName, mp4Limit, forceExtinfComma, storeReports, failoverNames } = this.#options;
    const { maxRecordings, admission, pages, pushes } = this.#options;
    const { appid, resourceId, mode } = path;
    const { cname, uid, clientRequest } = parseNames('start', body);
    const resource = await this.#resources.of('start', path, { cname, uid });
    this.#refuseUsed(resource, mode);
    if (clock.nowMs() > resource.expiresMs) throw problem('resource-too-old');
    if ((await store.findRunning(appid, cname, uid)) !== undefined) throw problem('task-conflict');
    if (resource.startHash !== undefined && resource.startHash !== hashOf(clientRequest))
      throw problem('request-hash-mismatch');
    const request = parseStart(mode, body, this.#options.start);
    const refuse = (why: string): Fault => {
      log.error({ appid, cname, uid, mode }, `start refused: ${why}`);
      return problem('allocate-failed');
    };
    if (request.mode === 'web') {
      refusePushes(pushes, 'start', pushesOf(request));
      if (pages.refusal !== undefined) throw refuse(pages.refusal);
    }
    const { vendor } = request.storageConfig;
    if (this.#tasks.closing || this.#draining) throw refuse('the server takes no new recordings');
    if (this.#running(appid) >= maxRecordings)
      throw problem('too-many-recordings', undefined, { details: { cname, uid } });

    const sid = newSid();
    const options = {
      ...{ sid, baseName: baseName(sid, cname), mp4Limit },
      ...(failoverNames && { failoverNames }),
    };
    const { plan, extinfComma } = toPlan(request, options);
    const saysStandby = request.mode === 'web' ? undefined : request.aircheck?.standby;
    const wantsStandby = canStandBy(plan) && (saysStandby ?? this.#options.standby);
    const pushed = request.mode === 'web' ? pushesOf(request) : [];
    const overload = admission.refusalOf(plan, appid);
    if (overload !== undefined) {
      // Another node may take it.
      if (store.fleet && mode !== 'web') throw overloaded(overload, plan);
      throw refuse(overload);
    }
    this.#starting.set(sid, appid);
    const document = {
      plan,
      storage: request.storageConfig,
      extinfComma: extinfComma || forceExtinfComma,
      storeReport: storeReports === 'always' || (storeReports === 'local' && vendor === STORAGE_VENDORS.localFolder),
      token: request.mode === 'web' ? undefined : request.token,
      ...(request.mode === 'web' && { page: toPageAddress(request) }),
      ...(wantsStandby && { standby: true as const }),
      ...(pushed.length > 0 && { pushes: toTargets(pushed, [], newHexId) }),
      ...retentionFrom(request.aircheck?.retentionDays, this.#options.retentionDaysOf?.(appid) ?? 0),
      warnings,
    };
    return { task: { sid, resourceId, appid, cname, uid, createdMs: clock.nowMs(), document }, resource };
  }

  /** The store of a recording that has not ended here, with its keys; undefined of others. */
  storageOf(sid: string): StorageConfig | undefined {
    return this.#tasks.get(sid)?.task.document.storage;
  }

  /** A recording that has not ended here, for those who watch it; undefined of others. */
  watched(appid: string, sid: string): WatchedTask | undefined {
    const runner = this.#tasks.get(sid);
    if (runner?.task.appid !== appid || runner.state.refused) return undefined;
    return { plan: runner.task.document.plan, isRecorded: () => isRunning(runner.state) };
  }

  /** What checking changes of a running recording for doubtful values needs to know of it. */
  about(sid: string): (Begun & { canvas: { width: number; height: number } | undefined }) | undefined {
    const { plan, storage } = this.#tasks.get(sid)?.task.document ?? {};
    if (!plan) return undefined;
    const { video, audio } = kindsOf(plan);
    const canvas = plan.mode === 'mix' && plan.video && { width: plan.video.width, height: plan.video.height };
    return { streamTypes: !video ? 0 : !audio ? 1 : 2, canvas: canvas || undefined, storage };
  }

  async update(path: TaskPath, body: unknown, warnings: Warning[] = []): Promise<HandleReply> {
    const { cname, uid } = parseNames('update', body);
    const resource = await this.#within('request-timeout', this.#resources.of('update', path, { cname, uid }));
    const { clientRequest } = parseUpdate(path.mode, body);
    const runner = await this.#runnerOf(path, resource);
    const { pushes, log } = this.#options;
    const change = { ...changeOf(runner.task, clientRequest, { pushes, log }), warnings };
    return this.#change(path, runner, change);
  }

  async updateLayout(path: TaskPath, body: unknown, warnings: Warning[] = []): Promise<HandleReply> {
    const { cname, uid } = parseNames('updateLayout', body);
    const resource = await this.#within('request-timeout', this.#resources.of('updateLayout', path, { cname, uid }));
    if (path.mode !== 'mix') throw problem('layout-invalid', `updateLayout: mode ${path.mode} has no layout!`);
    const { clientRequest } = parseUpdateLayout(body);
    const runner = await this.#runnerOf(path, resource);
    return this.#change(path, runner, { layout: toLayout(clientRequest), warnings });
  }

  async #change(path: TaskPath, runner: TaskRunner, change: TaskChange): Promise<HandleReply> {
    const { cname, uid } = runner.task;
    const changed = await this.#within('request-timeout', runner.change(change));
    if (!changed) throw problem('no-worker', undefined, { details: { cname, uid } });
    return { cname, uid, resourceId: path.resourceId, sid: path.sid };
  }

  /** What is known of a recording of an app, also after its end. Throws `recording-unknown`. */
  async report(appid: string, sid: string): Promise<PastTask> {
    const { store } = this.#options;
    const task = SID.test(sid) ? await this.#within('request-timeout', store.findTask(appid, sid)) : undefined;
    if (!task) throw problem('recording-unknown');
    return { ...task, quality: this.#tasks.get(sid)?.quality ?? task.quality };
  }

  /** As of HeldTasks. */
  list(): ReturnType<HeldTasks['list']> {
    return this.#tasks.list();
  }

  /** Ends a running recording in order, because there is no room for more of it. */
  endForRoom(sid: string, message: string): void {
    void this.#tasks.get(sid)?.dispatch({ type: 'roomRanOut', message });
  }

  /** Tries at once what waits for a recording's store. False when there is no such upload. */
  retryUpload(appid: string, sid: string): boolean {
    const runner = this.#tasks.get(sid);
    return runner?.task.appid === appid && runner.retryUpload();
  }

  async query(path: TaskPath): Promise<QueryReply> {
    const resource = await this.#within('request-timeout', this.#resources.of('query', path));
    const { task, state } = await this.#runnerOf(path, resource);
    const { cname, uid } = task;
    const { resourceId, sid } = path;
    const serverResponse = queryResponse(task, state, this.#options.sliceStartTimeUnit);
    return { cname, uid, resourceId, sid, serverResponse, ...extensionOf(task) };
  }

  async stop(path: TaskPath, body: unknown): Promise<StopReply> {
    const said = parseStopNames(body);
    const resource = await this.#within('request-timeout', this.#resources.of('stop', path, said));
    const { asyncStop } = parseStop(body);
    const runner = await this.#runnerOf(path, resource);
    const { cname, uid } = resource;
    const { resourceId, sid } = path;
    const details = { cname, uid, resourceId, sid };
    const { clock, callTimeoutMs, syncStopTimeoutMs } = this.#options;
    // The time counts from the call, whatever holds the recording up; it stops all the same.
    const outcome = await within(clock, asyncStop ? callTimeoutMs : syncStopTimeoutMs, runner.stop(!asyncStop), () =>
      problem(asyncStop ? 'request-timeout' : 'upload-timeout', undefined, { details }),
    );
    const reply = (uploadingStatus: UploadingStatus): StopReply => ({
      ...details,
      serverResponse: stopResponse(runner.task, runner.state, uploadingStatus, this.#options.sliceStartTimeUnit),
    });
    switch (outcome) {
      case 'accepted':
        return reply('unknown');
      case 'stored':
        return reply('uploaded');
      case 'backuped':
        return reply('backuped');
      case 'unproved':
        return reply('unknown');
      case 'nothing':
        // A task of snapshots alone has no recording that could be missing (contract §1.6).
        if (takesOnlySnapshots(runner.task.document.plan)) return reply('uploaded');
        throw problem('nothing-recorded', undefined, { details });
      case 'late':
        throw problem('upload-timeout', undefined, { details });
      case 'exiting':
        throw problem('invalid-operation', undefined, { details });
      case 'moved':
        throw moved(sid);
      case 'gone':
        throw problem('no-worker', undefined, { details });
    }
  }

  /** As of HeldTasks. */
  close(timeoutMs: number): Promise<void> {
    return this.#tasks.close(timeoutMs);
  }

  /** As of HeldTasks. */
  leave(): Promise<void> {
    return this.#tasks.leave();
  }

  /** How many recordings of an app have a recorder, or are about to have one. */
  #running(appid: string): number {
    const starting = [...this.#starting].filter(([sid, each]) => each === appid && !this.#tasks.get(sid));
    return starting.length + this.#tasks.running(appid);
  }

  /** Waits for `work` at most callTimeoutMs. Work that takes longer goes on, and its failure is only logged. */
  #within<T>(late: ProblemName | (() => ProblemName), work: Promise<T>): Promise<T> {
    const { clock, log, callTimeoutMs } = this.#options;
    return within(clock, callTimeoutMs, work, () => {
      work.catch((error) => log.error({ error: messageOf(error) }, 'a call that had timed out failed'));
      return problem(typeof late === 'string' ? late : late());
    });
  }

  /** Throws when the resource has started a recording. */
  #refuseUsed({ sid, cname, uid, resourceId }: Resource, mode: Mode): void {
    if (sid === undefined) return;
    const runner = this.#tasks.get(sid);
    if (runner && isRunning(runner.state) && runner.state.phase !== 'stopping') {
      refuseOtherMode(runner.task, mode);
      throw problem('already-started', undefined, { details: { cname, uid, resourceId, sid } });
    }
    throw problem('request-invalid', 'start: resourceId was used before; acquire a new one!', {
      details: { cname, uid },
    });
  }

  /**
   * The running recording of a path. A malformed sid, as clients send after a start that failed, is answered as not
   * found (stop.txt).
   */
  async #runnerOf({ appid, sid, mode }: TaskPath, resource: Resource): Promise<TaskRunner> {
    const { cname, uid } = resource;
    if (resource.sid === undefined) throw refuseUnfound({ cname, uid });
    if (resource.sid !== sid) {
      const other = SID.test(sid) && (await this.#within('request-timeout', this.#options.store.findTask(appid, sid)));
      throw other ? problem('sid-mismatch', undefined, { details: { cname, uid } }) : refuseUnfound({ cname, uid });
    }
    const runner = this.#tasks.get(sid);
    if (!runner && this.#tasks.hasMoved(sid)) throw moved(sid);
    if (!runner || runner.state.refused || runner.state.phase === 'ended') throw refuseUnfound({ cname, uid });
    refuseOtherMode(runner.task, mode);
    return runner;
  }
}

/** What a recording says of itself goes before what its app says; 0 is for ever. */
function retentionFrom(own: number | undefined, ofApp: number): Pick<TaskDocument, 'retention'> {
  const days = own ?? ofApp;
  return days > 0 || own !== undefined ? { retention: { days, rule: own === undefined ? 'app' : 'recording' } } : {};
}
