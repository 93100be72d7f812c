/** What the routes of the recording API need to answer. */
import type { Recordings } from '../session/recordings.ts';
import type { CustomerAccount } from './auth.ts';
import type { BacklogApi } from './backlog.ts';
import type { EventsApi } from './events.ts';
import type { Fleet } from './fleet/fleet.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RecordingListApi } from './recording-list.ts';

export type RecordingApi = EventsApi & {
  recordings: Pick<Recordings, 'about' | 'acquire' | 'start' | 'update' | 'updateLayout' | 'query' | 'stop' | 'report'>;
  /** When absent this server is in no fleet, and answers every call itself. */
  fleet?: Pick<Fleet, 'carry'>;
  customers: readonly CustomerAccount[];
  isApp(appid: string): boolean;
  /** Who is in a channel, as JSON. */
  participants(appid: string, cname: string): unknown[];
  backlog: BacklogApi;
  list: RecordingListApi['list'];
  /** When absent there is no limit. */
  rateLimit?: RateLimit;
  /** Addresses that webhooks come from; when none are given, the addresses of this machine. */
  notifySourceIps?: readonly string[];
};
