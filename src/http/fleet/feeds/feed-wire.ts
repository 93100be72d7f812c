/**
 * What two nodes say to each other about a feed before its stream stands (ADR 0032). All of it is signed as every
 * request between nodes.
 */
import { z } from 'zod';

/** Nodes of an earlier protocol know nothing of feeds, and are not asked for any. */
export const FEEDS_WIRE = 2;
export const FEEDS_PATH = '/v1/aircheck/feeds';
/** The protocol that a connection is upgraded to. */
export const FEED_PROTOCOL = 'aircheck-feed';
/** How many messages of a stream the side has received that says so. */
export const RECEIVED_HEADER = 'aircheck-received';
/** How often the recorder's node asks the home for its time, and tells it what has come. */
export const ASK_MS = 500;
/** A connection over which nothing came for this long is taken for broken. */
export const UNHEARD_MS = 2_500;
/** A feed that no other node reads is kept for so long: for one that comes again, and for one that takes over. */
export const UNREAD_MS = 60_000;

/** The body of the request that opens a feed, or takes over the one that is kept for this recording. */
export const openFeedSchema = z.object({
  sid: z.string().regex(/^[0-9a-f]{32}$/),
  appid: z.string().min(1),
  cname: z.string().min(1),
  uid: z.string().min(1),
  videoStreamType: z.union([z.literal(0), z.literal(1)]),
  /** A name of the taker's own, new each time: what comes of an earlier taker is refused from now on. */
  taker: z.string().regex(/^[0-9a-f]{32}$/),
});
export type OpenFeedRequest = z.infer<typeof openFeedSchema>;

/** Both by the home's monotonic clock, microseconds. */
export const openedFeedSchema = z.object({ openedMonoUs: z.number(), nowMonoUs: z.number() });
export type OpenedFeed = z.infer<typeof openedFeedSchema>;

/** The answer where no feed can be opened: a code that the session knows. */
export const refusedFeedSchema = z.object({ code: z.string(), message: z.string() });

/** The address of a feed, of which `taker` is the present taker. */
export function feedPath(sid: string, taker: string): string {
  return `${FEEDS_PATH}/${sid}/${taker}`;
}

const STREAM_PATH = new RegExp(`^${FEEDS_PATH}/([0-9a-f]{32})/([0-9a-f]{32})/([0-9a-f]{32})\\?received=(\\d{1,15})$`);

/** The address of one run's stream, to go on after `received` messages. */
export function streamPath(sid: string, taker: string, stream: string, received: number): string {
  return `${feedPath(sid, taker)}/${stream}?received=${received}`;
}

export function parseStreamPath(url: string) {
  const [, sid = '', taker = '', stream = '', received = ''] = STREAM_PATH.exec(url) ?? [];
  return sid === '' ? undefined : { sid, taker, stream, received: Number(received) };
}
