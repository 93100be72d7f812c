/**
 * Recordings: acquire, start, query and stop (contract §1), in the order of checks that callers can rely on (§2.4).
 */
import { problem } from '../contract/problems.ts';
import { type AcquireReply, type AcquireRequest, hashOf } from '../contract/rest/acquire.ts';
import { MODES, type Mode } from '../contract/rest/body.ts';
import { type FileList, type ListedRecording, toFileList } from '../contract/rest/file-list.ts';
import { type QueryReply, toQueryResponse } from '../contract/rest/query.ts';
import { parseNames, parseStart, type StartReply } from '../contract/rest/start.ts';
import { parseStop, type StopReply } from '../contract/rest/stop.ts';
import { toMixPlan } from '../contract/rest/to-plan.ts';
import { sleep } from '../kernel/clock.ts';
import { type Fault, messageOf } from '../kernel/fault.ts';
import { newResourceId, newSid } from '../kernel/ids.ts';
import type { Resource } from './ports.ts';
import { isRunning, newTaskState, type Task } from './task.ts';
import { type TaskPorts, TaskRunner } from './task-runner.ts';

export type RecordingsOptions = TaskPorts & {
  resourceLifeMs: number;
  sliceStartTimeUnit: 's' | 'ms';
  forceExtinfComma: boolean;
  mp4Limit: { durationMs: number; bytes: number };
  /** The start of every file name of a recording (contract §4.1). */
  baseName(sid: string, cname: string): string;
};
/** The path of a call on one resource. */
export type ResourcePath = { appid: string; resourceId: string; mode: Mode };
export type TaskPath = ResourcePath & { sid: string };

const HOUR_MS = 3_600_000;

export class Recordings {
  #options: RecordingsOptions;
  #runners = new Map<string, TaskRunner>();
  #closing = false;

  constructor(options: RecordingsOptions) {
    this.#options = options;
  }

  /** How many tasks have not ended, uploads included. */
  get size(): number {
    return this.#runners.size;
  }

  /** Uploads what a server that died left on its spools, and ends its tasks. */
  async recover(): Promise<void> {
    const { tasks, unreadable } = await this.#options.store.unfinishedTasks();
    for (const { sid, why } of unreadable)
      this.#options.log.error(
        { sid },
        `an unfinished recording cannot be read, and its files stay on the spool: ${why}`,
      );
    for (const { task, state } of tasks) {
      const runner = this.#hold(new TaskRunner(task, state, this.#options));
      void runner.dispatch({ type: 'serverRestarted' });
    }
  }

  async acquire(appid: string, request: AcquireRequest): Promise<AcquireReply> {
    const { store, clock, resourceLifeMs } = this.#options;
    const { cname, uid, scene, resourceExpiredHour, startHash } = request;
    const resourceId = newResourceId();
    const expiresMs = clock.nowMs() + resourceLifeMs;
    const unused = { sid: undefined, startedMs: undefined };
    await store.addResource({
      resourceId,
      appid,
      cname,
      uid,
      scene,
      expiresMs,
      resourceExpiredHour,
      startHash,
      ...unused,
    });
    this.#options.channel.prepare(appid, cname);
    return { cname, uid, resourceId };
  }

  async start({ appid, resourceId, mode }: ResourcePath, body: unknown): Promise<StartReply> {
    const { store, clock, log, baseName, mp4Limit, forceExtinfComma } = this.#options;
    const { cname, uid, clientRequest } = parseNames('start', body);
    const resource = await this.#resourceOf('start', { appid, resourceId, mode }, { cname, uid });
    this.#refuseUsed(resource);
    if (clock.nowMs() > resource.expiresMs) throw problem('resource-expired');
    if ((await store.findRunning(appid, cname, uid)) !== undefined) throw problem('task-conflict');
    if (resource.startHash !== undefined && resource.startHash !== hashOf(clientRequest))
      throw problem('request-hash-mismatch');
    const request = parseStart(mode, body);
    if (mode !== 'mix') {
      log.error(
        { appid, cname, uid, mode },
        `start refused: this server records in mix mode only, not in ${mode} mode`,
      );
      throw problem('allocate-failed');
    }
    if (this.#closing) throw problem('allocate-failed');

    const sid = newSid();
    const { plan, extinfComma, ignored } = toMixPlan(request, { sid, baseName: baseName(sid, cname), mp4Limit });
    if (ignored.length > 0) log.warn({ sid, ignored }, `without effect on this server: ${ignored.join(', ')}`);
    const document = {
      plan,
      storage: request.storageConfig,
      extinfComma: extinfComma || forceExtinfComma,
      token: request.token,
    };
    const task: Task = { sid, resourceId, appid, cname, uid, createdMs: clock.nowMs(), document };
    const state = newTaskState();
    const added = await store.addTask(task, state);
    if (added === 'conflict') throw problem('task-conflict');
    if (added === 'used') {
      this.#refuseUsed(await this.#resourceOf('start', { appid, resourceId, mode }, { cname, uid }));
      throw problem('internal-error');
    }
    const runner = this.#hold(new TaskRunner(task, state, this.#options));
    try {
      await runner.start();
    } catch (cause) {
      log.error({ sid, appid, cname, uid, error: messageOf(cause) }, 'no recorder could be had');
      throw problem('allocate-failed', undefined, { cause });
    }
    return { cname, uid, resourceId, sid };
  }

  async query(path: TaskPath): Promise<QueryReply> {
    const resource = await this.#resourceOf('query', path);
    const { task, state } = this.#runnerOf(path, resource);
    const { cname, uid } = task;
    const { resourceId, sid } = path;
    const response = toQueryResponse(state.status, listed(task, state), this.#options.sliceStartTimeUnit);
    return { cname, uid, resourceId, sid, serverResponse: response };
  }

  async stop(path: TaskPath, body: unknown): Promise<StopReply> {
    const { cname, uid, asyncStop } = parseStop(body);
    const resource = await this.#resourceOf('stop', path, { cname, uid });
    const runner = this.#runnerOf(path, resource);
    const { resourceId, sid } = path;
    const details = { cname, uid, resourceId, sid };
    const outcome = await runner.stop(!asyncStop);
    const reply = (uploadingStatus: 'uploaded' | 'unknown'): StopReply => ({
      ...details,
      serverResponse: { ...this.#fileList(runner), uploadingStatus },
    });
    switch (outcome) {
      case 'accepted':
        return reply('unknown');
      case 'stored':
        return reply('uploaded');
      case 'nothing':
        throw problem('nothing-recorded', undefined, { details });
      case 'late':
        throw problem('upload-timeout', undefined, { details });
      case 'exiting':
        throw problem('invalid-operation', undefined, { details });
      case 'gone':
        throw problem('no-worker', undefined, { details });
    }
  }

  /**
   * Ends all recordings as a stop would, and waits for their uploads at most `timeoutMs`. What is not done by then stays on
   * its spool for the next server.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    const runners = [...this.#runners.values()];
    for (const runner of runners) void runner.dispatch({ type: 'shutdownRequested' });
    const over = new AbortController();
    await Promise.race([
      Promise.all(runners.map((runner) => runner.ended)),
      sleep(this.#options.clock, timeoutMs, over.signal).catch(() => {}),
    ]);
    over.abort();
    for (const runner of this.#runners.values()) {
      const { sid } = runner.task;
      this.#options.log.warn({ sid }, 'not all files are uploaded; the next start of the server goes on with them');
      runner.abandon();
    }
  }

  #hold(runner: TaskRunner): TaskRunner {
    this.#runners.set(runner.task.sid, runner);
    void runner.ended.then(() => this.#runners.delete(runner.task.sid));
    return runner;
  }

  /** The resource of a path, once it is known to belong to it. Throws `request-invalid` or `resource-expired`. */
  async #resourceOf(
    endpoint: string,
    { appid, resourceId, mode }: ResourcePath,
    names?: { cname: string; uid: string },
  ): Promise<Resource> {
    const refuse = (why: string): Fault =>
      problem('request-invalid', `${endpoint}: ${why}`, { ...(names && { details: names }) });
    const resource = /^[\w-]{1,512}$/.test(resourceId) ? await this.#options.store.findResource(resourceId) : undefined;
    if (!resource) throw refuse('resourceId is not one that acquire gave out!');
    if (resource.appid !== appid) throw refuse('resourceId does not belong to this appid!');
    if (names && resource.cname !== names.cname) throw refuse('cname is not the one resourceId was acquired for!');
    if (names && resource.uid !== names.uid) throw refuse('uid is not the one resourceId was acquired for!');
    if ((resource.scene === 1) !== (mode === 'web'))
      throw refuse(`mode ${mode} does not fit scene ${resource.scene} of acquire; the modes are ${MODES.join(', ')}!`);
    const { startedMs, resourceExpiredHour } = resource;
    if (startedMs !== undefined && this.#options.clock.nowMs() > startedMs + resourceExpiredHour * HOUR_MS)
      throw problem('resource-expired', undefined, { details: { cname: resource.cname, uid: resource.uid } });
    return resource;
  }

  #refuseUsed({ sid, cname, uid, resourceId }: Resource): void {
    if (sid === undefined) return;
    const runner = this.#runners.get(sid);
    if (runner && isRunning(runner.state) && runner.state.phase !== 'stopping')
      throw problem('already-started', undefined, { details: { cname, uid, resourceId, sid } });
    throw problem('request-invalid', 'start: resourceId was used before; acquire a new one!', {
      details: { cname, uid },
    });
  }

  #runnerOf({ sid, mode }: TaskPath, { cname, uid, sid: startedSid }: Resource): TaskRunner {
    const details = { cname, uid };
    if (!/^[0-9a-f]{32}$/.test(sid))
      throw problem('request-invalid', 'sid must be 32 hexadecimal digits!', { details });
    if (startedSid === undefined) throw problem('no-worker', undefined, { details });
    if (startedSid !== sid) throw problem('request-invalid', 'sid does not belong to resourceId!', { details });
    const runner = this.#runners.get(sid);
    if (!runner || runner.state.orphaned || runner.state.phase === 'ended')
      throw problem('no-worker', undefined, { details });
    const taskMode = runner.task.document.plan.mode;
    if (taskMode !== mode)
      throw problem('request-invalid', `mode is ${mode}, but the recording was started in ${taskMode} mode!`, {
        details,
      });
    return runner;
  }

  #fileList({ task, state }: TaskRunner): FileList {
    return toFileList(listed(task, state), this.#options.sliceStartTimeUnit);
  }
}

function listed({ document }: Task, { playlist, mp4s }: TaskRunner['state']): ListedRecording {
  const { video, audio, files } = document.plan;
  const trackType = video && audio ? 'audio_and_video' : video ? 'video' : 'audio';
  return { playlist, mp4s, withMp4: files.mp4, trackType };
}
