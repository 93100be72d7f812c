/**
 * What goes over the wire, from the schemas that the server reads and writes with. Nothing of them is loaded: these are
 * types alone, so that the client stays small in a browser.
 */
import type { z } from 'zod';
import type { acquireReplySchema, acquireRequestSchema } from '../contract/rest/acquire.ts';
import type { handleReplySchema } from '../contract/rest/body.ts';
import type { cutRequestSchema } from '../contract/rest/cut.ts';
import type { EventsReply } from '../contract/rest/events.ts';
import type { Mode } from '../contract/rest/fields.ts';
import type { fileLinkRequestSchema } from '../contract/rest/file-link.ts';
import type { mixRequestSchema } from '../contract/rest/mix.ts';
import type { queryReplySchemas } from '../contract/rest/query.ts';
import type { RecordingListQuery } from '../contract/rest/recording-list.ts';
import type { startRequestSchemas } from '../contract/rest/start.ts';
import type { stopReplySchemas } from '../contract/rest/stop.ts';
import type { updateRequestSchemas } from '../contract/rest/update.ts';
import type { updateLayoutRequestSchema } from '../contract/rest/update-layout.ts';
import type { NOTICE_TYPES, NoticeType, noticeSchema } from '../contract/webhook/notice.ts';

export type { BacklogEntry } from '../contract/rest/backlog.ts';
export type { ChannelReply } from '../contract/rest/channel.ts';
export type { CutReply } from '../contract/rest/cut.ts';
export type { RedeliverReply } from '../contract/rest/events.ts';
export type { FileLinkReply } from '../contract/rest/file-link.ts';
export type { MixListReply, MixReply } from '../contract/rest/mix.ts';
export type { NodesReply } from '../contract/rest/nodes.ts';
export type { RecordingCallsReply } from '../contract/rest/recording-calls.ts';
export type { RecordingFilesReply } from '../contract/rest/recording-files.ts';
export type { ListedRecordingReply as ListedRecording, RecordingListReply } from '../contract/rest/recording-list.ts';
export type { RecordingReport } from '../contract/rest/recording-report.ts';
export type {
  RemovalListReply,
  RemovalPreview,
  RemovalReply,
  RemovalRequest,
} from '../contract/rest/removal.ts';
export type {
  DeletionRequest,
  LegalHoldRequest,
  RetentionReply,
  RetentionRequest,
} from '../contract/rest/retention.ts';
export type { WatchReply, WatchRequest } from '../contract/rest/watch.ts';
export type { EventsReply, Mode };

/**
 * What may be sent: as the schema reads it. Where it takes anything and makes something of it, what it makes; such a
 * member may be left out.
 */
type Sent<In, Out> = In extends readonly (infer Item)[]
  ? readonly Sent<Item, Out extends readonly (infer Made)[] ? Made : unknown>[]
  : In extends object
    ? { [K in keyof In as unknown extends In[K] ? never : K]: Sent<In[K], MemberOf<Out, K>> } & {
        [K in keyof In as unknown extends In[K] ? K : never]?: Sent<MemberOf<Out, K>, unknown>;
      }
    : In;
type MemberOf<T, K> = T extends object ? (K extends keyof T ? Exclude<T[K], undefined> : unknown) : unknown;
type Request<T extends z.ZodType<{ clientRequest: unknown }>> = Sent<
  (z.input<T> & { clientRequest: unknown })['clientRequest'],
  z.output<T>['clientRequest']
>;

export type AcquireRequest = Request<typeof acquireRequestSchema>;
/** `clientRequest` of start, by the mode. */
export type StartRequest<M extends Mode = Mode> = { [K in Mode]: Request<(typeof startRequestSchemas)[K]> }[M];
/** `clientRequest` of update, by the mode. */
export type UpdateRequest<M extends Mode = Mode> = { [K in Mode]: Request<(typeof updateRequestSchemas)[K]> }[M];
export type UpdateLayoutRequest = Request<typeof updateLayoutRequestSchema>;

/** Which stretch is cut out, by seconds of the recording or moments with their time zone. */
export type CutRequest = z.input<typeof cutRequestSchema>;
export type FileLinkRequest = z.input<typeof fileLinkRequestSchema>;

/** What a mix is to be of a recording of single users. */
export type MixRequest = z.input<typeof mixRequestSchema>;

/** The channels that somebody publishes to, and whether there are thumbnails of them. */
export type ChannelsReply = { channels: { cname: string }[]; thumbnails: boolean };
export type AcquireReply = z.output<typeof acquireReplySchema>;
export type HandleReply = z.output<typeof handleReplySchema>;
export type QueryReply<M extends Mode = Mode> = { [K in Mode]: z.output<(typeof queryReplySchemas)[K]> }[M];
export type StopReply<M extends Mode = Mode> = { [K in Mode]: z.output<(typeof stopReplySchemas)[K]> }[M];

/** A recording that was started: what every later call about it needs. May be kept as JSON. */
export type Recording<M extends Mode = Mode> = { [K in Mode]: HandleReply & { mode: K } }[M];

type Told = z.output<typeof noticeSchema>;
/** A webhook as it arrives; its `eventType` says which `details` it has. */
export type Notice<T extends NoticeType = NoticeType> = {
  [K in NoticeType]: Omit<Told, 'eventType' | 'payload'> & {
    eventType: K;
    /** When it was sent, Unix milliseconds; another at each sending. */
    notifyMs: number;
    payload: Omit<Told['payload'], 'details'> & { details: z.output<(typeof NOTICE_TYPES)[K]['details']> };
  };
}[T];

/** Which recordings are listed; all when nothing is said. */
export type RecordingFilter = {
  cname?: string;
  mode?: Mode;
  state?: RecordingListQuery['state'] & string;
  /** A text in their channel, uid or sid. */
  search?: string;
  /** Started at or after, and before: Unix milliseconds. */
  from?: number;
  until?: number;
  /** As `next` of an earlier answer. */
  before?: string;
  /** 1 to 200; 50 when left out. */
  limit?: number;
};

export type EventFilter = {
  /** Only events of this recording. */
  sid?: string;
  /** Only events after this position, as an earlier answer has it in `next`. */
  after?: number;
  state?: EventsReply['events'][number]['state'];
  /** 1 to 1000; 100 when left out. */
  limit?: number;
};
