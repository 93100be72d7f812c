/** Unpacks a request body that was sent with gzip, so that a small body cannot become a huge one. */
import { gunzipSync } from 'node:zlib';
import { type ProblemName, problem } from '../contract/problems.ts';
import { messageOf } from '../kernel/fault.ts';

/** JSON that people send shrinks to a tenth or so; what shrinks to less than a hundredth was made to do so. */
const MAX_RATIO = 100;
/** Below this size, bytes, any ratio is harmless; short repetitive bodies have a high one. */
const ANY_RATIO_BYTES = 65_536;

/**
 * The body as it was before it was packed. It is unpacked on this thread: at most `limitBytes` come out, which takes
 * about as long as parsing them as JSON. Throws `body-too-large` beyond that or beyond a hundred times the packed size,
 * and `json-invalid` for a body that is no gzip.
 */
export function gunzip(packed: Buffer, limitBytes: number): Buffer {
  if (packed.length === 0) return packed;
  const maxOutputLength = Math.min(limitBytes, Math.max(ANY_RATIO_BYTES, MAX_RATIO * packed.length));
  try {
    return gunzipSync(packed, { maxOutputLength });
  } catch (cause) {
    const tooLarge = (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    const refuse = (name: ProblemName, reason?: string) => problem(name, reason, { cause });
    throw tooLarge
      ? refuse('body-too-large')
      : refuse('json-invalid', `api body validate failed! the body cannot be unpacked: ${messageOf(cause)}`);
  }
}
