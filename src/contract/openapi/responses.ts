/**
 * The answers that operations share in the document: errors, from the table of all problems, and the headers on every
 * answer.
 */
import { z } from 'zod';
import type { ZodOpenApiMediaTypeObject, ZodOpenApiResponseObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { PROBLEMS, type Problem, type ProblemName } from '../problems.ts';

/** A `code` says what is wrong, for programs; a `reason` says it in words that may vary. */
export const apiErrorSchema = z.looseObject({
  cname: z.string().optional(),
  uid: z.string().optional(),
  code: z.int(),
  reason: z.string(),
});
export const gatewayErrorSchema = z.object({ message: z.string() });

type Headers = Record<string, { $ref: string } | { description: string; schema: { type: 'integer' | 'string' } }>;
const REQUEST_ID: Headers = { 'X-Request-Id': { $ref: '#/components/headers/RequestId' } };
const WARNINGS: Headers = { 'X-Aircheck-Warnings': { $ref: '#/components/headers/Warnings' } };
const STORE_WARNING: Headers = { 'X-Aircheck-Store-Warning': { $ref: '#/components/headers/StoreWarning' } };

/** The problems that a call may be refused with before any recording is looked at (contract §2.4). */
export const EVERYWHERE = [
  'no-route',
  'rate-limited',
  'unauthorized',
  'credentials-invalid',
  'session-over',
  'appid-invalid',
  'internal-error',
] as const satisfies ProblemName[];
/** Problems of calls with a body. */
export const WITH_BODY = [
  'body-too-large',
  'content-type-unsupported',
  'encoding-unsupported',
  'json-invalid',
  'request-invalid',
] as const satisfies ProblemName[];

/**
 * The answer to a successful call.
 * @param options `linted`: it tells how many warnings about the request there are; `tested`: it tells why a store
 * refused the test object
 */
export function success(
  description: string,
  media: ZodOpenApiMediaTypeObject,
  { linted = false, tested = false }: { linted?: boolean; tested?: boolean } = {},
): ZodOpenApiResponseObject {
  const headers = { ...REQUEST_ID, ...(linted && WARNINGS), ...(tested && STORE_WARNING) };
  return { description, headers, content: { 'application/json': media } };
}

/** One response for each HTTP status that the named problems have, with an example for each of them. */
export function errors(names: readonly ProblemName[]): ZodOpenApiResponsesObject {
  const byStatus = Map.groupBy(new Set(names), (name) => PROBLEMS[name].http);
  const responses: ZodOpenApiResponsesObject = {};
  for (const [status, group] of [...byStatus].sort(([a], [b]) => a - b))
    responses[`${status}` as '400'] = errorResponse(status, group);
  return responses;
}

function errorResponse(status: number, names: readonly ProblemName[]): ZodOpenApiResponseObject {
  const schemas = new Set(names.map((name) => (PROBLEMS[name].shape === 'api' ? 'ApiError' : 'GatewayError')));
  const refs = [...schemas].sort().map((name) => ({ $ref: `#/components/schemas/${name}` }));
  const headers = {
    ...REQUEST_ID,
    ...(status === 401 && { 'WWW-Authenticate': { description: 'Basic', schema: { type: 'string' as const } } }),
    ...(status === 429 && {
      'Retry-After': { description: 'Seconds to wait.', schema: { type: 'integer' as const } },
    }),
  };
  return {
    description: names.map((name) => sentenceOf(name)).join('\n'),
    headers,
    content: {
      'application/json': {
        schema: refs.length === 1 && refs[0] ? refs[0] : { anyOf: refs },
        examples: Object.fromEntries(names.map((name) => [name, { value: bodyOf(PROBLEMS[name]) }])),
      },
    },
  };
}

function sentenceOf(name: ProblemName): string {
  const problem: Problem = PROBLEMS[name];
  const shown = problem.shape === 'api' ? `code ${problem.code}, ${problem.reason}` : problem.message;
  return `- \`${name}\` (${shown}): ${problem.meaning}`;
}

function bodyOf(problem: Problem): object {
  if (problem.shape === 'gateway') return { message: problem.message };
  return { code: problem.code, reason: problem.reason };
}
