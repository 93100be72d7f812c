/**
 * Reads a JSON body whatever its content type: clients spell it in many ways, and some leave it out. Only for a body
 * that is not JSON the content type decides the error (contract §0.1). A body may be packed with gzip.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { gunzip } from './gunzip.ts';

/**
 * The deepest body of the contract has 7 levels. The code that reads bodies recurses, and a stack ends at some
 * thousands.
 */
export const MAX_DEPTH = 64;

const MEDIA_TYPE = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(;|$)/;
const JSON_TYPE = /^\s*(application\/json|text\/json|[^;]*\+json)\s*(;|$)/i;
/** The two names of this encoding (RFC 9110 §8.4.1.3). */
const GZIP = new Set(['gzip', 'x-gzip']);
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Makes the routes of `app` take JSON bodies. Others are refused with `content-type-unsupported`,
 * `encoding-unsupported` or `json-invalid`; the server itself limits their size.
 */
export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  // Not in onRequest, so that whoever has no credentials learns that first, and nothing about the headers.
  app.addHook('preParsing', async (request, reply) => {
    if (request.method !== 'POST') return;
    const encoding = encodingOf(request);
    if (encoding !== 'identity' && !GZIP.has(encoding)) {
      // Tells the caller which encoding is accepted (RFC 9110 §15.5.16).
      reply.header('Accept-Encoding', 'gzip');
      throw problem('encoding-unsupported');
    }
    const type = request.headers['content-type'];
    // Without a type, the framework treats an HTTP/2 body of unstated length as no body; with a type that it cannot
    // read, it refuses the body unseen.
    if (type === undefined) request.headers['content-type'] = 'application/json';
    else if (!MEDIA_TYPE.test(type)) request.headers['content-type'] = 'application/octet-stream';
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, received, done) => {
    let body = received as Buffer;
    request.rawBody = body;
    let value: unknown;
    try {
      if (GZIP.has(encodingOf(request))) body = gunzip(body, request.routeOptions.bodyLimit);
      // The schema of the endpoint judges an empty body as it does a missing one.
      if (body.length === 0) return done(null, undefined);
      value = JSON.parse(UTF8.decode(body));
    } catch (cause) {
      if (cause instanceof Fault) return done(cause);
      return done(notJson(request, cause));
    }
    const flaw = flawOf(value);
    if (flaw !== undefined) return done(problem('json-invalid', `api body validate failed! the body ${flaw}`));
    return done(null, value);
  });
}

function encodingOf({ headers }: FastifyRequest): string {
  return headers['content-encoding']?.trim().toLowerCase() || 'identity';
}

function notJson(request: FastifyRequest, cause: unknown): Error {
  if (!JSON_TYPE.test(request.headers['content-type'] ?? ''))
    return problem('content-type-unsupported', undefined, { cause });
  const why =
    cause instanceof SyntaxError ? `the body is not JSON: ${messageOf(cause)}` : 'the body is not text in UTF-8';
  return problem('json-invalid', `api body validate failed! ${why}`, { cause });
}

/**
 * Why nothing can be done with a body, in words; undefined when something can. Works without recursion, so that any
 * depth is safe.
 */
function flawOf(value: unknown): string | undefined {
  let level = [value];
  for (let depth = 0; level.length > 0; depth++) {
    const next: unknown[] = [];
    for (const item of level) {
      if (typeof item === 'string' && !isStorable(item)) return UNSTORABLE;
      if (typeof item !== 'object' || item === null) continue;
      if (depth === MAX_DEPTH) return `is nested deeper than ${MAX_DEPTH} levels`;
      if (!Array.isArray(item) && !Object.keys(item).every(isStorable)) return UNSTORABLE;
      // Not spread, because a long list would be more arguments than a call can have.
      for (const member of Array.isArray(item) ? item : Object.values(item)) {
        if (typeof member === 'string' || (typeof member === 'object' && member !== null)) next.push(member);
      }
    }
    level = next;
  }
  return undefined;
}

const UNSTORABLE = 'holds a text with the character U+0000, or with half of a surrogate pair';

/** JSON can spell them, but Postgres keeps neither, whether as text or in a document. */
function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}
