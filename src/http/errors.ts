/**
 * How a thrown value becomes an answer: gateway-shaped `{message}` or API-shaped `{code, reason}` (contract §0.5).
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEMS, problem, problemOf } from '../contract/problems.ts';
import { Fault } from '../kernel/fault.ts';
import { redact } from '../observe/log.ts';

export type ErrorOptions = {
  /** Send the finer codes in use until 2026 where a problem has one (contract §2.2). */
  legacyErrorCodes: boolean;
};
/** Sends the answer for `error`; what is our own fault is logged with its cause. */
export type SendError = (error: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/**
 * A header of every call of the dashboard. A page of another origin cannot add one without asking the server first,
 * which never allows it; so a call that has it comes from the dashboard.
 */
export const DASHBOARD_HEADER = 'x-aircheck-dashboard';
/** No channel name is longer in any mode (contract §0.4); a longer text is not sent back. */
const MAX_NAME_LENGTH = 1024;
/** Refused bodies up to this size are logged; with larger ones any customer could fill the log. */
const MAX_LOGGED_BODY_BYTES = 16 * 1024;

export function errorSender({ legacyErrorCodes }: ErrorOptions): SendError {
  return (error, request, reply) => {
    const fault = fromFastify(error);
    const name = problemOf(fault);
    const shape = PROBLEMS[name];
    if (name === 'internal-error') request.log.error({ err: fault, url: request.url }, 'a request failed');
    // This fault was foreseen, and its message says why: a stack would tell nothing more.
    else if (shape.blame === 'self')
      request.log.error({ problem: name, why: messageFor(fault), url: request.url }, 'a request was refused');
    else request.log.info({ problem: name, why: messageFor(fault), body: loggable(request) }, 'a request was refused');
    // With it a browser would ask for credentials of its own accord, over the dashboard.
    const isBrowsers = name === 'session-over' || request.headers[DASHBOARD_HEADER] !== undefined;
    if (shape.http === 401 && !isBrowsers) reply.header('WWW-Authenticate', 'Basic realm="aircheck"');
    reply.code(shape.http).type('application/json; charset=utf-8');
    if (shape.shape === 'gateway') return reply.send({ message: shape.message });
    const details = fault instanceof Fault ? fault.details : {};
    return reply.send({
      ...(request.routeOptions.url?.endsWith('/acquire') ? {} : namesOf(request.body)),
      ...details,
      code: legacyErrorCodes && shape.legacyCode !== undefined ? shape.legacyCode : shape.code,
      // The words of an unforeseen error are only for the log, as they may hold what callers must not see.
      reason: name === 'internal-error' || !(fault instanceof Fault) ? shape.reason : fault.message,
    });
  };
}

function messageFor(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}

function loggable({ body, headers }: FastifyRequest): unknown {
  if (body === undefined) return undefined;
  // A chunked body states no length, and a packed one only the length of the package; either may be of any size.
  const isStated = headers['content-length'] !== undefined && headers['content-encoding'] === undefined;
  const bytes = isStated ? Number(headers['content-length']) : Number.POSITIVE_INFINITY;
  return bytes <= MAX_LOGGED_BODY_BYTES ? redact(body) : '[too large for the log]';
}

/** Fastify's own errors about requests that it cannot read are the caller's fault. */
function fromFastify(error: unknown): unknown {
  if (error instanceof Fault) return error;
  // Anything can be thrown, even null.
  const { statusCode, code } = (error ?? {}) as Partial<FastifyError>;
  if (statusCode === undefined || statusCode >= 500) return error;
  if (statusCode === 413 || code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return problem('body-too-large', undefined, { cause: error });
  return problem('request-invalid', `api body validate failed! ${(error as Error).message}`, { cause: error });
}

/** When the caller sent cname and uid they go back with every error (contract §0.5 A+). acquire has the short form. */
function namesOf(body: unknown): { cname?: string; uid?: string } {
  if (typeof body !== 'object' || body === null) return {};
  const { cname, uid } = body as Record<string, unknown>;
  return {
    ...(isName(cname) && { cname }),
    ...(isName(uid) && { uid }),
  };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_NAME_LENGTH;
}
