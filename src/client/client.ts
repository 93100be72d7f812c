/**
 * AircheckClient: the recording API and what this server has beyond it, in calls with types. Calls that fail for a
 * while are made again, by the contract's own rule, until a deadline.
 */
import { AircheckError } from './aircheck-error.ts';
import type { Call } from './exchange.ts';
import { type CallOptions, RecordedCalls, searchOf } from './recorded-calls.ts';
import { pause } from './time.ts';
import type {
  AcquireReply,
  AcquireRequest,
  BacklogEntry,
  ChannelReply,
  ChannelsReply,
  EventFilter,
  EventsReply,
  HandleReply,
  Mode,
  NodesReply,
  QueryReply,
  Recording,
  RecordingReport,
  RedeliverReply,
  StartRequest,
  StopReply,
  UpdateLayoutRequest,
  UpdateRequest,
} from './types.ts';

/** A channel and the uid that the recorder has in it. */
export type Names = { cname: string; uid: string };

/** A stop waits for uploads, which a server gives 20 s unless it is set otherwise. */
const STOP_EXTRA_MS = 30_000;
/** How often a recording is looked at whose end is waited for. */
const LOOK_MS = 2_000;

export class AircheckClient extends RecordedCalls {
  /** A resource id for one start within five minutes. */
  async acquire(
    { cname, uid, clientRequest = {} }: Names & { clientRequest?: AcquireRequest },
    options?: CallOptions,
  ): Promise<AcquireReply> {
    const body = { cname, uid, clientRequest };
    return (await this.post('acquire', '/cloud_recording/acquire', body, options)) as AcquireReply;
  }

  /** Starts a recording with a resource id. One that was started already is no error: its sid is told again. */
  async start<M extends Mode>(
    mode: M,
    { cname, uid, resourceId, clientRequest }: Names & { resourceId: string; clientRequest: StartRequest<M> },
    options?: CallOptions,
  ): Promise<Recording<M>> {
    const path = `/cloud_recording/resourceid/${encodeURIComponent(resourceId)}/mode/${mode}/start`;
    const body = { cname, uid, clientRequest };
    const { sid } = (await this.post('start', path, body, options, { good: [200, 201] })) as HandleReply;
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
    return (await this.get('query', `${taskPath(recording)}/query`, options)) as QueryReply<M>;
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

  /** The channels that somebody publishes to. */
  async channels(options?: CallOptions): Promise<string[]> {
    const { channels } = (await this.get('channels', '/aircheck/channels', options)) as ChannelsReply;
    return channels.map(({ cname }) => cname);
  }

  /** Who is in a channel and what they send. */
  async channel(cname: string, options?: CallOptions): Promise<ChannelReply> {
    return (await this.get('channel', `/aircheck/channels/${encodeURIComponent(cname)}`, options)) as ChannelReply;
  }

  /** What recordings told, the oldest first, and whether it was delivered: one page. */
  async events(filter: EventFilter = {}, options?: CallOptions): Promise<EventsReply> {
    return (await this.get('events', `/aircheck/events${searchOf(filter)}`, options)) as EventsReply;
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
    return (await this.post('redeliver', path, undefined, options, { repeatable: false })) as RedeliverReply;
  }

  /** Files that are not in their store yet, and why. */
  async backlog(options?: CallOptions): Promise<BacklogEntry[]> {
    const { backlog } = (await this.get('backlog', '/aircheck/backlog', options)) as { backlog: BacklogEntry[] };
    return backlog;
  }

  /** Has what waits of a recording tried now, for its store or in the backup store. */
  async retryBacklog(sid: string, options?: CallOptions): Promise<void> {
    await this.post('retryBacklog', `/aircheck/backlog/${encodeURIComponent(sid)}/retry`, undefined, options);
  }

  /** The servers that share the database, and what each carries; for customers who may use all apps. */
  async nodes({ signal }: CallOptions = {}): Promise<NodesReply> {
    const call: Call = { name: 'nodes', method: 'GET', path: '/v1/aircheck/nodes' };
    return (await this.exchange.call(call, signal)) as NodesReply;
  }

  #change(
    name: string,
    recording: Recording,
    clientRequest: unknown,
    options: CallOptions | undefined,
    more?: Partial<Call>,
  ): Promise<unknown> {
    const { cname, uid } = recording;
    return this.post(name, `${taskPath(recording)}/${name}`, { cname, uid, clientRequest }, options, more);
  }
}

function taskPath({ resourceId, sid, mode }: Recording): string {
  return `/cloud_recording/resourceid/${encodeURIComponent(resourceId)}/sid/${encodeURIComponent(sid)}/mode/${mode}`;
}
