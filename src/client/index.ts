/** The client package, `aircheck/client`: for Node and for browsers, without a library. */
export { AircheckError } from './aircheck-error.ts';
export { AircheckClient, type CallOptions, type Names } from './client.ts';
export type { ClientOptions, Remark } from './exchange.ts';
export type {
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
  Notice,
  QueryReply,
  Recording,
  RecordingFilter,
  RecordingListReply,
  RecordingReport,
  RedeliverReply,
  RetentionReply,
  RetentionRequest,
  StartRequest,
  StopReply,
  UpdateLayoutRequest,
  UpdateRequest,
  WatchReply,
  WatchRequest,
} from './types.ts';
export { readWebhook, type WebhookDelivery } from './webhook.ts';
