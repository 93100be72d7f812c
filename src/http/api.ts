/**
 * What the routes of the recording API are given to answer with.
 */
import type { Recordings } from '../session/recordings.ts';
import type { CustomerAccount } from './auth.ts';
import type { BacklogApi } from './backlog.ts';
import type { EventsApi } from './events.ts';
import type { RateLimit } from './rate-limit.ts';

export type RecordingApi = EventsApi & {
  recordings: Pick<Recordings, 'about' | 'acquire' | 'start' | 'update' | 'updateLayout' | 'query' | 'stop' | 'report'>;
  customers: readonly CustomerAccount[];
  isApp(appid: string): boolean;
  /** Who is in a channel, as JSON. */
  participants(appid: string, cname: string): unknown[];
  backlog: BacklogApi;
  /** Absent: no limit. */
  rateLimit?: RateLimit;
  /** Where webhooks come from; none, or absent, means the addresses of this machine. */
  notifySourceIps?: readonly string[];
};
