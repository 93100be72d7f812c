/**
 * A row of the table of errors (`error-table-rows.ts`), and rows that several calls share: bodies nobody can read, and
 * handles that lead nowhere.
 */
import type { ProblemName } from '../../src/contract/problems.ts';
import { APP, type ApiOptions, OTHER_APP } from '../support/rest-api.ts';
import {
  acquired,
  bodyOf,
  type Endpoint,
  exchange,
  NAMES,
  pathOf,
  send,
  started,
  type WireAnswer,
} from './error-table-support.ts';

export type ApiRow = {
  at: Endpoint | 'own';
  /** Status and code, as `400/2`. */
  answer: string;
  problem: ProblemName;
  reason: string | RegExp;
  when: string;
  provoke(): Promise<WireAnswer>;
  /** The code of §2.2 where it is another. */
  legacy?: number;
  /** Who the answer names: the channel and uid of `NAMES`, unless it was told others or cannot know any. */
  names?: Partial<typeof NAMES>;
  /** Members besides. */
  also?: string[];
  options?: ApiOptions;
};
type More = Pick<ApiRow, 'legacy' | 'names' | 'also' | 'options'>;

export function row(
  at: ApiRow['at'],
  answer: string,
  name: ProblemName,
  reason: ApiRow['reason'],
  when: string,
  provoke: ApiRow['provoke'],
  more: More = {},
): ApiRow {
  return { at, answer, problem: name, reason, when, provoke, ...more };
}

export const NOBODY = {};
/** query has no body to know names from before its resource is found. */
export const namesBefore = (at: Endpoint): More => (at === 'query' ? { names: NOBODY } : {});
export const TOO_OLD = 'resourceId exceeded time limit!';
export const HANDLE_MEMBERS = ['resourceId', 'sid'];

export const unread = (at: Exclude<Endpoint, 'query'>): ApiRow[] => [
  row(
    at,
    '400/2',
    'json-invalid',
    /^api body validate failed! the body is not JSON: ./,
    'the body is not JSON',
    () => exchange(at, { body: '{' }),
    { legacy: 8, names: NOBODY },
  ),
  row(
    at,
    '400/2',
    'content-type-unsupported',
    'api body validate failed! Content-Type must be application/json',
    'the body is no JSON and not said to be any',
    () => exchange(at, { body: 'cname=ch1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    { legacy: 8, names: NOBODY },
  ),
  row(
    at,
    '415/2',
    'encoding-unsupported',
    'api body validate failed! Content-Encoding must be gzip or identity',
    'the body is packed in another way than gzip',
    () => exchange(at, { headers: { 'content-encoding': 'br' } }),
    { legacy: 8, names: NOBODY },
  ),
  row(
    at,
    '400/2',
    'request-invalid',
    'api body validate failed! clientRequest is missing',
    'clientRequest is missing',
    async () => exchange(at, { handle: await acquired(), body: NAMES }),
  ),
];

export const otherNames = (at: Exclude<Endpoint, 'query'>): ApiRow[] =>
  (['cname', 'uid'] as const).map((which) => {
    const names = { ...NAMES, [which]: '2' };
    return row(
      at,
      '400/2',
      'resource-mismatch',
      `${at}: ${which} is not the one resourceId was acquired for!`,
      `the resource id is of another ${which}`,
      async () => {
        // Of what was never started, later calls are told that alone.
        const handle = at === 'start' ? await acquired() : await started();
        return exchange(at, { handle, body: { ...(bodyOf(at) as object), ...names } });
      },
      { legacy: 432, names },
    );
  });

/** Paths with a handle that is none. */
export const unknownResource = (at: Endpoint, resourceId: string, when: string): ApiRow =>
  row(
    at,
    '400/2',
    'resource-unknown',
    `${at}: resourceId is not one that acquire gave out!`,
    when,
    () => exchange(at, { handle: { resourceId, sid: 'a'.repeat(32) } }),
    { legacy: 1001, ...namesBefore(at) },
  );

export const otherHandle = (at: Endpoint): ApiRow[] => [
  unknownResource(at, 'not%20one', 'the resource id has characters that none has'),
  unknownResource(at, 'r'.repeat(513), 'the resource id is longer than any'),
  row(
    at,
    '400/2',
    'sid-mismatch',
    `${at}: resourceId does not belong to this appid!`,
    'the resource id is of another app',
    async () => {
      const path = pathOf(at, await acquired()).replace(APP, OTHER_APP);
      return send(at === 'query' ? 'GET' : 'POST', path, bodyOf(at));
    },
    { legacy: 1003, ...namesBefore(at) },
  ),
];
