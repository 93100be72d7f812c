/**
 * Every error the REST API can answer with (contract §0.5, §2.1), by the Fault code that stands for it inside the server.
 */
import { Fault } from '../kernel/fault.ts';

type Blamed = { http: number; blame: 'caller' | 'destination' | 'self'; meaning: string };
/** Answered as `{code, reason}`, with cname and uid where they are known. */
export type ApiProblem = Blamed & { shape: 'api'; code: number; reason: string };
/** Answered as `{message}`, before any recording is looked at. */
export type GatewayProblem = Blamed & { shape: 'gateway'; message: string };
export type Problem = ApiProblem | GatewayProblem;

const api = (http: number, code: number, reason: string, blame: Blamed['blame'], meaning: string): ApiProblem => ({
  shape: 'api',
  http,
  code,
  reason,
  blame,
  meaning,
});
const gateway = (http: number, message: string, meaning: string): GatewayProblem => ({
  shape: 'gateway',
  http,
  message,
  blame: 'caller',
  meaning,
});

export const PROBLEMS = {
  unauthorized: gateway(401, 'Unauthorized', 'There is no Authorization header.'),
  'credentials-invalid': gateway(
    401,
    'Invalid authentication credentials',
    'The customer id or secret is wrong, or the header is not HTTP Basic.',
  ),
  'appid-invalid': gateway(
    400,
    'appid is invalid',
    'The App ID is not configured, or these credentials may not use it.',
  ),
  'no-route': gateway(404, 'no Route matched with those values', 'No such path, or not with this method.'),
  'request-invalid': api(
    400,
    2,
    'api body validate failed!',
    'caller',
    'A field is missing, misspelt or out of range.',
  ),
  'resource-expired': api(
    400,
    2,
    'resourceId exceeded time limit!',
    'caller',
    'The resource id is too old to start with, or older than its resourceExpiredHour.',
  ),
  'request-hash-mismatch': api(
    400,
    2,
    'request_hash mismatch!',
    'caller',
    'clientRequest of start is not the startParameter that acquire announced.',
  ),
  'channel-name-invalid': api(
    400,
    401,
    'invalid_channel_name',
    'caller',
    'The channel name is empty, longer than 63 bytes, or holds a character channel names may not hold.',
  ),
  'already-started': api(201, 7, 'already started', 'caller', 'This resource id already started a recording.'),
  'task-conflict': api(
    400,
    53,
    'task conflict',
    'caller',
    'The channel is already being recorded under this uid with another resource id.',
  ),
  'invalid-operation': api(400, 49, 'invalid operation', 'caller', 'The recording is already stopping.'),
  'no-worker': api(
    404,
    404,
    'failed to find worker',
    'caller',
    'There is no such recording, or it has ended. The only answer to calls after the end.',
  ),
  'nothing-recorded': api(206, 435, 'no recorded data', 'caller', 'Nobody ever sent anything, so there is no file.'),
  'upload-timeout': api(
    206,
    50,
    'upload timeout',
    'destination',
    'A synchronous stop waited its time and files are still being uploaded; that goes on.',
  ),
  'allocate-failed': api(500, 502, 'Failed to allocate worker', 'self', 'No recorder could be had for this recording.'),
  'internal-error': api(500, 500, 'internal_error', 'self', 'The server failed; its log says how.'),
} as const satisfies Record<string, Problem>;
export type ProblemName = keyof typeof PROBLEMS;

export type ProblemOptions = { cause?: unknown; details?: Readonly<Record<string, string>> };

/** A Fault that is answered as the named problem; `reason` replaces the problem's own words where it may vary. */
export function problem(name: ProblemName, reason?: string, options: ProblemOptions = {}): Fault {
  const { blame, ...rest } = PROBLEMS[name];
  return new Fault(name, reason ?? ('reason' in rest ? rest.reason : rest.message), { ...options, blame });
}

/** The problem a thrown value is answered as. What is no known problem is `internal-error`. */
export function problemOf(error: unknown): ProblemName {
  if (error instanceof Fault && Object.hasOwn(PROBLEMS, error.code)) return error.code as ProblemName;
  return 'internal-error';
}
