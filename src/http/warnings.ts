/**
 * Warnings about a request: a header counts them and the log names them, whether or not the request succeeds; the body
 * never has them.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type LintedCall, lintCall } from '../contract/lint/lint.ts';
import type { Warning } from '../contract/lint/warning.ts';

const HEADER = 'X-Aircheck-Warnings';
const STORE_HEADER = 'X-Aircheck-Store-Warning';
const MAX_HEADER_LENGTH = 500;

/** Finds what is doubtful in the call; sets the header on its answer when there is anything. */
export function warn(request: FastifyRequest, reply: FastifyReply, call: LintedCall): Warning[] {
  const warnings = lintCall(call);
  if (warnings.length > 0) {
    reply.header(HEADER, String(warnings.length));
    request.log.warn({ call: call.call, url: request.url, warnings }, `a request is doubtful: ${warnings[0]?.message}`);
  }
  return warnings;
}

/**
 * The store did not take the test object: one more warning, with what the store said. The log and an event have told it
 * already.
 */
export function warnOfStore(reply: FastifyReply, warnings: readonly Warning[], refusal: string): void {
  reply.header(HEADER, String(warnings.length + 1));
  reply.header(STORE_HEADER, toHeaderValue(refusal));
}

/** What a store says may be in any script and hold line breaks; a header can only hold printable ASCII. */
function toHeaderValue(text: string): string {
  return text
    .replaceAll('’', "'")
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, MAX_HEADER_LENGTH)
    .trim();
}
