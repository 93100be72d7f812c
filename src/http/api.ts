/** What the routes of the recording API need to answer. */
import type { Clock } from '../kernel/clock.ts';
import type { Recordings } from '../session/recordings.ts';
import type { CustomerAccount, SignedIn } from './auth.ts';
import type { BacklogApi } from './backlog.ts';
import type { CutsApi } from './cuts.ts';
import type { Changes } from './dashboard/changes.ts';
import type { ChannelsApi } from './dashboard/channels.ts';
import type { FilesApi } from './dashboard/files.ts';
import type { KeepCall } from './dashboard/kept-calls.ts';
import type { EventsApi } from './events.ts';
import type { Fleet } from './fleet/fleet.ts';
import type { LiveApi } from './live.ts';
import type { MixesApi } from './mixes.ts';
import type { RateLimit } from './rate-limit.ts';
import type { RecordingListApi } from './recording-list.ts';
import type { RemovalsApi } from './removals.ts';
import type { RetentionApi } from './retention.ts';
import type { ThumbnailsApi } from './thumbnails.ts';

export type DashboardApi = FilesApi & ChannelsApi & { changes: Changes; clock: Clock; keepCall: KeepCall };

export type RecordingApi = EventsApi & {
  recordings: Pick<Recordings, 'about' | 'acquire' | 'start' | 'update' | 'updateLayout' | 'query' | 'stop' | 'report'>;
  /** When absent this server is in no fleet, and answers every call itself. */
  fleet?: Pick<Fleet, 'carry' | 'place'>;
  customers: readonly CustomerAccount[];
  /** When absent, only clients with credentials of their own can call. */
  signedIn?: SignedIn;
  isApp(appid: string): boolean;
  /** Who is in a channel, as JSON. */
  participants(appid: string, cname: string): unknown[];
  backlog: BacklogApi;
  /** What the dashboard asks for; when absent there are no such calls. */
  dashboard?: DashboardApi;
  list: RecordingListApi['list'];
  cuts: CutsApi;
  /** When absent nothing can be mixed. */
  mixes?: MixesApi;
  /** When absent files are kept for ever, and nothing is told of it. */
  retention?: RetentionApi;
  /** When absent there are none. */
  thumbnails?: ThumbnailsApi;
  /** When absent nobody can be removed from a recording. */
  removals?: RemovalsApi;
  /** When absent nothing can be watched. */
  live?: LiveApi;
  /** When absent there is no limit. */
  rateLimit?: RateLimit;
  /** Addresses that webhooks come from; when none are given, the addresses of this machine. */
  notifySourceIps?: readonly string[];
};
