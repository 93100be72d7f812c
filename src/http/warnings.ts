/**
 * Warnings of a request: counted in a header and said in the log, whether or not the request succeeds; never in the
 * body.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type LintedCall, lintCall } from '../contract/lint/lint.ts';
import type { Warning } from '../contract/lint/warning.ts';

const HEADER = 'X-Aircheck-Warnings';

/** What is doubtful in the call. The header is set on its answer when there is anything. */
export function warn(request: FastifyRequest, reply: FastifyReply, call: LintedCall): Warning[] {
  const warnings = lintCall(call);
  if (warnings.length > 0) {
    reply.header(HEADER, String(warnings.length));
    request.log.warn({ call: call.call, url: request.url, warnings }, `a request is doubtful: ${warnings[0]?.message}`);
  }
  return warnings;
}
