/**
 * RecordedCalls: the client's calls about what is recorded or was: lists, reports, files, cuts, mixes, how long files
 * are kept, and who was removed.
 */
import { type Call, type ClientOptions, Exchange } from './exchange.ts';
import { pause } from './time.ts';
import type {
  CutReply,
  CutRequest,
  DeletionRequest,
  EventFilter,
  FileLinkReply,
  FileLinkRequest,
  LegalHoldRequest,
  ListedRecording,
  MixListReply,
  MixReply,
  MixRequest,
  RecordingCallsReply,
  RecordingFilesReply,
  RecordingFilter,
  RecordingListReply,
  RecordingReport,
  RemovalListReply,
  RemovalPreview,
  RemovalReply,
  RemovalRequest,
  RetentionReply,
  RetentionRequest,
  WatchReply,
  WatchRequest,
} from './types.ts';

/** Aborting gives a call up; what the server has begun goes on. */
export type CallOptions = { signal?: AbortSignal };

/** How often a mix is looked at whose end is waited for, and a cut, which takes seconds. */
const MIX_LOOK_MS = 2_000;
const CUT_LOOK_MS = 500;

export class RecordedCalls {
  protected readonly exchange: Exchange;
  /** The path of the app. */
  protected readonly app: string;

  /** Throws a TypeError for a URL that no call can be made to. */
  constructor(options: ClientOptions) {
    this.exchange = new Exchange(options);
    this.app = `/v1/apps/${encodeURIComponent(options.appId)}`;
  }

  /** What is known of a recording, also long after its end: files, warnings, the quality report. */
  async recording(sid: string, options?: CallOptions): Promise<RecordingReport> {
    return (await this.get('recording', recordingPath(sid), options)) as RecordingReport;
  }

  /**
   * Addresses by which whoever has them can watch a recording, also while it is recorded, for `seconds`: whole ones, of
   * HLS.
   */
  async watch(sid: string, request: WatchRequest = {}, options?: CallOptions): Promise<WatchReply> {
    const path = `${recordingPath(sid)}/watch`;
    const reply = (await this.post('watch', path, request, options)) as WatchReply;
    const whole = (url: string) => this.exchange.urlOf(url);
    return {
      ...reply,
      url: reply.url === null ? null : whole(reply.url),
      users: reply.users.map((user) => ({ ...user, url: whole(user.url) })),
    };
  }

  /** All files of a recording, those that are deleted too, and where they lie. */
  async files(sid: string, options?: CallOptions): Promise<RecordingFilesReply> {
    return (await this.get('files', `${recordingPath(sid)}/files`, options)) as RecordingFilesReply;
  }

  /**
   * An address at which a file can be read from its store for five minutes, without keys. Of what lies in a folder of
   * the server there is none: `…/files/{name}` has it, by the customer's credentials.
   */
  async fileLink(
    sid: string,
    name: string,
    request: FileLinkRequest = {},
    options?: CallOptions,
  ): Promise<FileLinkReply> {
    const path = `${recordingPath(sid)}/files/${encodeURIComponent(name)}/link`;
    return (await this.post('fileLink', path, request, options)) as FileLinkReply;
  }

  /** The calls that started and changed a recording, as they came, without their secrets. */
  async calls(sid: string, options?: CallOptions): Promise<RecordingCallsReply['calls']> {
    const { calls } = (await this.get('calls', `${recordingPath(sid)}/calls`, options)) as RecordingCallsReply;
    return calls;
  }

  /** Has a stretch of a recording cut out as an MP4, while it is recorded too. Made once alone: each call makes one. */
  async cut(sid: string, request: CutRequest, { signal }: CallOptions = {}): Promise<CutReply> {
    const call: Call = { name: 'cut', method: 'POST', path: this.#cuts(sid), body: request, good: [201] };
    return this.#whole((await this.exchange.call({ ...call, repeatable: false }, signal)) as CutReply);
  }

  /** How far a cut is. `file` is a whole address, at which the customer's credentials open the MP4. */
  async cutOf(sid: string, cutId: string, { signal }: CallOptions = {}): Promise<CutReply> {
    const call: Call = { name: 'cutOf', method: 'GET', path: `${this.#cuts(sid)}/${encodeURIComponent(cutId)}` };
    return this.#whole((await this.exchange.call(call, signal)) as CutReply);
  }

  /** Resolves once a cut is done or has failed, to what became of it. */
  async cutDone(sid: string, cutId: string, options: CallOptions = {}): Promise<CutReply> {
    for (;;) {
      const cut = await this.cutOf(sid, cutId, options);
      if (isOver(cut)) return cut;
      await pause(CUT_LOOK_MS, options.signal);
    }
  }

  /** Calls a cut off, or removes its MP4. */
  async removeCut(sid: string, cutId: string, { signal }: CallOptions = {}): Promise<void> {
    const path = `${this.#cuts(sid)}/${encodeURIComponent(cutId)}`;
    await this.exchange.call({ name: 'removeCut', method: 'DELETE', path, good: [204] }, signal);
  }

  #cuts(sid: string): string {
    return `${this.app}${recordingPath(sid)}/cuts`;
  }

  /** Has a recording of single users that has ended mixed into one MP4. Made once alone: each call makes one. */
  async mix(sid: string, request: MixRequest = {}, { signal }: CallOptions = {}): Promise<MixReply> {
    const call: Call = { name: 'mix', method: 'POST', path: this.#mixes(sid), body: request, good: [201] };
    return this.#whole((await this.exchange.call({ ...call, repeatable: false }, signal)) as MixReply);
  }

  /** How far a mix is. `file` is a whole address, at which the customer's credentials open the MP4. */
  async mixOf(sid: string, mixId: string, { signal }: CallOptions = {}): Promise<MixReply> {
    const call: Call = { name: 'mixOf', method: 'GET', path: `${this.#mixes(sid)}/${encodeURIComponent(mixId)}` };
    return this.#whole((await this.exchange.call(call, signal)) as MixReply);
  }

  /** Resolves once a mix is done or has failed, to what became of it. */
  async mixed(sid: string, mixId: string, options: CallOptions = {}): Promise<MixReply> {
    for (;;) {
      const mix = await this.mixOf(sid, mixId, options);
      if (isOver(mix)) return mix;
      await pause(MIX_LOOK_MS, options.signal);
    }
  }

  /** The mixes of a recording, the newest first. */
  async mixes(sid: string, { signal }: CallOptions = {}): Promise<MixReply[]> {
    const call: Call = { name: 'mixes', method: 'GET', path: this.#mixes(sid) };
    const { mixes } = (await this.exchange.call(call, signal)) as MixListReply;
    return mixes.map((mix) => this.#whole(mix));
  }

  /** Calls a mix off, or removes its MP4. */
  async removeMix(sid: string, mixId: string, { signal }: CallOptions = {}): Promise<void> {
    const path = `${this.#mixes(sid)}/${encodeURIComponent(mixId)}`;
    await this.exchange.call({ name: 'removeMix', method: 'DELETE', path, good: [204] }, signal);
  }

  #mixes(sid: string): string {
    return `${this.app}${recordingPath(sid)}/mixes`;
  }

  #whole<T extends { file: string | null }>(made: T): T {
    return { ...made, file: made.file === null ? null : this.exchange.urlOf(made.file) };
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
    return (await this.exchange.call(this.#recordingCall(method, sid, what, body), signal)) as RetentionReply;
  }

  /** Who was removed from a recording, when, by whom, and which files went. */
  async removals(sid: string, options?: CallOptions): Promise<RemovalListReply> {
    return (await this.get('removals', `${recordingPath(sid)}/removals`, options)) as RemovalListReply;
  }

  /** What removing a person from a recording would delete and make anew. Nothing is removed. */
  async previewRemoval(sid: string, uid: string, options?: CallOptions): Promise<RemovalPreview> {
    const path = `${recordingPath(sid)}/removals/preview${searchOf({ uid })}`;
    return (await this.get('preview', path, options)) as RemovalPreview;
  }

  /**
   * Removes one person from a recording of single users: their picture, sound and files, for good. Resolves when that
   * is queued; `removals` tells when it is done. Asking again goes on, or tells what was done.
   */
  async removePerson(sid: string, request: RemovalRequest, { signal }: CallOptions = {}): Promise<RemovalReply> {
    return (await this.exchange.call(this.#recordingCall('POST', sid, 'removals', request), signal)) as RemovalReply;
  }

  #recordingCall(method: Call['method'], sid: string, what: string, body: object | undefined): Call {
    const path = `${this.app}${recordingPath(sid)}/${what}`;
    return { name: what, method, path, ...(body && { body }), good: [200, 202] };
  }

  /** Recordings, the newest first: one page. */
  async recordings(filter: RecordingFilter = {}, options?: CallOptions): Promise<RecordingListReply> {
    return (await this.get('recordings', `/aircheck/recordings${searchOf(filter)}`, options)) as RecordingListReply;
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

  /** A call below the app, as all of these take it. */
  protected get(name: string, path: string, { signal }: CallOptions = {}): Promise<unknown> {
    return this.exchange.call({ name, method: 'GET', path: `${this.app}${path}` }, signal);
  }

  protected post(
    name: string,
    path: string,
    body: unknown,
    { signal }: CallOptions = {},
    more: Partial<Call> = {},
  ): Promise<unknown> {
    return this.exchange.call({ name, method: 'POST', path: `${this.app}${path}`, body, ...more }, signal);
  }
}

function isOver({ state }: { state: string }): boolean {
  return state === 'done' || state === 'failed';
}

function recordingPath(sid: string): string {
  return `/aircheck/recordings/${encodeURIComponent(sid)}`;
}

export function searchOf(filter: EventFilter | RecordingFilter | { uid: string }): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) search.set(name, String(value));
  return search.size === 0 ? '' : `?${search}`;
}
