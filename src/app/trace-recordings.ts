/**
 * RecordingTraces: the life of each recording as one trace, beneath the call that started it: start, first frame, each
 * file on its way to the store, stop, and the uploads after it.
 */
import type { Config } from '../config/load.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { CallObserver } from '../http/trace-calls.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../observe/log.ts';
import type { TraceSpan, Traces } from '../observe/traces.ts';
import type { TaskObserver } from '../session/ports.ts';
import type { Task, TaskEvent, TaskState } from '../session/task.ts';

type Recording = {
  span: TraceSpan;
  /** From the call to the recorder in its channel, and from there to what it recorded first. */
  start: TraceSpan | undefined;
  firstFrame: TraceSpan | undefined;
  stop: TraceSpan | undefined;
  uploads: TraceSpan | undefined;
  /** Files that lie on the spool and are not in the store, by name; slices with the name of their playlist. */
  files: Map<string, { span: TraceSpan; listedIn: string | undefined }>;
};

/** A store that is away for hours leaves many files waiting; of those beyond there are no spans. */
const MAX_FILES = 1_000;
const STORED = new Set<TaskEvent['type']>(['playlistStored', 'wholeFileStored', 'snapshotStored']);

/** Tracing of a server; undefined where nothing is to be traced: then the libraries of traces are not loaded. */
export async function openTracing(
  { tracesUrl: url, tracesAuthorization: authorization }: Pick<Config, 'tracesUrl' | 'tracesAuthorization'>,
  { version, clock, log }: { version: string; clock: Clock; log: Log },
): Promise<{ recordings: RecordingTraces; close(): Promise<void> } | undefined> {
  if (url === '') return undefined;
  const { Traces } = await import('../observe/traces.ts');
  const traces = new Traces({ url, authorization, version, clock, log });
  return { recordings: new RecordingTraces(traces, clock), close: () => traces.close() };
}

export class RecordingTraces implements TaskObserver {
  readonly #traces: Traces;
  readonly #clock: Clock;
  readonly #recordings = new Map<string, Recording>();
  /** Calls that have not been answered, by the resource that they name. */
  readonly #calls = new Map<string, TraceSpan>();

  constructor(traces: Traces, clock: Clock) {
    this.#traces = traces;
    this.#clock = clock;
  }

  /** Traces a REST call; what it starts belongs to it. */
  readonly onCall: CallObserver = ({ method, route, params, traceparent, tracestate }) => {
    const { appid, resourceid, sid } = params;
    const span = this.#traces.request(
      `${method} ${route}`,
      { traceparent, tracestate },
      {
        ...{ 'http.request.method': method, 'http.route': route },
        ...(appid !== undefined && { 'aircheck.appid': appid }),
        ...(sid !== undefined && { 'aircheck.sid': sid }),
      },
    );
    if (resourceid !== undefined) this.#calls.set(resourceid, span);
    return (status) => {
      span.set({ 'http.response.status_code': status });
      if (status >= 500) span.fail(`answered ${status}`);
      span.end();
      if (resourceid !== undefined && this.#calls.get(resourceid) === span) this.#calls.delete(resourceid);
    };
  };

  onEvent(task: Task, event: TaskEvent, before: TaskState, after: TaskState): void {
    if (event.type === 'startAccepted') this.#begin(task, this.#calls.get(task.resourceId), task.createdMs);
    // The trace of the server before is over.
    else if (event.type === 'serverRestarted') this.#begin(task, undefined, this.#clock.nowMs());
    const recording = this.#recordings.get(task.sid);
    if (!recording) return;
    const nowMs = this.#clock.nowMs();
    if (event.type === 'recorderJoined' && recording.start) {
      recording.start.end(event.atMs);
      recording.start = undefined;
      recording.firstFrame = recording.span.child('first frame', event.atMs);
    } else if (STORED.has(event.type) && 'file' in event) this.#stored(recording, event.file.key, nowMs);
    else if (event.type === 'recorderLost') recording.span.event('recorder lost', event.atMs, { why: event.message });
    else if (event.type === 'rungChanged') recording.span.event('rung changed', event.atMs, { rung: event.rung });
    else if (event.type === 'storeRefused') recording.span.event('store refused', nowMs, { why: event.message });
    if (after.phase !== before.phase) this.#enter(task, recording, after, nowMs);
  }

  onFact({ sid }: Task, fact: Fact): void {
    const recording = this.#recordings.get(sid);
    if (!recording) return;
    if (fact.type === 'firstFrameRecorded') {
      recording.firstFrame?.end(fact.atMs);
      recording.firstFrame = undefined;
    }
    if (fact.type !== 'fileSpooled' || fact.file.type === 'document' || recording.files.size >= MAX_FILES) return;
    const { name, type, bytes } = fact.file;
    const span = recording.span.child(`store ${type}`, fact.atMs, { 'file.name': name, 'file.size': bytes });
    recording.files.set(name, { span, listedIn: fact.file.type === 'slice' ? fact.file.playlist : undefined });
  }

  onLeft({ sid }: Task): void {
    const recording = this.#recordings.get(sid);
    if (!recording) return;
    recording.span.event('taken over by another server', this.#clock.nowMs());
    this.#end(sid, recording, this.#clock.nowMs());
  }

  #begin({ sid, appid, cname, uid, document }: Task, call: TraceSpan | undefined, atMs: number): void {
    const { mode } = document.plan;
    const attributes = {
      ...{ 'aircheck.sid': sid, 'aircheck.appid': appid, 'aircheck.cname': cname, 'aircheck.uid': uid },
      'aircheck.mode': mode,
    };
    const name = `recording ${mode}`;
    const span = call?.child(name, atMs, attributes) ?? this.#traces.root(name, atMs, attributes);
    this.#recordings.set(sid, {
      ...{ span, start: span.child('start', atMs), files: new Map() },
      ...{ firstFrame: undefined, stop: undefined, uploads: undefined },
    });
  }

  /** A playlist is stored after the slices that it names. */
  #stored({ files }: Recording, stored: string, nowMs: number): void {
    const name = stored.split('/').at(-1) ?? stored;
    for (const [own, { span, listedIn }] of files)
      if (own === name || listedIn === name) {
        span.end(nowMs);
        files.delete(own);
      }
  }

  #enter(task: Task, recording: Recording, { phase, healthy, ending }: TaskState, nowMs: number): void {
    if (phase === 'stopping') recording.stop = recording.span.child('stop', nowMs);
    if (phase === 'uploading') {
      recording.stop?.end(nowMs);
      recording.stop = undefined;
      recording.uploads = recording.span.child('uploads', nowMs);
    }
    if (phase !== 'ended') return;
    if (!healthy) recording.span.fail(ending ?? 'a failure');
    this.#end(task.sid, recording, nowMs);
  }

  #end(sid: string, { span, start, firstFrame, stop, uploads, files }: Recording, nowMs: number): void {
    this.#recordings.delete(sid);
    // Files that are left went to the backup store, or were given up.
    for (const each of [...files.values()].map((file) => file.span)) each.end(nowMs);
    for (const each of [start, firstFrame, stop, uploads, span]) each?.end(nowMs);
  }
}
