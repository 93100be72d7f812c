/**
 * AircheckClient: the recording API and what this server has beyond it, in calls with types. Calls that fail for a
 * while are made again, by the contract's own rule, until a deadline.
 */
import { AircheckError } from './aircheck-error.ts';
import { type Call, type ClientOptions, Exchange } from './exchange.ts';
import { pause } from './time.ts';
import type {
  AcquireReply,
  AcquireRequest,
  BacklogEntry,
  ChannelReply,
  DeletionRequest,
  EventFilter,
  EventsReply,
  HandleReply,
  LegalHoldRequest,
  ListedRecording,
  MixListReply,
  MixReply,
  MixRequest,
  Mode,
  NodesReply,
  QueryReply,
  Recording,
  RecordingFilter,
  RecordingListReply,
  RecordingReport,
  RedeliverReply,
  RemovalListReply,
  RemovalPreview,
  RemovalReply,
  RemovalRequest,
  RetentionReply,
  RetentionRequest,
  StartRequest,
  StopReply,
  UpdateLayoutRequest,
  UpdateRequest,
  WatchReply,
  WatchRequest,
} from './types.ts';

/** A channel and the uid that the recorder has in it. */
export type Names = { cname: string; uid: string };
/** Aborting gives a call up; what the server has begun goes on. */
export type CallOptions = { signal?: AbortSignal };

/** A stop waits for uploads, which a server gives 20 s unless it is set otherwise. */
const STOP_EXTRA_MS = 30_000;
/** How often a recording is looked at whose end is waited for. */
const LOOK_MS = 2_000;

export class AircheckClient {
  readonly #exchange: Exchange;
  readonly #app: string;

  /** Throws a TypeError for a URL that no call can be made to. */
  constructor(options: ClientOptions) {
    this.#exchange = new Exchange(options);
    this.#app = `/v1/apps/${encodeURIComponent(options.appId)}`;
  }

  /** A resource id for one start within five minutes. */
  async acquire(
    { cname, uid, clientRequest = {} }: Names & { clientRequest?: AcquireRequest },
    options?: CallOptions,
  ): Promise<AcquireReply> {
    const body = { cname, uid, clientRequest };
    return (await this.#post('acquire', '/cloud_recording/acquire', body, options)) as AcquireReply;
  }

  /** Starts a recording with a resource id. One that was started already is no error: its sid is told again. */
  async start<M extends Mode>(
    mode: M,
    { cname, uid, resourceId, clientRequest }: Names & { resourceId: string; clientRequest: StartRequest<M> },
    options?: CallOptions,
  ): Promise<Recording<M>> {
    const path = `/cloud_recording/resourceid/${encodeURIComponent(resourceId)}/mode/${mode}/start`;
    const body = { cname, uid, clientRequest };
    const { sid } = (await this.#post('start', path, body, options, { good: [200, 201] })) as HandleReply;
    return { cname, uid, resourceId, sid, mode } as Recording<M>;
  }

  /** acquire and start in one. */
  async record<M extends Mode>(
    mode: M,
    { cname, uid, clientRequest }: Names & { clientRequest: StartRequest<M> },
    options?: CallOptions,
  ): Promise<Recording<M>> {
    const scene = mode === 'web' ? 1 : 0;
    const { resourceId } = await this.acquire({ cname, uid, clientRequest: { scene } }, options);
    return this.start(mode, { cname, uid, resourceId, clientRequest }, options);
  }

  /** How a running recording is doing. */
  async query<M extends Mode>(recording: Recording<M>, options?: CallOptions): Promise<QueryReply<M>> {
    return (await this.#get('query', `${taskPath(recording)}/query`, options)) as QueryReply<M>;
  }

  /** Changes who is recorded, the store's credentials, or holds a recording. */
  async update<M extends Mode>(
    recording: Recording<M>,
    clientRequest: UpdateRequest<M>,
    options?: CallOptions,
  ): Promise<HandleReply> {
    return (await this.#change('update', recording, clientRequest, options)) as HandleReply;
  }

  /** Replaces the layout of a composite: what is left out goes back to its default. */
  async updateLayout(
    recording: Recording<'mix'>,
    clientRequest: UpdateLayoutRequest,
    options?: CallOptions,
  ): Promise<HandleReply> {
    return (await this.#change('updateLayout', recording, clientRequest, options)) as HandleReply;
  }

  /**
   * Stops a recording. Without `async_stop` it resolves when all files are stored, and rejects when the server gave up
   * waiting for that (`isStillUploading`). `finish` waits for the end in any case.
   */
  async stop<M extends Mode>(
    recording: Recording<M>,
    clientRequest: { async_stop?: boolean } = {},
    options?: CallOptions,
  ): Promise<StopReply<M>> {
    const extraMs = clientRequest.async_stop ? 0 : STOP_EXTRA_MS;
    return (await this.#change('stop', recording, clientRequest, options, { extraMs })) as StopReply<M>;
  }

  /**
   * Stops a recording and resolves once it has ended, with all that is known of it. It does not matter whether it is
   * stopping or has ended already, whether answers are lost, and how long uploads take; abort to give up waiting.
   */
  async finish(recording: Recording, options: CallOptions = {}): Promise<RecordingReport> {
    try {
      await this.stop(recording, {}, options);
    } catch (error) {
      if (!(error instanceof AircheckError)) throw error;
      const { isGone, isStopping, isStillUploading, isNothingRecorded } = error;
      if (!isGone && !isStopping && !isStillUploading && !isNothingRecorded) throw error;
    }
    return this.ended(recording.sid, options);
  }

  /** Resolves once a recording has ended, with all that is known of it. */
  async ended(sid: string, options: CallOptions = {}): Promise<RecordingReport> {
    for (;;) {
      const report = await this.recording(sid, options);
      if (report.phase === 'ended') return report;
      await pause(LOOK_MS, options.signal);
    }
  }

  /** What is known of a recording, also long after its end: files, warnings, the quality report. */
  async recording(sid: string, options?: CallOptions): Promise<RecordingReport> {
    return (await this.#get(
      'recording',
      `/aircheck/recordings/${encodeURIComponent(sid)}`,
      options,
    )) as RecordingReport;
  }

  /**
   * Addresses by which whoever has them can watch a recording, also while it is recorded, for `seconds`: whole ones, of
   * HLS.
   */
  async watch(sid: string, request: WatchRequest = {}, options?: CallOptions): Promise<WatchReply> {
    const path = `/aircheck/recordings/${encodeURIComponent(sid)}/watch`;
    const reply = (await this.#post('watch', path, request, options)) as WatchReply;
    const whole = (url: string) => this.#exchange.urlOf(url);
    return {
      ...reply,
      url: reply.url === null ? null : whole(reply.url),
      users: reply.users.map((user) => ({ ...user, url: whole(user.url) })),
    };
  }

  /** Has a recording of single users that has ended mixed into one MP4. Made once alone: each call makes one. */
  async mix(sid: string, request: MixRequest = {}, { signal }: CallOptions = {}): Promise<MixReply> {
    const call: Call = { name: 'mix', method: 'POST', path: this.#mixes(sid), body: request, good: [201] };
    return this.#wholeMix((await this.#exchange.call({ ...call, repeatable: false }, signal)) as MixReply);
  }

  /** How far a mix is. `file` is a whole address, at which the customer's credentials open the MP4. */
  async mixOf(sid: string, mixId: string, { signal }: CallOptions = {}): Promise<MixReply> {
    const call: Call = { name: 'mixOf', method: 'GET', path: `${this.#mixes(sid)}/${encodeURIComponent(mixId)}` };
    return this.#wholeMix((await this.#exchange.call(call, signal)) as MixReply);
  }

  /** Resolves once a mix is done or has failed, to what became of it. */
  async mixed(sid: string, mixId: string, options: CallOptions = {}): Promise<MixReply> {
    for (;;) {
      const mix = await this.mixOf(sid, mixId, options);
      if (mix.state === 'done' || mix.state === 'failed') return mix;
      await pause(LOOK_MS, options.signal);
    }
  }

  /** The mixes of a recording, the newest first. */
  async mixes(sid: string, { signal }: CallOptions = {}): Promise<MixReply[]> {
    const call: Call = { name: 'mixes', method: 'GET', path: this.#mixes(sid) };
    const { mixes } = (await this.#exchange.call(call, signal)) as MixListReply;
    return mixes.map((mix) => this.#wholeMix(mix));
  }

  /** Calls a mix off, or removes its MP4. */
  async removeMix(sid: string, mixId: string, { signal }: CallOptions = {}): Promise<void> {
    const path = `${this.#mixes(sid)}/${encodeURIComponent(mixId)}`;
    await this.#exchange.call({ name: 'removeMix', method: 'DELETE', path, good: [204] }, signal);
  }

  #mixes(sid: string): string {
    return `${this.#app}/aircheck/recordings/${encodeURIComponent(sid)}/mixes`;
  }

  #wholeMix(mix: MixReply): MixReply {
    return { ...mix, file: mix.file === null ? null : this.#exchange.urlOf(mix.file) };
  }

  /** How long the files of a recording are kept, its legal hold, and what was deleted. */
  retention(sid: string, options?: CallOptions): Promise<RetentionReply> {
    return this.#ofFiles('GET', sid, 'retention', undefined, options);
  }

  /** Has the files kept for so many days after the end of the recording, or with 0 for ever. */
  setRetention(sid: string, request: RetentionRequest, options?: CallOptions): Promise<RetentionReply> {
    return this.#ofFiles('PUT', sid, 'retention', request, options);
  }

  /** Puts a recording under a legal hold: nothing of it is deleted while that lasts. */
  holdRecording(sid: string, request: LegalHoldRequest = {}, options?: CallOptions): Promise<RetentionReply> {
    return this.#ofFiles('PUT', sid, 'legal-hold', request, options);
  }

  /** Lifts a legal hold. */
  releaseRecording(sid: string, options?: CallOptions): Promise<RetentionReply> {
    return this.#ofFiles('DELETE', sid, 'legal-hold', undefined, options);
  }

  /** Has the files of a recording deleted now. */
  deleteFiles(sid: string, request: DeletionRequest = {}, options?: CallOptions): Promise<RetentionReply> {
    return this.#ofFiles('POST', sid, 'deletion', request, options);
  }

  async #ofFiles(
    method: Call['method'],
    sid: string,
    what: string,
    body: object | undefined,
    { signal }: CallOptions = {},
  ): Promise<RetentionReply> {
    return (await this.#exchange.call(this.#recordingCall(method, sid, what, body), signal)) as RetentionReply;
  }

  /** Who was removed from a recording, when, by whom, and which files went. */
  async removals(sid: string, options?: CallOptions): Promise<RemovalListReply> {
    return (await this.#get(
      'removals',
      `/aircheck/recordings/${encodeURIComponent(sid)}/removals`,
      options,
    )) as RemovalListReply;
  }

  /** What removing a person from a recording would delete and make anew. Nothing is removed. */
  async previewRemoval(sid: string, uid: string, options?: CallOptions): Promise<RemovalPreview> {
    const path = `/aircheck/recordings/${encodeURIComponent(sid)}/removals/preview${searchOf({ uid })}`;
    return (await this.#get('preview', path, options)) as RemovalPreview;
  }

  /**
   * Removes one person from a recording of single users: their picture, sound and files, for good. Resolves when that
   * is queued; `removals` tells when it is done. Asking again goes on, or tells what was done.
   */
  async removePerson(sid: string, request: RemovalRequest, { signal }: CallOptions = {}): Promise<RemovalReply> {
    return (await this.#exchange.call(this.#recordingCall('POST', sid, 'removals', request), signal)) as RemovalReply;
  }

  #recordingCall(method: Call['method'], sid: string, what: string, body: object | undefined): Call {
    const path = `${this.#app}/aircheck/recordings/${encodeURIComponent(sid)}/${what}`;
    return { name: what, method, path, ...(body && { body }), good: [200, 202] };
  }

  /** Recordings, the newest first: one page. */
  async recordings(filter: RecordingFilter = {}, options?: CallOptions): Promise<RecordingListReply> {
    return (await this.#get('recordings', `/aircheck/recordings${searchOf(filter)}`, options)) as RecordingListReply;
  }

  /** All recordings there are, page after page. */
  async *allRecordings(filter: RecordingFilter = {}, options?: CallOptions): AsyncGenerator<ListedRecording> {
    for (let before = filter.before; ; ) {
      const { recordings, next } = await this.recordings(
        { ...filter, ...(before !== undefined && { before }) },
        options,
      );
      yield* recordings;
      if (next === null) return;
      before = next;
    }
  }

  /** Who is in a channel and what they send. */
  async channel(cname: string, options?: CallOptions): Promise<ChannelReply> {
    return (await this.#get('channel', `/aircheck/channels/${encodeURIComponent(cname)}`, options)) as ChannelReply;
  }

  /** What recordings told, the oldest first, and whether it was delivered: one page. */
  async events(filter: EventFilter = {}, options?: CallOptions): Promise<EventsReply> {
    return (await this.#get('events', `/aircheck/events${searchOf(filter)}`, options)) as EventsReply;
  }

  /** All events there are, page after page. */
  async *allEvents(filter: EventFilter = {}, options?: CallOptions): AsyncGenerator<EventsReply['events'][number]> {
    for (let { after = 0 } = filter; ; ) {
      const { events, next } = await this.events({ ...filter, after }, options);
      yield* events;
      if (events.length === 0) return;
      after = next;
    }
  }

  /** Sends an event again, now. Made once alone: each call sends it. */
  async redeliver(noticeId: string, options?: CallOptions): Promise<RedeliverReply> {
    const path = `/aircheck/events/${encodeURIComponent(noticeId)}/redeliver`;
    return (await this.#post('redeliver', path, undefined, options, { repeatable: false })) as RedeliverReply;
  }

  /** Files that are not in their store yet, and why. */
  async backlog(options?: CallOptions): Promise<BacklogEntry[]> {
    const { backlog } = (await this.#get('backlog', '/aircheck/backlog', options)) as { backlog: BacklogEntry[] };
    return backlog;
  }

  /** The servers that share the database, and what each carries; for customers who may use all apps. */
  async nodes({ signal }: CallOptions = {}): Promise<NodesReply> {
    const call: Call = { name: 'nodes', method: 'GET', path: '/v1/aircheck/nodes' };
    return (await this.#exchange.call(call, signal)) as NodesReply;
  }

  #get(name: string, path: string, { signal }: CallOptions = {}): Promise<unknown> {
    return this.#exchange.call({ name, method: 'GET', path: `${this.#app}${path}` }, signal);
  }

  #post(
    name: string,
    path: string,
    body: unknown,
    { signal }: CallOptions = {},
    more: Partial<Call> = {},
  ): Promise<unknown> {
    return this.#exchange.call({ name, method: 'POST', path: `${this.#app}${path}`, body, ...more }, signal);
  }

  #change(
    name: string,
    recording: Recording,
    clientRequest: unknown,
    options: CallOptions | undefined,
    more?: Partial<Call>,
  ): Promise<unknown> {
    const { cname, uid } = recording;
    return this.#post(name, `${taskPath(recording)}/${name}`, { cname, uid, clientRequest }, options, more);
  }
}

function taskPath({ resourceId, sid, mode }: Recording): string {
  return `/cloud_recording/resourceid/${encodeURIComponent(resourceId)}/sid/${encodeURIComponent(sid)}/mode/${mode}`;
}

function searchOf(filter: EventFilter | RecordingFilter | { uid: string }): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? '' : `?${search}`;
}
