/** Keeps the calls that make a recording as they came, so that they can be looked at beside what they made. */
import type { FastifyRequest } from 'fastify';
import type { RecordingCallsReply } from '../../contract/rest/recording-calls.ts';
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { redact } from '../../observe/log.ts';
import type { StoredFiles } from '../../store/stored-files.ts';

export type KeepCall = (
  request: FastifyRequest,
  sid: string,
  call: RecordingCallsReply['calls'][number]['call'],
) => void;

/** Longer ones are not kept: with them any customer could fill the database. */
const MOST_BYTES = 64 * 1024;

/** Nothing waits for it: a recording does not depend on it. */
export function callKeeper({ files, clock }: { files: Pick<StoredFiles, 'keepCall'>; clock: Clock }): KeepCall {
  return (request, sid, call) => {
    const body = withoutPaths(redact(request.body));
    if (Buffer.byteLength(JSON.stringify(body ?? null)) > MOST_BYTES) return;
    files.keepCall(sid, { atMs: clock.nowMs(), call, body }).catch((error: unknown) => {
      request.log.warn({ sid, error: messageOf(error) }, 'a call could not be kept for the dashboard');
    });
  };
}

/** Addresses of pages, images and live streams may hold keys anywhere behind the host. */
function withoutPaths(value: unknown): unknown {
  if (typeof value === 'string' && /^\s*[a-z][\w+.-]*:\/\//i.test(value)) {
    const url = URL.parse(value.trim());
    return url ? `${url.protocol}//${url.host}/…` : '[redacted]';
  }
  if (Array.isArray(value)) return value.map(withoutPaths);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withoutPaths(member)]));
}
