/** The client package, `aircheck/client`: for Node and for browsers, without a library. */
export { AircheckError } from './aircheck-error.ts';
export { AircheckClient, type CallOptions, type Names } from './client.ts';
export type { ClientOptions, Remark } from './exchange.ts';
export type {
  AcquireReply,
  AcquireRequest,
  BacklogEntry,
  ChannelReply,
  EventFilter,
  EventsReply,
  HandleReply,
  ListedRecording,
  Mode,
  NodesReply,
  Notice,
  QueryReply,
  Recording,
  RecordingFilter,
  RecordingListReply,
  RecordingReport,
  RedeliverReply,
  StartRequest,
  StopReply,
  UpdateLayoutRequest,
  UpdateRequest,
  WatchReply,
  WatchRequest,
} from './types.ts';
export { readWebhook, type WebhookDelivery } from './webhook.ts';
