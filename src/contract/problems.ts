/**
 * Every error that the REST API can answer with (contract §0.5, §2), by the code of the Fault that stands for it inside
 * the server.
 */
import { Fault } from '../kernel/fault.ts';

type Blamed = { http: number; blame: 'caller' | 'destination' | 'self'; meaning: string };
/** Answered as `{code, reason}`, with cname and uid where they are known. */
export type ApiProblem = Blamed & {
  shape: 'api';
  code: number;
  reason: string;
  /** The more specific code that was sent for it until 2026 (contract §2.2); sent when a setting asks for it. */
  legacyCode?: number;
};
/** Answered as `{message}`, before any recording is looked at. */
export type GatewayProblem = Blamed & { shape: 'gateway'; message: string };
export type Problem = ApiProblem | GatewayProblem;

type ApiWords = { http: number; code: number; reason: string; meaning: string; legacyCode?: number };
const api =
  (blame: Blamed['blame']) =>
  (words: ApiWords): ApiProblem => ({ shape: 'api', blame, ...words });
const caller = api('caller');
const destination = api('destination');
const self = api('self');
const gateway = (http: number, message: string, meaning: string): GatewayProblem => ({
  shape: 'gateway',
  http,
  message,
  blame: 'caller',
  meaning,
});
/** Bad requests share one code and have many texts. */
const badRequest = (reason: string, meaning: string, legacyCode?: number): ApiProblem =>
  caller({ http: 400, code: 2, reason, meaning, ...(legacyCode !== undefined && { legacyCode }) });

export const PROBLEMS = {
  unauthorized: gateway(401, 'Unauthorized', 'There is no Authorization header.'),
  'credentials-invalid': gateway(
    401,
    'Invalid authentication credentials',
    'The customer id or secret is wrong, or the header is not HTTP Basic.',
  ),
  'session-over': gateway(
    401,
    'Sign in first',
    'The browser has not signed in to the dashboard, or its session is over. Or another page than the dashboard sent the call.',
  ),
  'appid-invalid': gateway(
    400,
    'appid is invalid',
    'The App ID is not configured, or these credentials may not use it.',
  ),
  'operator-needed': gateway(
    403,
    'These credentials are not those of an operator',
    'What concerns the server and no app is for customers who may use all apps.',
  ),
  'no-route': gateway(404, 'no Route matched with those values', 'No such path, or not with this method.'),
  'rate-limited': gateway(
    429,
    'API rate limit exceeded',
    'This App ID makes more calls a second than it may; Retry-After says when to go on.',
  ),
  'body-too-large': gateway(
    413,
    'Request size limit exceeded',
    'The body has more than 1 MiB, packed or unpacked, or unpacks to a hundred times its size.',
  ),
  // Whatever the body is said to be: client libraries read a refusal of 400 to 409, and start again after others.
  'content-type-unsupported': badRequest(
    'api body validate failed! Content-Type must be application/json',
    'The body is no JSON, and was not said to be any.',
    8,
  ),
  'encoding-unsupported': caller({
    http: 415,
    code: 2,
    reason: 'api body validate failed! Content-Encoding must be gzip or identity',
    meaning: 'The body is packed in another way than gzip.',
    legacyCode: 8,
  }),
  'json-invalid': badRequest(
    'api body validate failed! the body is not JSON',
    'The body cannot be read as JSON in UTF-8, or holds what no database keeps: U+0000 or half of a surrogate pair.',
    8,
  ),
  'request-invalid': badRequest('api body validate failed!', 'A field is missing, misspelt or out of range.'),
  'resource-unknown': badRequest(
    'resourceId is not one that acquire gave out!',
    'start: the resource id in the path was never given out, or was forgotten after a day without a start. Any call: it has characters that no resource id has.',
    1001,
  ),
  'resource-mismatch': badRequest(
    'resourceId does not belong to this call!',
    'The resource id was acquired for another channel, uid or mode than the call names. Of what was never started, only start says so.',
    432,
  ),
  'sid-mismatch': badRequest(
    'sid does not belong to resourceId!',
    'The sid in the path is that of another recording of the app, or the App ID is not the one the resource id is of.',
    1003,
  ),
  'resource-too-old': badRequest(
    'resourceId exceeded time limit!',
    'start came more than five minutes after acquire.',
    433,
  ),
  'resource-expired': badRequest(
    'resourceId exceeded time limit!',
    'The handle is older than its resourceExpiredHour. The recording goes on.',
  ),
  'request-hash-mismatch': badRequest(
    'request_hash mismatch! clientRequest must be what acquire had as startParameter',
    'clientRequest of start is not the startParameter that acquire announced.',
  ),
  'layout-invalid': badRequest('updateLayout: invalid layout!', 'The body of updateLayout is not valid.', 1028),
  'channel-name-invalid': caller({
    http: 400,
    code: 401,
    reason: 'invalid_channel_name',
    meaning: 'The channel name is empty, longer than 63 bytes, or holds a character channel names may not hold.',
    legacyCode: 1013,
  }),
  'app-inactive': caller({
    http: 400,
    code: 405,
    reason: 'no_active_status',
    meaning: 'The app is configured not to record.',
  }),
  'too-many-recordings': caller({
    http: 400,
    code: 406,
    reason: 'vendor_over_load',
    meaning: 'The app runs as many recordings as it may.',
  }),
  'already-started': caller({
    http: 201,
    code: 7,
    reason: 'already started',
    meaning: 'This resource id already started a recording, whose sid is in the answer.',
  }),
  'task-conflict': caller({
    http: 400,
    code: 53,
    reason: 'task conflict',
    meaning: 'The channel is already being recorded under this uid with another resource id.',
  }),
  'invalid-operation': caller({
    http: 400,
    code: 49,
    reason: 'invalid operation',
    meaning: 'The recording is already stopping.',
  }),
  'no-worker': caller({
    http: 404,
    code: 404,
    reason: 'failed to find worker',
    meaning:
      'There is no such recording: it was never started, whatever stands for its ids in the path, or it has ended. The only answer to calls after the end.',
  }),
  'nothing-recorded': caller({
    http: 206,
    code: 435,
    reason: 'no recorded data',
    meaning: 'Nobody ever sent anything, so there is no file.',
  }),
  'upload-timeout': destination({
    http: 206,
    code: 50,
    reason: 'upload timeout',
    meaning: 'A synchronous stop waited its time and files are still being uploaded; that goes on.',
  }),
  'request-incomplete': self({
    http: 206,
    code: 65,
    reason: 'request not completed',
    meaning: 'start takes longer than callTimeoutMs and goes on. The same call again tells the sid.',
  }),
  'start-timeout': self({
    http: 500,
    code: 62,
    reason: 'request timeout',
    meaning:
      'The database did not answer start within callTimeoutMs. It may still begin: the same call again tells the sid.',
  }),
  'request-timeout': self({
    http: 504,
    code: 62,
    reason: 'request timeout',
    meaning: 'query, update, updateLayout or stop had to wait longer than callTimeoutMs for the database.',
  }),
  'allocate-timeout': self({
    http: 500,
    code: 504,
    reason: 'allocate_timeout',
    meaning: 'acquire had to wait longer than callTimeoutMs for the database.',
  }),
  'no-worker-manager': self({
    http: 500,
    code: 501,
    reason: 'no_worker_manager_available',
    meaning: 'The server is shutting down, or draining, and takes no new recordings.',
  }),
  'allocate-failed': self({
    http: 500,
    code: 502,
    reason: 'Failed to allocate worker',
    meaning: 'No recorder could be had for this recording; the log says why.',
  }),
  'internal-error': self({
    http: 500,
    code: 500,
    reason: 'internal_error',
    meaning: 'The server failed; its log says how.',
  }),
  'event-unknown': caller({
    http: 404,
    code: 404,
    reason: 'no such event',
    meaning: 'No event of this App ID has that noticeId, or it is older than eventRetentionDays.',
  }),
  'recording-unknown': caller({
    http: 404,
    code: 404,
    reason: 'no such recording',
    meaning: 'No recording of this App ID has that sid.',
  }),
  'file-unknown': caller({
    http: 404,
    code: 404,
    reason: 'no such file',
    meaning: 'The recording has no such file in the server’s own folder: it is unknown, or lies in another store.',
  }),
  'nothing-stored': caller({
    http: 404,
    code: 404,
    reason: 'nothing of the recording is stored any more',
    meaning: 'cut, mix: there are no slices: none were made, or they are gone from the spool and from the store.',
  }),
  'cut-outside': badRequest(
    'the stretch was not recorded',
    'cut: the stretch, or a part of it, lies before or after what is recorded; or its user sent nothing in it.',
  ),
  'cut-impossible': caller({
    http: 409,
    code: 2,
    reason: 'the stretch cannot be cut out',
    meaning:
      'cut, mix: one MP4 cannot hold what the stretch has, the files of the recording need a user to be named, or its store cannot be read with what is known of it. The reason says which.',
  }),
  'cut-unknown': caller({
    http: 404,
    code: 404,
    reason: 'no such cut',
    meaning: 'No cut of this recording has that id, or it was made more than an hour ago.',
  }),
  'cut-unfinished': caller({
    http: 409,
    code: 2,
    reason: 'the cut is not done',
    meaning: 'The file of a cut was asked for that is still being made, or that failed.',
  }),
  'mix-outside': badRequest(
    'the users or the stretch were not recorded',
    'mix: the stretch, or a part of it, lies before or after what is recorded; the recording has no such user; or nobody who was asked for sent anything in it.',
  ),
  'mix-impossible': caller({
    http: 409,
    code: 2,
    reason: 'the recording cannot be mixed',
    meaning: 'mix: the recording is not one of single users, or it goes on. The reason says which.',
  }),
  'mix-unknown': caller({
    http: 404,
    code: 404,
    reason: 'no such mix',
    meaning: 'No mix of this recording has that id, or its MP4 was kept for as long as mixKeepHours says.',
  }),
  'mix-unfinished': caller({
    http: 409,
    code: 2,
    reason: 'the mix is not done',
    meaning:
      'The file of a mix was asked for that waits, is still being made, or failed; or that lies on a node that is away.',
  }),
  'retention-impossible': caller({
    http: 409,
    code: 2,
    reason: 'the files cannot be deleted',
    meaning:
      'retention, deletion: the keys of the recording’s store are forgotten and none were given; an earlier version did not keep where its files lie; or they are deleted already. The reason says which.',
  }),
  'deletion-refused': caller({
    http: 409,
    code: 2,
    reason: 'nothing is deleted now',
    meaning:
      'deletion, or of a mix: the recording has not ended, has files that are not in their store yet, or is under a legal hold. The reason says which.',
  }),
  'removal-impossible': caller({
    http: 409,
    code: 2,
    reason: 'nobody can be removed from the recording',
    meaning:
      'removals: everybody is mixed into the same files; the keys of the recording’s store are forgotten and none were given; an earlier version did not keep where its files lie; or they are deleted already. The reason says which, and what can be done.',
  }),
  'removal-refused': caller({
    http: 409,
    code: 2,
    reason: 'nobody is removed from the recording now',
    meaning:
      'removals: the recording has not ended, has files that are not in their store yet, is under a legal hold, or all its files are being deleted. The reason says which.',
  }),
  'person-unknown': caller({
    http: 404,
    code: 404,
    reason: 'nobody of this uid is in the recording',
    meaning: 'removals: the recording has no file of that uid, and its quality report does not name it.',
  }),
  'link-impossible': caller({
    http: 409,
    code: 2,
    reason: 'the store gives no such link',
    meaning:
      'link: the recording’s store knows no signed addresses, its keys are needed, or it refuses them. The reason says which.',
  }),
  'range-invalid': caller({
    http: 416,
    code: 2,
    reason: 'Range must be one span of bytes of the file',
    meaning:
      'The Range header asks for nothing that the file has. Or the file lies on another node of the fleet, and more than 64 MB of it were asked for at once.',
  }),
  'cut-refused': self({
    http: 503,
    code: 2,
    reason: 'no cut can be made now',
    meaning: 'Too many cuts are kept or under way, or the disk has no room for this one.',
  }),
  'mix-refused': self({
    http: 503,
    code: 2,
    reason: 'no mix can be made now',
    meaning: 'Too many mixes wait, or those that are kept leave no room for this one: mixTotalMb, or the disk.',
  }),
  'watch-token-invalid': gateway(
    401,
    'This address does not open the recording',
    'watch: the token is missing, was changed, or is that of another recording.',
  ),
  'watch-token-over': gateway(
    401,
    'This address is good no longer: ask for another one',
    'watch: the token was good until a while ago. POST …/watch gives out another one.',
  ),
  'watch-impossible': caller({
    http: 409,
    code: 2,
    reason: 'the recording cannot be watched',
    meaning:
      'watch: the files of the recording need a user to be named, or it has ended and its store cannot be read with what is known of it. The reason says which.',
  }),
  'watch-refused': self({
    http: 503,
    code: 2,
    reason: 'too many recordings are watched at once',
    meaning: 'watch: 200 recordings are watched at this node, or it is ending.',
  }),
  'live-file-unknown': caller({
    http: 404,
    code: 404,
    reason: 'there is nothing of that kind to watch',
    meaning: 'watch: nothing is recorded yet, nothing of that user, or no such slice or part.',
  }),
  'live-version-unknown': badRequest(
    'a version of the playlist was asked for that is too far ahead',
    'watch: _HLS_msn or _HLS_part lie further ahead than a player may ask (RFC 8216bis §6.2.5.2).',
  ),
  'thumbnail-unknown': caller({
    http: 404,
    code: 404,
    reason: 'there is no picture of this user',
    meaning:
      'thumbnail: nobody is in the channel by that uid, their picture does not come, or no key frame of it came or could be decoded.',
  }),
  'thumbnail-refused': self({
    http: 503,
    code: 2,
    reason: 'no thumbnail can be made now',
    meaning: 'thumbnail: too many are asked for at once, or the process that makes them has failed or is ending.',
  }),
  'notifications-not-configured': caller({
    http: 409,
    code: 2,
    reason: 'notifications are not configured for this appid',
    meaning: 'The app has no notification URL to send an event to.',
  }),
} as const satisfies Record<string, Problem>;

export type ProblemName = keyof typeof PROBLEMS;

export type ProblemOptions = { cause?: unknown; details?: Readonly<Record<string, string>> };

/** A Fault that is answered as the named problem; `reason` replaces the problem's own words where they may vary. */
export function problem(name: ProblemName, reason?: string, options: ProblemOptions = {}): Fault {
  const { blame, ...rest } = PROBLEMS[name];
  return new Fault(name, reason ?? ('reason' in rest ? rest.reason : rest.message), { ...options, blame });
}

/** The problem that a thrown value is answered as; `internal-error` when it is no known problem. */
export function problemOf(error: unknown): ProblemName {
  if (error instanceof Fault && Object.hasOwn(PROBLEMS, error.code)) return error.code as ProblemName;
  return 'internal-error';
}
