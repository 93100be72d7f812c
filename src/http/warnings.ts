/**
 * Warnings of a request: counted in a header and said in the log, whether or not the request succeeds; never in the
 * body.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type LintedCall, lintCall } from '../contract/lint/lint.ts';
import type { Warning } from '../contract/lint/warning.ts';

const HEADER = 'X-Aircheck-Warnings';
const STORE_HEADER = 'X-Aircheck-Store-Warning';
const MAX_HEADER_LENGTH = 500;

/** What is doubtful in the call. The header is set on its answer when there is anything. */
export function warn(request: FastifyRequest, reply: FastifyReply, call: LintedCall): Warning[] {
  const warnings = lintCall(call);
  if (warnings.length > 0) {
    reply.header(HEADER, String(warnings.length));
    request.log.warn({ call: call.call, url: request.url, warnings }, `a request is doubtful: ${warnings[0]?.message}`);
  }
  return warnings;
}

/**
 * The store does not take what is put into it: one warning more, and what the store said. The log and an event have it
 * already.
 */
export function warnOfStore(reply: FastifyReply, warnings: readonly Warning[], refusal: string): void {
  reply.header(HEADER, String(warnings.length + 1));
  reply.header(STORE_HEADER, toHeaderValue(refusal));
}

/** A store's words may be in any script, and hold line breaks; a header has room for printable ASCII. */
function toHeaderValue(text: string): string {
  return text
    .replaceAll('’', "'")
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, MAX_HEADER_LENGTH)
    .trim();
}
