/**
 * How a thrown value becomes an answer: gateway-shaped `{message}` or API-shaped `{code, reason}` (contract §0.5).
 */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEMS, problem, problemOf } from '../contract/problems.ts';
import { Fault } from '../kernel/fault.ts';
import { redact } from '../observe/log.ts';

/** Sends the answer for `error`; what is our own fault is logged with its cause. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const fault = fromFastify(error);
  const name = problemOf(fault);
  const shape = PROBLEMS[name];
  if (shape.blame === 'self') request.log.error({ err: fault, url: request.url }, 'a request failed');
  else request.log.info({ problem: name, why: messageFor(fault), body: redact(request.body) }, 'a request was refused');
  if (shape.http === 401) reply.header('WWW-Authenticate', 'Basic realm="aircheck"');
  reply.code(shape.http).type('application/json; charset=utf-8');
  if (shape.shape === 'gateway') return reply.send({ message: shape.message });
  const details = fault instanceof Fault ? fault.details : {};
  return reply.send({
    ...(request.routeOptions.url?.endsWith('/acquire') ? {} : namesOf(request.body)),
    ...details,
    code: shape.code,
    // The words of an unforeseen error are for the log: they may hold what callers should not see.
    reason: name === 'internal-error' || !(fault instanceof Fault) ? shape.reason : fault.message,
  });
}

function messageFor(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}

/** Fastify's own errors for requests it could not read are the caller's. */
function fromFastify(error: unknown): unknown {
  if (error instanceof Fault) return error;
  const { statusCode, code } = error as Partial<FastifyError>;
  if (statusCode === undefined || statusCode >= 500) return error;
  if (statusCode === 413 || code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return problem('request-invalid', 'api body validate failed! the body is too large', { cause: error });
  return problem('request-invalid', `api body validate failed! ${(error as Error).message}`, { cause: error });
}

/** cname and uid go back with every error where the caller sent them (contract §0.5 A+). acquire has the short form. */
function namesOf(body: unknown): { cname?: string; uid?: string } {
  if (typeof body !== 'object' || body === null) return {};
  const { cname, uid } = body as Record<string, unknown>;
  return {
    ...(typeof cname === 'string' && { cname }),
    ...(typeof uid === 'string' && { uid }),
  };
}
